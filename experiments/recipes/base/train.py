"""Trains the denoiser of `base: tiny` on cached latents: one thread, low priority, resumable at any time.

The rate is constant after a warm-up, so that nothing has to be decided about the length beforehand. `--cooldown`
branches off from the state so far with a rate that falls to 0, and writes a model from the averaged weights: the run
itself can go on afterwards from where it was.

    python experiments/recipes/base/train.py --out DIRECTORY [--size SIZE] [--hours CORE_HOURS]
    python experiments/recipes/base/train.py --out DIRECTORY --cooldown [MINUTES]
    python experiments/recipes/base/train.py --out DIRECTORY --export MODEL      # the average so far, to go on from
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from latents import HELD_OUT_SEED, shard_path, write_latents
from network import velocity
from numpy.typing import NDArray
from recipe import SHARD, Recipe, Training, load_recipe, new_model
from safetensors.torch import load_file
from torch import Tensor

from drivereplay.domains.whole import write_whole
from drivereplay.models.flow import shifted
from drivereplay.models.wan import Wan

SAVE_EVERY_S = 180.0
"""Seconds between two states on disk, by the clock: on a busy machine a minute of CPU time can take ten."""
REPORT_EVERY = 250
"""Steps between two held-out losses."""
HELD_OUT_LEVELS = (1.0, 0.94, 0.8, 0.5)
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
COUNTERS = ("step", "averaged", "begun", "cpu_s")
AVERAGED_SHARE = 6.94
"""Exponent of the average's power profile: its width is a tenth of the run so far (arXiv 2312.02696, eq. 127)."""


class Windows:
    """Training windows of cached latents, drawn by (seed, step)."""

    def __init__(self, directory: Path, recipe: Recipe) -> None:
        self.frames = recipe.clip.frames
        self.shards: dict[str, list[NDArray[np.float16]]] = {}
        for name, world in recipe.worlds.items():
            paths = [shard_path(directory, name, recipe.seed, number) for number in range(world.shards)]
            self.shards[name] = [np.load(path, mmap_mode="r") for path in paths if path.exists()]
        self.names = [name for name, shards in self.shards.items() if shards]
        shares = np.array([recipe.worlds[name].share for name in self.names])
        self.shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator, count: int, strides: Sequence[int]) -> Tensor:
        """Latents (count, C, frames, h, w) float32."""
        rows = []
        for world in rng.choice(len(self.names), size=count, p=self.shares):
            shards = self.shards[self.names[world]]
            clip = shards[rng.integers(len(shards))][rng.integers(SHARD)]
            stride = int(rng.choice(strides))
            begin = rng.integers(clip.shape[1] - (self.frames - 1) * stride)
            rows.append(clip[:, begin : begin + (self.frames - 1) * stride + 1 : stride])
        return torch.from_numpy(np.stack(rows).astype(np.float32))


def sample_losses(
    module: Any, latents: Tensor, noise: Tensor, levels: Tensor, context: int, *, change: float = 0.0,
    bf16: bool = False,
) -> Tensor:  # fmt: skip
    """Flow-matching loss (B,) of the frames after the context, ‖v_θ − (ε − x_0)‖² / values.

    Args:
        change: a in the weight 1 − a + a·c / mean(c), where c (B, 1, T, h, w) is how much the latent changed since the
            frame before (mean absolute change over channels).
    """
    sigma = levels.view(-1, 1, 1, 1, 1)
    future = latents[:, :, context:]
    noisy = torch.cat([latents[:, :, :context], (1 - sigma) * future + sigma * noise[:, :, context:]], dim=2)
    error = (velocity(module, noisy, levels, context, bf16=bf16) - (noise[:, :, context:] - future)).square()
    if change:
        changed = (future - latents[:, :, context - 1 : -1]).abs().mean(dim=1, keepdim=True)
        error = error * (1 - change + change * changed / changed.mean().clamp_min(1e-6))
    return error.flatten(1).mean(dim=1)


class HeldOut:
    """64 windows of other clips, eight of each world, with fixed noise."""

    def __init__(self, directory: Path, recipe: Recipe) -> None:
        rows = []
        for name in recipe.worlds:
            clips = np.load(shard_path(directory, name, HELD_OUT_SEED, 0), mmap_mode="r")
            rows += [clips[n, :, n : n + recipe.clip.frames] for n in range(64 // len(recipe.worlds))]
        self.latents = torch.from_numpy(np.stack(rows).astype(np.float32))
        self.noise = torch.randn(self.latents.shape, generator=torch.Generator().manual_seed(1))
        self.context = recipe.clip.context

    @torch.no_grad()
    def losses(self, module: Any, levels: Sequence[float] = HELD_OUT_LEVELS) -> dict[str, float]:
        """Mean loss by noise level."""
        results = {}
        for level in levels:
            parts = [
                sample_losses(module, x, noise, torch.full((len(x),), level), self.context)
                for x, noise in zip(self.latents.split(16), self.noise.split(16), strict=True)
            ]
            results[f"{level:g}"] = round(float(torch.cat(parts).mean()), 4)
        return results


def optimizers(module: Any, training: Training) -> list[torch.optim.Optimizer]:
    """AdamW; or Muon for the matrices inside the blocks (updates as large as AdamW's, arXiv 2502.16982) beside it."""
    hidden: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in module.named_parameters():
        inside = name.startswith("blocks.") and parameter.ndim == 2 and (".attn1." in name or ".ffn." in name)
        (hidden if inside and training.optimizer == "muon" else others).append(parameter)
    rate = training.learning_rate
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True)
    ]
    if hidden:
        group = {"params": hidden, "times": training.muon_times}
        made.append(torch.optim.Muon([group], rate, weight_decay=1e-4, adjust_lr_fn="match_rms_adamw"))
    return made


class Run:
    """Weights, their average, optimisers and counters: what a state on disk holds."""

    def __init__(self, model: Wan, training: Training) -> None:
        self.model = model
        self.module: Any = model.module.train()
        self.average: Any = copy.deepcopy(self.module).eval()
        self.optimizers = optimizers(self.module, training)
        self.training = training
        self.step = 0
        self.averaged = 0
        self.begun = 0
        """Step at which the optimisers were new."""
        self.cpu_s = 0.0

    def state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "counters": {name: getattr(self, name) for name in COUNTERS},
        }

    def load(self, path: Path) -> None:
        """Go on from a state, or from an exported model with new optimisers; only tensors and numbers are read."""
        if path.is_dir():
            weights = load_file(path / WEIGHTS)
            for module in (self.module, self.average):
                module.load_state_dict(weights)
            counters = json.loads((path / "run.json").read_text(encoding="utf-8"))
            self.step = self.begun = counters["step"]
            self.averaged, self.cpu_s = counters["averaged"], counters["cpu_s"]
            return
        state = torch.load(path, weights_only=True)
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for name, value in state["counters"].items():
            setattr(self, name, value)

    def train_step(self, windows: Windows, context: int, seed: int, factor: float) -> float:
        """One step; everything random in it comes from (seed, step), so that a resumed run is the same run."""
        options = self.training
        rng = np.random.default_rng([seed, self.step])
        latents = windows.draw(rng, options.batch_size, options.strides)
        levels = shifted(torch.from_numpy(rng.random(len(latents))), options.shift).float()
        levels[torch.from_numpy(rng.random(len(latents)) < options.pure_noise)] = 1.0
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        loss = sample_losses(
            self.module, latents, noise, levels, context, change=options.change_weight, bf16=options.bf16
        ).mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * factor * group.get("times", 1.0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.averaged += 1
        with torch.no_grad():
            share = 1 - (1 - 1 / self.averaged) ** (AVERAGED_SHARE + 1)
            torch._foreach_lerp_(list(self.average.parameters()), list(self.module.parameters()), share)
        return float(loss.detach())


def train(
    run: Run, windows: Windows, held_out: HeldOut, recipe: Recipe, directory: Path, *, factor: Callable[[Run], float],
    until_s: float,
) -> bool:  # fmt: skip
    """Train until the run has used `until_s` CPU seconds; SIGTERM and Ctrl-C stop it after the step in progress.

    States go to `directory`/state.pt and lines to `directory`/log.jsonl. Held-out losses are not counted as training.

    Args:
        factor: The learning rate's factor at the run's present step.

    Returns:
        Whether the end was reached.
    """
    stopped: list[int] = []
    handlers = {
        number: signal.signal(number, lambda received, _: stopped.append(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    began_s, wall_s, mean_loss = run.cpu_s, time.monotonic(), float("nan")
    saved_s = wall_s
    while run.cpu_s < until_s and not stopped:
        started = time.process_time()
        loss = run.train_step(windows, recipe.clip.context, recipe.seed, factor(run))
        run.cpu_s += time.process_time() - started
        mean_loss = loss if math.isnan(mean_loss) else 0.99 * mean_loss + 0.01 * loss
        if run.step % 10 == 0:
            left_s = (until_s - run.cpu_s) * (time.monotonic() - wall_s) / max(1e-9, run.cpu_s - began_s)
            print(
                f"\rstep {run.step}  loss {mean_loss:.4f}  {run.cpu_s / 3600:.2f} of {until_s / 3600:.2f} core-hours  "
                f"about {left_s / 3600:.1f} h left at this pace ",
                end="",
                flush=True,
            )
        if run.step % REPORT_EVERY == 0 or run.cpu_s >= until_s:
            losses = held_out.losses(run.average)
            line = {"step": run.step, "cpu_s": round(run.cpu_s, 2), "train": round(mean_loss, 4), "held_out": losses}
            with (directory / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
            print(f"\n  held-out loss by noise level: {losses}", flush=True)
        if time.monotonic() - saved_s > SAVE_EVERY_S:
            save_state(run, directory)
            saved_s = time.monotonic()
    save_state(run, directory)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    print()
    return not stopped


def save_state(run: Run, directory: Path) -> None:
    """All of the state or nothing of it."""
    buffer = io.BytesIO()
    torch.save(run.state(), buffer)
    write_whole(directory / "state.pt", buffer.getvalue())


def export(run: Run, directory: Path) -> None:
    """The averaged weights as a whole model in diffusers' layout, the denoiser in half precision.

    `Run.load` goes on from it; run.json has the counters.
    """
    model = copy.copy(run.model)
    model.module = copy.deepcopy(run.average).half()
    model.save(directory)
    write_whole(directory / "run.json", json.dumps({name: getattr(run, name) for name in COUNTERS}).encode())


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--latents", type=Path, help="directory of the shards; beside the run by default")
    parser.add_argument("--size", default="base", help="a key of `sizes` in recipe.yaml")
    parser.add_argument("--hours", type=float, help="core-hours in all instead of the recipe's")
    parser.add_argument("--cooldown", type=float, nargs="?", const=0.0, metavar="MINUTES", help="branch off and finish")
    parser.add_argument("--start", type=Path, help="state.pt or exported model that a new run starts from")
    parser.add_argument("--export", type=Path, metavar="DIRECTORY", help="train nothing, write the averaged weights")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change of recipe.yaml")
    parser.add_argument("--render", action=argparse.BooleanOptionalAction, default=True, help="make missing shards")
    options = parser.parse_args(arguments)
    os.nice(10)
    torch.set_num_threads(1)
    recipe = load_recipe(options.set)
    shards = options.latents or options.out.parent / "latents"
    if options.render:
        for done, total in write_latents(shards, recipe):
            print(f"\rlatents: shard {done} of {total}", end="" if done < total else "\n", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(new_model(recipe, options.size), recipe.training)
    windows, held_out = Windows(shards, recipe), HeldOut(shards, recipe)
    print(f"{sum(p.numel() for p in run.module.parameters()) / 1e6:.2f} M parameters, {windows.names}", flush=True)
    state = options.out / "state.pt"
    if state.exists() or options.start:
        run.load(state if state.exists() else options.start)
    warmup = recipe.training.warmup

    def stable(run: Run) -> float:
        return min(1.0, (run.step - run.begun + 1) / warmup)

    if options.export:
        export(run, options.export)
        print(
            f"written: {options.export}, {run.step} steps; held-out loss by noise level: {held_out.losses(run.average)}"
        )
        return

    if options.cooldown is None:
        hours = options.hours or recipe.training.core_hours[options.size]
        train(run, windows, held_out, recipe, options.out, factor=stable, until_s=3600 * hours)
        return
    branch = options.out / "cooldown"
    branch.mkdir(exist_ok=True)
    length_s = 60 * options.cooldown or recipe.training.cooldown * run.cpu_s
    settings = branch / "branch.json"
    if settings.exists():
        begun = json.loads(settings.read_text(encoding="utf-8"))
        run.load(branch / "state.pt")
    else:
        # the average starts anew: what came before the branch is not to be in it
        begun = {"step": run.step, "begin_s": run.cpu_s, "end_s": run.cpu_s + length_s}
        run.averaged = 0
        save_state(run, branch)
        write_whole(settings, json.dumps(begun).encode())

    def falling(run: Run) -> float:
        return max(0.0, (begun["end_s"] - run.cpu_s) / (begun["end_s"] - begun["begin_s"]))

    if train(run, windows, held_out, recipe, branch, factor=falling, until_s=begun["end_s"]):
        export(run, branch / "model")
        print(f"written: {branch / 'model'}; held-out loss by noise level: {held_out.losses(run.average)}")


if __name__ == "__main__":
    main()
