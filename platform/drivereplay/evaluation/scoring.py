"""Clips and generated videos in, figures and features out: plain functions that run anywhere, in a Ray task or not."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.evaluation import pseudo, references
from drivereplay.evaluation.footage import Footage, judged_annotations
from drivereplay.evaluation.metric import ClipMetric, SetMetric, metric

VERSION = 4
"""Raised when the meaning of anything cached changes."""

KEPT = (
    "residual_flow",
    "object_regions",
    "luma_change",
    "laplacian_energy",
    "camera",
    "focal_widths",
    "detections",
    pseudo.ESTIMATE,
)
"""Estimates of real clips that later evaluations need again."""

Curves = dict[str, NDArray[np.float64]]
Features = dict[str, NDArray[np.float32]]


@dataclass
class Scores:
    """Figures of one video each of B clips.

    Attributes:
        curves: Clip metric → (B, F).
        features: Set metric → (B, m, D).
    """

    curves: Curves = field(default_factory=dict)
    features: Features = field(default_factory=dict)


@dataclass
class RealScores:
    """What is known from the real clips alone, computed once per protocol.

    Attributes:
        rows: Reference row → its scores; `real` holds the real clips' features.
        estimates: For each clip, the estimates in `KEPT` that were made.
    """

    rows: dict[str, Scores]
    estimates: list[dict[str, NDArray[Any]]]

    def to_bytes(self) -> bytes:
        """As an uncompressed npz."""
        arrays: dict[str, NDArray[Any]] = {}
        for row, scores in self.rows.items():
            arrays.update({f"curves|{row}|{name}": values for name, values in scores.curves.items()})
            arrays.update({f"features|{row}|{name}": values for name, values in scores.features.items()})
        for n, estimates in enumerate(self.estimates):
            arrays.update({f"estimates|{n}|{name}": values for name, values in estimates.items()})
        arrays["clips"] = np.array(len(self.estimates))
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> RealScores:
        """What `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            rows: dict[str, Scores] = {}
            estimates: list[dict[str, NDArray[Any]]] = [{} for _ in range(int(arrays["clips"]))]
            for key in arrays.files:
                if key == "clips":
                    continue
                kind, where, name = key.split("|")
                if kind == "estimates":
                    estimates[int(where)][name] = arrays[key]
                else:
                    getattr(rows.setdefault(where, Scores()), kind)[name] = arrays[key]
        return cls(rows, estimates)


def score_real(clips: Sequence[Clip], names: Sequence[str], way: pseudo.Way = "none") -> RealScores:
    """Reference rows, features and estimates of real clips.

    Args:
        way: How objects are found in clips that nobody annotated; `none` leaves them without.
    """
    with one_opencv_thread():
        rows: dict[str, list[Footage]] = {}
        reals = [pseudo.footage(clip, way) for clip in clips]
        for real in reals:
            for row, footage in references.rows(real).items():
                rows.setdefault(row, []).append(footage)
        scored = {row: _score(reals, videos, names) for row, videos in rows.items()}
        kept = [{key: real.estimates[key] for key in KEPT if key in real.estimates} for real in reals]
    return RealScores(scored, kept)


def score_videos(
    clips: Sequence[Clip],
    videos: NDArray[np.uint8],
    names: Sequence[str],
    real: RealScores | None = None,
    way: pseudo.Way = "none",
) -> list[Scores]:
    """Scores of each of the k samples.

    Args:
        clips: The B real clips.
        videos: (k, B, T, H, W, 3) uint8.
        real: Estimates of the same clips, so that they are not made again.
        way: As for `score_real`.
    """
    with one_opencv_thread():
        known = [{} for _ in clips] if real is None else real.estimates
        reals = [pseudo.footage(clip, way, estimates) for clip, estimates in zip(clips, known, strict=True)]
        return [
            _score(reals, [r.with_frames(v) for r, v in zip(reals, sample, strict=True)], names) for sample in videos
        ]


def _score(reals: Sequence[Footage], videos: Sequence[Footage], names: Sequence[str]) -> Scores:
    scores = Scores()
    for name in names:
        judge = metric(name)
        if isinstance(judge, ClipMetric):
            scores.curves[name] = np.stack([_curve(judge, r, v) for r, v in zip(reals, videos, strict=True)])
        elif isinstance(judge, SetMetric):
            scores.features[name] = judge.features(videos)
    return scores


def _curve(judge: ClipMetric, real: Footage, video: Footage) -> NDArray[np.float64]:
    if not has_needs(real, judge.needs):
        return np.full(len(real.future), np.nan)
    return judge.curve(real, video)


def has_needs(real: Footage, needs: frozenset[str]) -> bool:
    """Whether the real clip's annotations hold what a metric needs."""
    known = real.annotations
    if not needs:
        return True
    if known is None:
        return False
    have = {
        "boxes": bool(np.isfinite(known.boxes_px).any()),
        "poses": bool(np.isfinite(known.poses).all()),
        "positions": bool(np.isfinite(known.positions_m).any()),
    }
    return all(have[need] for need in needs)


def clip_digest(clip: Clip) -> str:
    """SHA-256 of the clip's frames, clock and annotations as they are judged: what the figures depend on."""
    digest = hashlib.sha256(f"{clip.name}|{clip.frames.shape}|{clip.context}|{clip.fps}".encode())
    digest.update(np.ascontiguousarray(clip.frames).tobytes())
    annotations = judged_annotations(clip)
    if annotations is not None:
        for key, value in sorted(vars(annotations).items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def cache_key(digests: Sequence[str], names: Sequence[str], way: pseudo.Way = "none") -> str:
    """File name of a batch's `RealScores`: which clips, which metrics with which settings."""
    settings = {name: metric(name).protocol() for name in names}
    text = json.dumps([VERSION, list(digests), settings, pseudo.settings(way)], sort_keys=True)
    return f"real-{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV on one thread: clips are the unit of parallelism, and RANSAC is repeatable only without a thread pool."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
