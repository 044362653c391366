"""The plan as a dry run: what a run would train on, what it would never reach, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex
from drivereplay.data.plan import SamplingPlan
from drivereplay.spec import Spec

_TIMED_CLIPS = 8


@dataclass(frozen=True)
class DomainSummary:
    """One domain over a whole run.

    Attributes:
        clips: Training clips that it has; None where they have no end.
        samples: Samples that are drawn from it.
        share: Of all samples.
        epochs: samples / clips; None without an end.
        never: Clips that the run does not reach; None without an end.
        ranks: Samples of each rank.
        decode_s: Seconds to decode (or render) every clip that is reached once, on one core of this machine; None if
            not timed.
        cache_bytes: What those clips take in the cache; rendered ones are not kept.
    """

    name: str
    clips: int | None
    samples: int
    share: float
    epochs: float | None
    never: int | None
    ranks: tuple[int, ...]
    decode_s: float | None
    cache_bytes: int

    def row(self) -> dict[str, Any]:
        """For a table."""
        return {
            "domain": self.name,
            "clips": self.clips,
            "samples": self.samples,
            "share": round(self.share, 6),
            "epochs": None if self.epochs is None else round(self.epochs, 3),
            "never reached": self.never,
            "per rank": " ".join(map(str, self.ranks)),
            "decode s": None if self.decode_s is None else round(self.decode_s, 1),
            "cache MB": round(self.cache_bytes / 1e6, 1),
        }


def summary(
    spec: Spec, indexes: Sequence[ClipIndex], plan: SamplingPlan, *, world_size: int = 1, timed: bool = True
) -> list[DomainSummary]:
    """Shares, epochs, ranks and cost of each domain over `training.steps` steps.

    Args:
        spec: The experiment.
        indexes: Of all domains, in order.
        plan: The plan.
        world_size: Number of workers that share each step.
        timed: Whether a few clips of each domain are decoded to foresee the cost of all.
    """
    counts = plan.counts_before(spec.training.steps)
    ranks = _ranks(plan, spec.training.steps, world_size)
    total = max(1, int(counts.sum()))
    clip_bytes = spec.clip.frames * spec.clip.height * spec.clip.width * 3
    rows = []
    for d, index in enumerate(indexes):
        samples, clips = int(counts[d]), index.count("train")
        # a clip is used once in each epoch, so the first `clips` samples are all different
        reached = min(samples, clips)
        seconds = _decode_seconds(index, spec) if timed and reached else None
        rows.append(
            DomainSummary(
                name=index.name,
                clips=None if index.endless else clips,
                samples=samples,
                share=samples / total,
                epochs=None if index.endless else samples / clips if clips else 0.0,
                never=None if index.endless else clips - reached,
                ranks=tuple(ranks[:, d].tolist()),
                decode_s=None if seconds is None else seconds * reached,
                cache_bytes=0 if index.rendered else reached * clip_bytes,
            )
        )
    return rows


def _ranks(plan: SamplingPlan, steps: int, world_size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(W, D) samples of each rank and domain."""
    totals = np.zeros((world_size, plan.domains), dtype=np.int64)
    for step in range(steps):
        rows = plan.step(step)
        np.add.at(totals, (rows.slot % world_size, rows.domain), 1)
    return totals


def _decode_seconds(index: ClipIndex, spec: Spec) -> float:
    """Seconds for one clip, from a few that are spread over the domain."""
    count = index.count("train")
    numbers = np.unique(np.linspace(0, count - 1, min(_TIMED_CLIPS, count)).round().astype(int))
    windows = [index.window("train", int(n)) for n in numbers]
    decoder = Decoder(spec.clip)
    begin = time.perf_counter()
    decoder.decode(windows)
    seconds = time.perf_counter() - begin
    decoder.close()
    return seconds / len(windows)
