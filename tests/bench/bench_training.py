"""The training loop against a bare PyTorch loop, what each retention baseline and a checkpoint cost. No Ray, no videos.

Run `python tests/bench/bench_training.py [steps] [--batch 16] [--precision bf16]`. Ratios of one run, variants taken in
turns so that a busy machine hurts them alike; the median step of each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.training.helpers import memory_batches

from drivereplay.api import QUICKSTART
from drivereplay.data.batch import Batch
from drivereplay.models import load_model
from drivereplay.spec import Spec, load_spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import save_checkpoint
from drivereplay.training.fisher import estimate_fisher
from drivereplay.training.loop import fine_tune, new_state
from drivereplay.training.objective import sample_noise

BASELINES = {
    "naive": {},
    "L2-SP": {"l2sp": 0.1},
    "EWC": {"ewc": 1.0, "ewc_samples": 16},
    "distillation, all samples": {"distill": 1.0},
    "distillation, replay samples": {"distill": 1.0, "distill_on": "replay"},
    "Reptile pull every 10 steps": {"reptile_every": 10},
}


def spec_with(training: dict[str, object], **retention: object) -> Spec:
    """The quickstart's model, clips and batch, where `training` does not say otherwise."""
    quick = load_spec(QUICKSTART)
    values = {f"training.{name}": value for name, value in training.items()}
    values |= {f"training.retention.{name}": value for name, value in retention.items()}
    return with_values(quick, {"training.steps": 1000, "training.warmup": 0, **values})


def bare(spec: Spec, batches: list[Batch]) -> Callable[[int], None]:
    """A step as a diffusers training script has it, for one batch that is ready."""
    model = load_model(spec)
    module = model.module.train()
    rate = spec.training.learning_rate
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True)

    def step(number: int) -> None:
        batch = batches[number % len(batches)]
        frames = torch.from_numpy(batch.frames)
        latents = model.encode(frames)
        conditions = model.conditions(frames, [""] * len(frames), 8.0)
        noise, levels = sample_noise(0, batch.sample, latents.shape[1:])
        with torch.autocast("cpu", torch.bfloat16, enabled=spec.training.precision == "bf16"):
            loss = model.loss(latents, noise, model.noise_levels(levels, latents.shape[1:]), conditions).mean()
        loss.backward()
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


def main(steps: int, training: dict[str, object]) -> None:
    """Measure and print."""
    spec = spec_with(training)
    batches = list(memory_batches(spec, 0, 4))
    variants = {"bare PyTorch loop": bare(spec, batches)}
    for name, retention in BASELINES.items():
        variants[f"loop, {name}"] = looped(spec_with(training, **retention), batches)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(steps + 2):
        for name, step in variants.items():
            started = time.perf_counter()
            step(number)
            if number >= 2:  # the first steps allocate
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    clip, batch = spec.clip, spec.training.batch_size
    size = f"batch {batch} of {clip.frames} × {clip.height} × {clip.width} clips, {spec.training.precision}"
    print(f"{torch.get_num_threads()} threads, median of {steps} steps, {size}\n")
    print("| variant | s a step | samples/s, bare loop = 1 | samples/s, naive = 1 |\n| --- | --- | --- | --- |")
    for name, value in median.items():
        first, second = median["bare PyTorch loop"] / value, median["loop, naive"] / value
        print(f"| {name} | {value:.3f} | {first:.3f} | {second:.3f} |")
    state = new_state(load_model(spec), spec)
    fine_tune(state.model, memory_batches(spec, 0, 1), spec, state=state)
    pauses = []
    with tempfile.TemporaryDirectory() as directory:
        for state.step in range(1, 6):
            started = time.perf_counter()
            save_checkpoint(Storage.of(directory), state, {})
            pauses.append(time.perf_counter() - started)
    pause, every = statistics.median(pauses), load_spec(QUICKSTART).training.steps
    share = pause / (pause + every * median["loop, naive"])
    print(f"\nA checkpoint pauses training for {pause:.3f} s: {share:.2%} of the run at one in {every} steps, as in")
    print("the quickstart.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", type=int, nargs="?", default=30)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"])
    given = parser.parse_args()
    asked = {"batch_size": given.batch, "precision": given.precision}
    main(given.steps, {name: value for name, value in asked.items() if value is not None})
