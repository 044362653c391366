"""The training loop against a bare PyTorch loop, what each retention baseline and a checkpoint cost. No Ray, no videos.

Run `python tests/bench/bench_training.py [steps]`. Ratios of one run, variants taken in turns so that a busy machine
hurts them alike; the median step of each.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.training.helpers import memory_batches, small_spec

from drivereplay.data.batch import Batch
from drivereplay.models import load_model
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import save_checkpoint
from drivereplay.training.fisher import estimate_fisher
from drivereplay.training.loop import fine_tune, new_state
from drivereplay.training.objective import sample_noise

CLIP = {"frames": 8, "context": 2, "height": 32, "width": 48}
BASELINES = {
    "naive": {},
    "L2-SP": {"l2sp": 0.1},
    "EWC": {"ewc": 1.0, "ewc_samples": 16},
    "distillation, all samples": {"distill": 1.0},
    "distillation, replay samples": {"distill": 1.0, "distill_on": "replay"},
    "Reptile pull every 10 steps": {"reptile_every": 10},
}


def spec_with(**retention: object) -> Spec:
    """The quickstart's model and batch."""
    training = {"steps": 1000, "batch_size": 16, "learning_rate": 1e-4, "retention": retention}
    return small_spec(clip=CLIP, model={"config": {}}, training=training)


def bare(spec: Spec, batches: list[Batch]) -> Callable[[int], None]:
    """A step as a diffusers training script has it, for one batch that is ready."""
    model = load_model(spec)
    module = model.module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.01, fused=True)

    def step(number: int) -> None:
        batch = batches[number % len(batches)]
        frames = torch.from_numpy(batch.frames)
        latents = model.encode(frames)
        conditions = model.conditions(frames, [""] * len(frames), 8.0)
        noise, levels = sample_noise(0, batch.sample, latents.shape[1:])
        model.loss(latents, noise, model.noise_levels(levels), conditions).mean().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def looped(spec: Spec, batches: list[Batch]) -> Callable[[int], None]:
    """A step of ours on the same batches."""
    state = new_state(load_model(spec), spec)
    if state.fisher:
        estimate_fisher(state, batches[:1], spec)
    waiting: list[Batch] = []

    def endless() -> Iterator[Batch]:
        while waiting:
            yield waiting.pop()

    def step(number: int) -> None:
        batch = batches[number % len(batches)]
        batch.step = state.step
        waiting.append(batch)
        fine_tune(state.model, endless(), spec, state=state)

    return step


def main(steps: int) -> None:
    """Measure and print."""
    batches = list(memory_batches(spec_with(), 0, 4))
    variants = {"bare PyTorch loop": bare(spec_with(), batches)}
    variants |= {f"loop, {name}": looped(spec_with(**retention), batches) for name, retention in BASELINES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(steps + 2):
        for name, step in variants.items():
            started = time.perf_counter()
            step(number)
            if number >= 2:  # the first steps allocate
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{torch.get_num_threads()} threads, median of {steps} steps, batch 16 of 8 × 32 × 48 clips\n")
    print("| variant | s a step | samples/s, bare loop = 1 | samples/s, naive = 1 |\n| --- | --- | --- | --- |")
    for name, value in median.items():
        first, second = median["bare PyTorch loop"] / value, median["loop, naive"] / value
        print(f"| {name} | {value:.3f} | {first:.3f} | {second:.3f} |")
    spec = spec_with()
    state = new_state(load_model(spec), spec)
    fine_tune(state.model, memory_batches(spec, 0, 1), spec, state=state)
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        save_checkpoint(Storage.of(directory), state, {})
        pause = time.perf_counter() - started
    share = pause / (pause + 100 * median["loop, naive"])
    print(f"\nA checkpoint pauses training for {pause:.3f} s: {share:.2%} of the run at one every 100 steps.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
