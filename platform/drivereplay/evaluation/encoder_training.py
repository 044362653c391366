"""Trains the video encoder of `fidelity.fvd_worlds` on clips of the simulated worlds.

One vector has to tell which world a clip is from, how the camera and the objects move in it, and whether and how
strongly it was damaged (blurred, noisy, frozen, slowed down). So distances between sets of vectors see content, motion
and damage.

    python -m drivereplay.evaluation.encoder_training experiments/pretrain-worlds.yaml --out DIRECTORY
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.evaluation.features import WorldsEncoder
from drivereplay.spec import load_spec
from drivereplay.training.pretrain.frames import world_clips

DAMAGES = ("none", "blur", "noise", "frozen", "slowed")
MOTIONS = 8
"""Camera translation (3, per frame, in camera axes) and rotation (3), mean and largest speed of objects."""


FEATURES = 32
"""Length of the feature vector while it is trained; see `aim` for what it becomes."""
RUNGS = (0.35, 0.9)
"""Strengths of damage that the last layer is aimed at."""
CONTENT = 8
"""Directions of the last layer that tell worlds and motion."""
RIDGE = 0.01
"""Of the mean variance of a feature; added to all of them before the covariance is inverted."""
AIMED_ON = 480
"""Most clips that the last layer is aimed with."""


@dataclass(frozen=True)
class Lessons:
    """Clips with what is to be told of them.

    Attributes:
        frames: (N, T, H, W, 3) uint8.
        domains: (N,) int64.
        motions: (N, `MOTIONS`) float32, NaN where unknown.
    """

    frames: NDArray[np.uint8]
    domains: NDArray[np.int64]
    motions: NDArray[np.float32]

    @classmethod
    def of(cls, clips: Sequence[Clip], *, first: int = 0) -> Lessons:
        """From clips of one size, from frame `first` on; domains are numbered by name."""
        names = sorted({clip.domain for clip in clips})
        unknown = np.full(MOTIONS, np.nan, np.float32)
        return cls(
            np.stack([clip.frames[first:] for clip in clips]),
            np.array([names.index(clip.domain) for clip in clips]),
            np.stack([unknown if c.annotations is None else motion(c.annotations) for c in clips]),
        )


def motion(known: ClipAnnotations) -> NDArray[np.float32]:
    """The motion of a clip, (`MOTIONS`,); NaN where the annotations do not say.

    Translation and rotation are of the camera from each frame to the next, P_t⁻¹·P_{t+1}, averaged over the clip;
    speeds are of box centres, in widths of the picture per frame.
    """
    steps = np.linalg.inv(known.poses[:-1]) @ known.poses[1:]
    translation = steps[:, :3, 3].mean(axis=0)
    # the axis-angle vector of a small rotation
    rotation = np.array([(steps[:, i, j] - steps[:, j, i]).mean() / 2 for i, j in ((2, 1), (0, 2), (1, 0))])
    centres = (known.boxes_px[..., :2] + known.boxes_px[..., 2:]) / 2
    width = 2 * known.intrinsics_px[0, 0, 2]
    speeds = np.linalg.norm(np.diff(centres, axis=0), axis=-1) / width
    speeds = speeds[np.isfinite(speeds)]
    objects = [float(speeds.mean()), float(speeds.max())] if len(speeds) else [0.0, 0.0]
    return np.array([*translation, *rotation, *objects], np.float32)


def damaged(frames: NDArray[np.uint8], kind: str, strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A clip (T, H, W, 3) with one kind of damage, `strength` in [0, 1]."""
    length, _, width = frames.shape[:3]
    if kind == "blur":
        sigma = max(1e-3, strength * width / 24)
        return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
    if kind == "noise":
        noisy = frames + rng.normal(0.0, 60.0 * strength, frames.shape)
        return np.clip(noisy.round(), 0, 255).astype(np.uint8)
    if kind == "frozen":
        last = round((1 - strength) * (length - 1))
        return frames[np.minimum(np.arange(length), last)]
    if kind == "slowed":
        return frames[np.round(np.arange(length) * (1 - 0.75 * strength)).astype(int)]
    return frames


class Pupil(nn.Module):
    """The encoder with a linear head for each thing that is to be told."""

    def __init__(self, encoder: WorldsEncoder, domains: int) -> None:
        super().__init__()
        self.encoder = encoder
        features = encoder.head.out_features
        self.domain = nn.Linear(features, domains)
        self.motion = nn.Linear(features, MOTIONS)
        self.damage = nn.Linear(features, len(DAMAGES))
        self.strength = nn.Linear(features, len(DAMAGES))

    def loss(self, frames: Tensor, domains: Tensor, motions: Tensor, kinds: Tensor, strengths: Tensor) -> Tensor:
        """Mean over the batch: cross-entropies of domain and damage, squared errors of motion and strength.

        Args:
            frames: (B, T, H, W, 3) uint8.
            domains: (B,) int64.
            motions: (B, `MOTIONS`), NaN where unknown.
            kinds: (B,) number of the damage.
            strengths: (B,) in [0, 1].
        """
        features = self.encoder(frames)
        known = torch.isfinite(motions)
        wrong = torch.where(known, self.motion(features) - motions.nan_to_num(), 0.0)
        moved = wrong.square().sum() / known.sum().clamp_min(1)
        told = self.strength(features).gather(1, kinds[:, None])[:, 0]
        loss: Tensor = (
            nn.functional.cross_entropy(self.domain(features), domains)
            + nn.functional.cross_entropy(self.damage(features), kinds)
            + moved
            + 4 * (told - strengths).square().mean()
        )
        return loss


def train_encoder(
    lessons: Lessons,
    *,
    steps: int,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    features: int = FEATURES,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> WorldsEncoder:
    """A trained encoder.

    Args:
        lessons: What to learn from.
        steps: Optimiser steps, learning rate on a half cosine.
        batch_size: Clips of a step; half of them are damaged.
        learning_rate: Peak of AdamW.
        features: Length of the feature vector while training; `aim` chooses what is kept.
        seed: Of weights, batches and damage.
        report: Called with the step and the mean loss since the last call, twenty times.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pupil = Pupil(WorldsEncoder(features=features), int(lessons.domains.max()) + 1).train()
    # of a domain without annotations nothing is known: masked, not warned about
    known = np.ma.masked_invalid(lessons.motions)
    middle, spread = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(1.0)
    motions = np.clip((lessons.motions - middle) / np.maximum(spread, 1e-6), -4, 4)
    optimizer = torch.optim.AdamW(pupil.parameters(), learning_rate, weight_decay=0.02)
    losses: list[float] = []
    for step in range(steps):
        for options in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 20)
            options["lr"] = learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        chosen = rng.integers(0, len(lessons.frames), batch_size)
        kinds = np.where(rng.random(batch_size) < 0.5, 0, rng.integers(1, len(DAMAGES), batch_size))
        strengths = np.where(kinds == 0, 0.0, rng.random(batch_size))
        clips = [
            damaged(lessons.frames[n], DAMAGES[kind], strength, rng)
            for n, kind, strength in zip(chosen, kinds, strengths, strict=True)
        ]
        goals = motions[chosen].astype(np.float32)
        # a frozen or slowed clip no longer moves as its annotations say
        goals[np.isin(kinds, (3, 4))] = np.nan
        flipped = rng.random() < 0.5
        frames = np.stack(clips)[:, :, :, ::-1] if flipped else np.stack(clips)
        if flipped:
            goals *= _MIRROR
            goals += ((_MIRROR - 1) * (middle / np.maximum(spread, 1e-6))).astype(np.float32)
        loss = pupil.loss(
            torch.from_numpy(np.ascontiguousarray(frames)),
            torch.from_numpy(lessons.domains[chosen]),
            torch.from_numpy(goals),
            torch.from_numpy(kinds),
            torch.from_numpy(strengths.astype(np.float32)),
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if report is not None and (step + 1) % max(1, steps // 20) == 0:
            report(step + 1, float(np.mean(losses)))
            losses.clear()
    encoder = pupil.encoder.eval()
    aim(encoder, lessons.frames[:: math.ceil(len(lessons.frames) / AIMED_ON)], seed=seed)
    return encoder


@torch.no_grad()
def aim(encoder: WorldsEncoder, frames: NDArray[np.uint8], *, seed: int = 0) -> None:
    """Replace the last layer so that distances see damage above what two sets of clips differ by chance.

    Between independent sets of n clips a Fréchet distance is never below about tr Σ·2/n. Which world a clip is from
    makes up most of Σ, and damage is lost in it. So the features become

    - for each kind of damage at each of `RUNGS` the direction Σ⁻¹·δ of Fisher's linear discriminant, with δ the mean
      difference of damaged and real clips, at unit variance on real clips, and
    - the `CONTENT` principal components of what the layer told before (worlds and motion), at a variance of ¼.

    Args:
        encoder: Trained; changed in place.
        frames: (N, T, H, W, 3) uint8, undamaged.
        seed: Of the noise.
    """
    rng = np.random.default_rng(seed)
    told = encoder.head
    seen = _features(encoder, frames)
    covariance = torch.cov(seen.T)
    size = len(covariance)
    inverse = torch.linalg.inv(covariance + RIDGE * covariance.trace() / size * torch.eye(size, dtype=seen.dtype))
    directions = []
    for kind in DAMAGES[1:]:
        for strength in RUNGS:
            worse = np.stack([damaged(clip, kind, strength, rng) for clip in frames])
            direction = inverse @ (_features(encoder, worse) - seen).mean(dim=0)
            directions.append(direction / (direction @ covariance @ direction).sqrt())
    weight = told.weight.double()
    variances, axes = torch.linalg.eigh(weight @ covariance @ weight.T)
    for number in range(len(variances) - min(CONTENT, len(variances)), len(variances)):
        directions.append(weight.T @ axes[:, number] / (2 * variances[number].sqrt()))
    rows = torch.stack(directions)
    encoder.head = nn.Linear(size, len(rows))
    encoder.head.weight.copy_(rows)
    encoder.head.bias.copy_(-rows @ seen.mean(dim=0))
    encoder.config["features"] = len(rows)


def _features(encoder: WorldsEncoder, frames: NDArray[np.uint8]) -> Tensor:
    """What goes into the last layer, (N, channels) float64."""
    seen: list[Tensor] = []
    hook = encoder.head.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for part in torch.from_numpy(np.ascontiguousarray(frames)).split(32):
        encoder(part)
    hook.remove()
    return torch.cat(seen).double()


_MIRROR = np.array([-1, 1, 1, 1, -1, -1, 1, 1], np.float32)
"""Signs of the motion of a clip seen in a mirror: x is turned, and with it rotations about y and z."""


def main(arguments: list[str] | None = None) -> None:
    """The command line: EXPERIMENT --out DIRECTORY; the experiment names the domains and what a clip is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200, help="most training clips of each domain")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    spec = load_spec(options.experiment)
    clips = world_clips(spec, "train", options.clips, annotated=True)
    # the metric sees futures only
    lessons = Lessons.of(clips, first=spec.clip.context)
    print(f"{len(clips)} clips of {', '.join(sorted({clip.domain for clip in clips}))}", flush=True)
    encoder = train_encoder(lessons, steps=options.steps, seed=spec.seed, report=_show)
    encoder.save(options.out)


def _show(step: int, loss: float) -> None:
    print(f"step {step}  loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
