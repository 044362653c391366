"""Judging a model's futures, or anyone's videos, against real clips."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.errors import DataError, DriveReplayError
from drivereplay.evaluation import pseudo as pseudo_truth
from drivereplay.evaluation import references, scoring
from drivereplay.evaluation.assemble import Collected, assemble
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.gallery import Gallery
from drivereplay.evaluation.generate import generate_futures
from drivereplay.evaluation.metric import metric, metric_names
from drivereplay.evaluation.overlay import video_tracks
from drivereplay.evaluation.protocol import VERSION as PROTOCOL_VERSION
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.pseudo import Way
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.scoring import RealScores, Scores
from drivereplay.evaluation.videos import PairRules, check_generated, matched, read_pairs
from drivereplay.evaluation.workers import Workers
from drivereplay.integrity import read_sealed, write_sealed
from drivereplay.spec import Spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel

Progress = Callable[[int], None]
"""Called with the number of clips that have been generated so far."""


def evaluate_model(
    model: VideoModel,
    clips: Iterable[Clip],
    spec: Spec,
    *,
    cache: Storage | None = None,
    videos: Storage | None = None,
    page: Storage | None = None,
    prompt: str | None = None,
    lacking: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Generate a future for every clip and judge it.

    Clips are taken a batch at a time and let go of again; work on real clips is done once per protocol and cached.

    Args:
        model: Any family's model.
        clips: Held-out clips, all of one size, length and rate.
        spec: Its `evaluation` section says how; `clip` and `evaluation` go into the protocol.
        cache: Where work on real clips is kept between evaluations; None keeps nothing.
        videos: Where the first `evaluation.videos` clips go as `NN-real.mp4` and `NN-generated.mp4`, and what is known
            of the objects in them as `NN-tracks.json` (see `overlay.video_tracks`); None writes none.
        page: Where `evaluation.html` goes; None writes none.
        prompt: Text condition; None means the target's, or `model.prompt`.
        lacking: Leave out, with a warning, a metric asked for by name that no clip has what it needs for.
        progress: Called after each batch.

    Raises:
        SpecError: An unknown metric.
        DriveReplayError: A metric asked for by name cannot be computed here, or the model gave no frames.
        DataError: There are no clips, or they are not alike.
    """
    settings = spec.evaluation
    text = prompt if prompt is not None else (spec.target.prompt or spec.model.prompt)
    session = _Session(
        available_metrics(settings.metrics, spec.search.objectives),
        settings.samples,
        cache,
        0 if page is None else settings.videos,
        settings.pseudo,
    )
    shown = 0
    for batch in _batches(clips, settings.batch_size):
        made = generate_futures(
            model,
            batch,
            samples=settings.samples,
            seed=settings.seed,
            denoising_steps=settings.denoising_steps,
            prompt=text,
        )
        session.add(batch, made, model)
        if videos is not None and shown < settings.videos:
            shown += _keep_videos(videos, batch[: settings.videos - shown], made[0], shown)
        if progress is not None:
            progress(session.count)
    how = {
        "source": "model",
        "resize": spec.clip.resize,
        "samples": settings.samples,
        "seed": settings.seed,
        "denoising_steps": settings.denoising_steps,
        "split": settings.split,
    }
    report = session.report(
        how,
        resamples=settings.resamples,
        seed=settings.seed,
        asked=() if lacking else settings.metrics,
    )
    session.write_page(report, page, f"{spec.name}: {spec.target.name}")
    return report


def evaluate_pairs(
    pairs: Iterable[tuple[Clip, NDArray[np.uint8]]],
    how: dict[str, Any],
    *,
    metrics: Sequence[str] = (),
    batch_size: int = 16,
    resamples: int = 1000,
    seed: int = 0,
    cache: Storage | None = None,
    page: Storage | None = None,
    videos: int = 4,
    pseudo: Way = "motion",
    progress: Progress | None = None,
) -> Report:
    """Judge ready-made videos.

    Args:
        pairs: Real clips, each with the generated frames (T, H, W, 3) uint8 of the same shape.
        how: Fields of the protocol besides those of the clips and metrics.
        seed: Seed of the intervals.
        page: Where `evaluation.html` goes, with the `videos` worst and best clips; None writes none.
        pseudo: How objects are found in clips that nobody annotated (`evaluation.pseudo`); `none` does without.

    Raises:
        DataError: Generated frames are not like their clip's, the clips are not alike, or there are none.
        SpecError: An unknown metric.
        DriveReplayError: A metric asked for by name cannot be computed here.
    """
    session = _Session(available_metrics(metrics), 1, cache, 0 if page is None else videos, pseudo)
    iterator = iter(pairs)
    while chunk := list(itertools.islice(iterator, batch_size)):
        batch = [clip for clip, _ in chunk]
        session.check(batch)
        for clip, frames in chunk:
            check_generated(clip, frames)
        session.add(batch, np.stack([frames for _, frames in chunk])[None])
        if progress is not None:
            progress(session.count)
    report = session.report(how, resamples=resamples, seed=seed, asked=metrics)
    session.write_page(report, page, "Evaluation of videos")
    return report


def evaluate_videos(
    generated: Path,
    real: Path,
    *,
    context: int = 1,
    frames: int | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    partial: bool = False,
    metrics: Sequence[str] = (),
    batch_size: int = 16,
    resamples: int = 1000,
    seed: int = 0,
    cache: Storage | None = None,
    page: Storage | None = None,
    pseudo: Way = "motion",
    progress: Progress | None = None,
) -> Report:
    """Judge any model's videos against the real ones; `drivereplay.evaluation.videos` has the rules.

    Args:
        generated: Directory of video files whose first `context` frames are the given ones.
        real: Directory of files of the same names, with `<stem>.annotations` beside them where there are any.
        context, frames, fps, size, partial: See `videos.PairRules`.
        metrics: Names; empty means all that need no installed weights.
        page: Where `evaluation.html` goes; None writes none.
        seed, pseudo: As for `evaluate_pairs`.

    Raises:
        DataError: Files are missing, unreadable or not comparable; the message says how to make them so.
        SpecError: An unknown metric or an impossible rule.
    """
    rules = PairRules(context, frames, fps, size, partial)
    files = matched(generated, real, partial=partial)
    how = {
        "source": "videos",
        "resize": "both stretched" if size else "real to generated",
        "resampled": fps is not None,
        "samples": 1,
        "split": "all",
    }
    return evaluate_pairs(
        read_pairs(files, rules),
        how,
        metrics=metrics,
        batch_size=batch_size,
        resamples=resamples,
        seed=seed,
        cache=cache,
        page=page,
        pseudo=pseudo,
        progress=progress,
    )


def available_metrics(asked: Sequence[str] = (), also: Sequence[str] = ()) -> list[str]:
    """The metrics to compute: those asked for, or all that need no installed weights.

    Without weights the list, and with it the protocol, is the same on every machine; the others are named when wanted.

    Args:
        asked: Metric names.
        also: Further ones that are needed anyway, such as the objectives of a search.

    Raises:
        SpecError: An unknown name.
        DriveReplayError: One that was asked for cannot be computed here.
    """
    if not asked:
        light = [n for n in metric_names() if metric(n).is_default()]
        return light if not also else available_metrics([*light, *also])
    asked = [*asked, *also]
    for name in asked:
        reason = metric(name).unavailable()
        if reason:
            raise DriveReplayError(
                f"{name} cannot be computed here: {reason}.", "Or leave it out of `evaluation.metrics`."
            )
    return [name for name in metric_names() if name in set(asked)]


class _Session:
    """One evaluation under way: batches go in, a report comes out."""

    def __init__(self, names: Sequence[str], samples: int, cache: Storage | None, shown: int, way: Way) -> None:
        self._names = list(names)
        # finding objects costs time, and needs weights if a detector does it: only where a metric asks for boxes
        self._way: Way = way if any("boxes" in metric(name).needs for name in names) else "none"
        self._cache = cache
        self._workers = Workers(self._take)
        self._collected = Collected(samples=[[] for _ in range(samples)])
        self._digest = hashlib.sha256()
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
        for digest in digests:
            self._digest.update(digest.encode())
        self._collected.units += [clip.unit for clip in batch]
        self._collected.subsets += [clip.subset for clip in batch]
        key = scoring.cache_key(digests, self._names, self._way)
        real = self._cached(key)
        rebuilt, rebuilt_key = self._reconstruction(batch, key, model)
        self._under_way.append((list(batch), made[0]))
        self._workers.put(_score_batch, batch, made, self._names, real, key, rebuilt, rebuilt_key, self._way)

    def report(self, how: dict[str, Any], *, resamples: int, seed: int, asked: Sequence[str]) -> Report:
        """Wait for all batches and put the report together."""
        if not self.count:
            raise DataError("There are no clips to judge.", "Give at least one held-out clip.")
        self._workers.finish()
        frames, height, width = self._shape[:3]
        protocol = Protocol(
            {
                "version": PROTOCOL_VERSION,
                "clips": {"count": self.count, "digest": self._digest.hexdigest()[:16]},
                "frames": frames,
                "context": self._context,
                "fps": self._collected.fps,
                "height": height,
                "width": width,
                **how,
                "metrics": {name: metric(name).protocol() for name in self._names},
                **({"pseudo": pseudo_truth.settings(self._way)} if self._collected.pseudo else {}),
            }
        )
        report = assemble(self._collected, self._names, protocol, resamples=resamples, seed=seed)
        report.warnings[:0] = self._refused
        lost = [name for name in asked if name not in report.metrics]
        if lost:
            raise DataError(
                f"{', '.join(lost)}: " + " ".join(w for w in report.warnings if w.split()[0] in lost),
                "Leave it out; where boxes are what is missing, another way may find objects (--pseudo detector).",
            )
        return report

    def write_page(self, report: Report, page: Storage | None, title: str) -> None:
        """Write the HTML page where one is wanted."""
        if page is not None:
            from drivereplay.evaluation.html import write_page

            write_page(report, self._gallery, page, title=title)

    def _take(self, result: _BatchScores) -> None:
        clips, first = self._under_way.popleft()
        known = result.real.estimates
        self._collected.pseudo += sum(pseudo_truth.ESTIMATE in estimates for estimates in known)
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
        reasons = {name: metric(name).refuses(real) for name in self._names}
        self._refused = [f"{name} is left out: {reason}." for name, reason in reasons.items() if reason]
        self._names = [name for name, reason in reasons.items() if not reason]

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


def _batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    iterator = iter(clips)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _keep_videos(storage: Storage, batch: Sequence[Clip], made: NDArray[np.uint8], first: int) -> int:
    import tempfile

    from drivereplay.domains.mp4 import write_video

    with tempfile.TemporaryDirectory() as scratch:
        for n, (clip, frames) in enumerate(zip(batch, made, strict=False), start=first):
            for kind, pixels in (("real", clip.frames), ("generated", frames)):
                path = Path(scratch) / f"{n:02d}-{kind}.mp4"
                write_video(path, pixels, clip.fps)
                storage.write(path.name, path.read_bytes())
            storage.write(f"{n:02d}-tracks.json", json.dumps(video_tracks(clip, frames)).encode())
    return len(batch)
