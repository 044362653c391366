"""Adaptive replay inside a run: measures what each replay domain loses, and has the plan re-made at fixed steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from drivereplay.data.adaptive import adaptive_batches, updated_mix
from drivereplay.data.batch import Batch
from drivereplay.data.clips import evaluation_clips
from drivereplay.data.index import ClipIndex
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.stream import batches
from drivereplay.errors import SpecError, TrainingError
from drivereplay.models.precision import computing
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.group import Group
from drivereplay.training.objective import fresh_numbers, sample_noise

if TYPE_CHECKING:
    from drivereplay.training.loop import LoopState

FILE = "adaptive.json"
_CLIPS = 8
"""Held-out clips of each replay domain on which its loss is measured; always the same, with the same noise."""


def training_batches(
    spec: Spec, indexes: Sequence[ClipIndex], state: LoopState, directory: Storage, group: Group
) -> Iterator[Batch]:
    """This rank's batches from `state.step` to the end, with the mix moved on the way where `replay.adaptive` says so.

    Raises:
        SpecError: A replay domain has no held-out clip on which its loss could be measured.
    """
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    steps = {"first_step": state.step, "last_step": spec.training.steps, "rank": group.rank, "world_size": group.size}
    if spec.replay.adaptive is None or not spec.replay.domains:
        return batches(spec, indexes, plan, **steps)
    mix = AdaptiveMix(spec, indexes, state, directory, group)
    for step, weights in mix.before(state.step):
        plan = plan.with_mix(step, weights)
    return adaptive_batches(spec, indexes, plan, **steps, mix_at=mix.at)


class AdaptiveMix:
    """The mixes of one run, kept in `adaptive.json` so that a resume takes the same ones.

    Every rank measures the same clips with the same noise on the same weights, so all come to the same mix without
    asking each other.
    """

    def __init__(
        self, spec: Spec, indexes: Sequence[ClipIndex], state: LoopState, directory: Storage, group: Group
    ) -> None:
        self._spec = spec
        self._state = state
        self._directory = directory
        self._writes = group.rank == 0
        self._clips = [_held_out(index, spec) for index in indexes[1:]]
        self._mixes: dict[int, tuple[float, ...]] = {}
        if state.step == 0:
            self._reference = self._losses()
            self._save()
        else:
            self._load()

    def before(self, step: int) -> list[tuple[int, tuple[float, ...]]]:
        """(step, mix) of all changes before `step`, in order."""
        return sorted((n, mix) for n, mix in self._mixes.items() if n < step)

    def at(self, step: int) -> tuple[float, ...]:
        """The mix that holds from `step` on; measured now, with all steps before it done."""
        rule = self._spec.replay.adaptive
        assert rule is not None
        earlier = self.before(step)
        mix = earlier[-1][1] if earlier else self._spec.replay.mix
        self._mixes = dict(earlier)
        self._mixes[step] = updated_mix(mix, self._losses(), self._reference, rule)
        self._save()
        return self._mixes[step]

    def _losses(self) -> list[float]:
        """Mean loss of each replay domain on its held-out clips."""
        model = self._state.model
        training = model.module.training
        model.module.eval()
        losses = []
        with torch.no_grad(), computing(model.module, "fp32"):
            for number, (domain, frames) in enumerate(zip(self._spec.replay.domains, self._clips, strict=True)):
                pictures = torch.from_numpy(frames).to(model.device)
                latents = model.encode(pictures)
                prompt = self._spec.model.prompt if domain.prompt is None else domain.prompt
                conditions = model.conditions(pictures, [prompt] * len(frames), self._spec.clip.fps)
                samples = fresh_numbers(np.arange(len(frames)) + number * _CLIPS)
                noise, uniforms = sample_noise(self._spec.seed, samples, latents.shape[1:])
                levels = model.noise_levels(uniforms, latents.shape[1:]).to(model.device)
                losses.append(float(model.loss(latents, noise.to(model.device), levels, conditions).mean()))
        model.module.train(training)
        return losses

    def _save(self) -> None:
        if self._writes:
            content = {"reference": self._reference, "mixes": {str(n): mix for n, mix in self._mixes.items()}}
            self._directory.write(FILE, json.dumps(content, indent=1).encode())

    def _load(self) -> None:
        try:
            content = json.loads(self._directory.read(FILE))
            self._reference = [float(value) for value in content["reference"]]
            self._mixes = {int(n): tuple(map(float, mix)) for n, mix in content["mixes"].items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{self._directory.uri}/{FILE} cannot be read: {error!r}; without it the mixes so far are unknown.",
                "Run again without --resume.",
            ) from error


def _held_out(index: ClipIndex, spec: Spec) -> np.ndarray:
    if not index.count("evaluation"):
        raise SpecError(
            f"replay.adaptive measures the loss of '{index.name}' on held-out clips, and it has none.",
            "Give the domain a second recording, or its source an `evaluation`.",
        )
    clips = evaluation_clips(index, spec.clip, count=_CLIPS, seed=spec.seed)
    return np.stack([clip.frames for clip in clips])
