"""Forgetting, as continual learning measures it: the same metrics on every domain, before and after fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.compare import compare
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.statistics import Difference, Estimate

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel


@dataclass(frozen=True)
class Forgetting:
    """What fine-tuning on a target did to every domain; positive numbers are gains, in each metric's unit.

    With a(d) the figure after and b(d) before, the sign turned so that more is better:

    - `transfer[d]` is a(d) − b(d) on replay domain d: backward transfer (Lopez-Paz and Ranzato, NeurIPS 2017) for a
      sequence of two tasks, what was learnt before and the target.
    - `forgotten[d]` is max(b(d) − a(d), 0) (Chaudhry et al., ECCV 2018), never negative: a domain that got better was
      not forgotten.
    - `plasticity` is a − b on the target: what the fine-tuning was for.

    Attributes:
        transfer: Domain → metric → difference with its paired 95 % interval over clips.
        plasticity: Metric → the same on the target.
    """

    transfer: Mapping[str, Mapping[str, Difference]]
    plasticity: Mapping[str, Difference]

    @property
    def forgotten(self) -> dict[str, dict[str, float]]:
        """Domain → metric → how much was forgotten, zero or more."""
        return {
            domain: {name: max(-found.estimate.mean, 0.0) for name, found in figures.items()}
            for domain, figures in self.transfer.items()
        }

    def mean_transfer(self, name: str) -> float:
        """Mean of one metric's backward transfer over the domains that have it; NaN where none does."""
        values = [figures[name].estimate.mean for figures in self.transfer.values() if name in figures]
        return float(np.mean(values)) if values else float("nan")

    def rows(self) -> list[dict[str, object]]:
        """A row of the table for each domain and metric."""
        rows: list[dict[str, object]] = []
        for domain, figures in self.transfer.items():
            for name, found in figures.items():
                forgotten = self.forgotten[domain][name]
                shown = {"gain": str(found.estimate), "p": found.p, "forgotten": forgotten}
                rows.append({"domain": domain, "metric": name, **shown})
        return rows


def forgetting(
    before: Mapping[str, Report], after: Mapping[str, Report], target: str, *, resamples: int = 1000
) -> Forgetting:
    """Compare reports of the base and of the fine-tuned model, domain by domain.

    Args:
        before, after: Domain → report over the same clips and seeds.
        target: The domain that was fine-tuned on; the others are what could be forgotten.

    Raises:
        ProtocolError: A domain's two reports are of different protocols.
        KeyError: A domain is in one of the mappings only.
    """
    gains = {domain: _gains(after[domain], before[domain], resamples) for domain in before}
    plasticity = gains.pop(target, {})
    return Forgetting(gains, plasticity)


def _gains(after: Report, before: Report, resamples: int) -> dict[str, Difference]:
    found = compare(after, before, resamples=resamples)
    return {n: _turned(d) if found.directions[n] == "min" else d for n, d in found.differences.items()}


def _turned(found: Difference) -> Difference:
    """The difference with its sign turned, so that more is better."""
    e = found.estimate
    return Difference(Estimate(-e.mean, -e.high, -e.low, e.n), found.p, -found.effect)


def loss_by_noise_level(
    model: VideoModel,
    clips: list[Clip],
    levels: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9),
    *,
    seed: int = 0,
    prompt: str = "",
) -> dict[float, NDArray[np.float64]]:
    """The training loss of each clip at fixed quantiles of the model's noise distribution: level → (N,).

    The noise of a clip comes from its name and the seed, so that two models are compared on the same noise. A model can
    forget at one end of the levels only: layout lives where noise is strong, texture where it is weak.
    """
    import torch

    from drivereplay.evaluation.generate import clip_seed
    from drivereplay.models.precision import computing

    losses: dict[float, NDArray[np.float64]] = {level: np.empty(len(clips)) for level in levels}
    for number, clip in enumerate(clips):
        frames = torch.from_numpy(clip.frames[None]).to(model.device)
        with torch.no_grad(), computing(model.module, "fp32"):
            conditions = model.conditions(frames, [prompt], clip.fps)
            latents = model.encode(frames)
            generator = torch.Generator().manual_seed(clip_seed(seed, clip.name, 0))
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            for level in levels:
                noisy = model.noise_levels(torch.tensor([level], device=latents.device), latents.shape[1:])
                losses[level][number] = float(model.loss(latents, noise, noisy, conditions)[0])
    return losses
