"""One evaluation under way: batches of clips and videos go in, reports of evaluation sets come out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.errors import DataError
from drivereplay.evaluation import pseudo as pseudo_truth
from drivereplay.evaluation import references, scoring
from drivereplay.evaluation.assemble import Collected, assemble
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.gallery import Gallery
from drivereplay.evaluation.metric import metric
from drivereplay.evaluation.protocol import VERSION as PROTOCOL_VERSION
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.pseudo import Way
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.scoring import RealScores, Scores
from drivereplay.evaluation.workers import Workers
from drivereplay.integrity import read_sealed, write_sealed
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel


class Accumulator:
    """One evaluation under way: batches go in, a report comes out."""

    def __init__(self, names: Sequence[str], samples: int, cache: Storage | None, shown: int, way: Way) -> None:
        self.names = list(names)
        # finding objects costs time, and needs weights if a detector does it: only where a metric asks for boxes
        self._way: Way = way if any("boxes" in metric(name).needs for name in names) else "none"
        self._cache = cache
        self._workers = Workers(self._take)
        self._collected = Collected(samples=[[] for _ in range(samples)])
        self._digests: list[str] = []
        self._shape: tuple[int, ...] = ()
        self._context = 0
        self._exact_codec: bool | None = None
        self._refused: list[str] = []
        self._gallery = Gallery(shown)
        self._under_way: deque[tuple[list[Clip], NDArray[np.uint8]]] = deque()

    @property
    def count(self) -> int:
        """Clips so far."""
        return len(self._collected.units)

    def add(self, batch: Sequence[Clip], made: NDArray[np.uint8], model: VideoModel | None = None) -> None:
        """Score a batch: B real clips and k videos of each, (k, B, T, H, W, 3)."""
        self.check(batch)
        if not self.count:
            self._refuse(batch[0])
        digests = [scoring.clip_digest(clip) for clip in batch]
        self._digests += digests
        self._collected.units += [clip.unit for clip in batch]
        self._collected.subsets += [clip.subset for clip in batch]
        key = scoring.cache_key(digests, self.names, self._way)
        real = self._cached(key)
        rebuilt, rebuilt_key = self._reconstruction(batch, key, model)
        self._under_way.append((list(batch), made[0]))
        self._workers.put(_score_batch, batch, made, self.names, real, key, rebuilt, rebuilt_key, self._way)

    def report(
        self,
        how: dict[str, Any],
        names: Sequence[str],
        members: frozenset[str] | None,
        *,
        resamples: int,
        seed: int,
    ) -> Report:
        """Wait for all batches and put the report of one evaluation set together.

        Args:
            how: Fields of the protocol besides those of the clips and metrics.
            names: Metrics of this set.
            members: Names of its clips; None for all.
        """
        chosen = [n for n, (_, clip) in enumerate(self._collected.units) if members is None or clip in members]
        if not chosen:
            raise DataError("There are no clips to evaluate.", "Give at least one held-out clip.")
        self._workers.finish()
        frames, height, width = self._shape[:3]
        collected = self._collected if members is None else self._collected.part(chosen)
        names = [name for name in self.names if name in names]
        digest = hashlib.sha256("".join(self._digests[n] for n in chosen).encode())
        protocol = Protocol(
            {
                "version": PROTOCOL_VERSION,
                "clips": {"count": len(chosen), "digest": digest.hexdigest()[:16]},
                "frames": frames,
                "context": self._context,
                "fps": collected.fps,
                "height": height,
                "width": width,
                **how,
                "metrics": {name: metric(name).protocol() for name in names},
                **({"pseudo": pseudo_truth.settings(self._way)} if any(collected.pseudo) else {}),
            }
        )
        report = assemble(collected, names, protocol, resamples=resamples, seed=seed)
        report.warnings[:0] = self._refused
        return report

    def write_page(self, report: Report, page: Storage | None, title: str) -> None:
        """Write the HTML page where one is wanted."""
        if page is not None:
            from drivereplay.evaluation.html import write_page

            write_page(report, self._gallery, page, title=title)

    def _take(self, result: _BatchScores) -> None:
        clips, first = self._under_way.popleft()
        known = result.real.estimates
        self._collected.pseudo += [pseudo_truth.ESTIMATE in estimates for estimates in known]
        self._gallery.offer(
            [pseudo_truth.shown(*pair) for pair in zip(clips, known, strict=True)], first, result.samples[0]
        )
        if result.real_key:
            self._keep(result.real_key, result.real)
        if result.rebuilt_key and result.rebuilt is not None:
            self._keep(result.rebuilt_key, RealScores({references.RECONSTRUCTION: result.rebuilt}, []))
        for kept, scores in zip(self._collected.samples, result.samples, strict=True):
            kept.append(scores)
        for row, scores in result.real.rows.items():
            self._collected.rows.setdefault(row, []).append(scores)
        if result.rebuilt is not None:
            self._collected.rows.setdefault(references.RECONSTRUCTION, []).append(result.rebuilt)

    def _keep(self, key: str, scores: RealScores) -> None:
        if self._cache is not None:
            write_sealed(self._cache, f"evaluation/{key}", scores.to_bytes())

    def _cached(self, key: str) -> RealScores | None:
        data = None if self._cache is None else read_sealed(self._cache, f"evaluation/{key}")
        return None if data is None else RealScores.from_bytes(data)

    def _reconstruction(self, batch: Sequence[Clip], key: str, model: VideoModel | None) -> tuple[Any, str]:
        """The codec's round trip of the clips, or its cached scores; nothing where the codec loses nothing."""
        if model is None or self._exact_codec:
            return None, ""
        name = f"codec-{model.fingerprint()[:32]}-{key}"
        cached = self._cached(name)
        if cached is not None:
            self._exact_codec = False
            return cached.rows[references.RECONSTRUCTION], ""
        import torch

        frames = np.stack([clip.frames for clip in batch])
        with torch.no_grad():
            back = model.decode(model.encode(torch.from_numpy(frames).to(model.device))).cpu().numpy()
        if self._exact_codec is None:
            self._exact_codec = back.shape == frames.shape and int(np.abs(back.astype(np.int16) - frames).max()) <= 1
        return (None, "") if self._exact_codec else (back, name)

    def _refuse(self, clip: Clip) -> None:
        """Leave out the metrics that cannot judge clips of this shape."""
        real = Footage.of(clip)
        reasons = {name: metric(name).refuses(real) for name in self.names}
        self._refused = [f"{name} is left out: {reason}." for name, reason in reasons.items() if reason]
        self.names = [name for name, reason in reasons.items() if not reason]

    def check(self, batch: Sequence[Clip]) -> None:
        """Refuse clips that are not like the ones before them."""
        for clip in batch:
            like = (clip.frames.shape, clip.context, clip.fps)
            if not self._shape:
                self._shape, self._context, self._collected.fps = clip.frames.shape, clip.context, clip.fps
                if len(clip.frames) <= clip.context:
                    raise DataError(
                        f"{clip.name} has {len(clip.frames)} frames and {clip.context} of them are given.", _LONGER
                    )
            if like != (self._shape, self._context, self._collected.fps):
                raise DataError(
                    f"{clip.name} is {like[0]} with {like[1]} context frames at {like[2]} fps, the clips before it are "
                    f"{self._shape} with {self._context} at {self._collected.fps}.",
                    "All clips of an evaluation have one size, length and rate.",
                )


_LONGER = "Give videos with at least one frame to predict."


@dataclass
class _BatchScores:
    """What one batch gives; the keys are empty where the cache had it already."""

    real: RealScores
    real_key: str
    samples: list[Scores]
    rebuilt: Scores | None
    rebuilt_key: str


def _score_batch(
    batch: Sequence[Clip],
    made: NDArray[np.uint8],
    names: Sequence[str],
    cached: RealScores | None,
    real_key: str,
    rebuilt: NDArray[np.uint8] | Scores | None,
    rebuilt_key: str,
    way: Way,
) -> _BatchScores:
    real = scoring.score_real(batch, names, way) if cached is None else cached
    samples = scoring.score_videos(batch, made, names, real, way)
    if isinstance(rebuilt, np.ndarray):
        rebuilt = scoring.score_videos(batch, rebuilt[None], names, real, way)[0]
    return _BatchScores(real, real_key if cached is None else "", samples, rebuilt, rebuilt_key)
