"""Judging a model's futures, or anyone's videos, against real clips."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.clips import ClipSets
from drivereplay.domains.recording import Clip
from drivereplay.errors import DataError, DriveReplayError
from drivereplay.evaluation.accumulate import Accumulator
from drivereplay.evaluation.generate import generate_futures
from drivereplay.evaluation.metric import metric, metric_names
from drivereplay.evaluation.overlay import video_tracks
from drivereplay.evaluation.pseudo import Way
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.videos import PairRules, check_generated, matched, read_pairs
from drivereplay.spec import SetSpec, Spec
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
    progress: Progress | None = None,
) -> Report:
    """Generate a future for every clip and evaluate it.

    Clips are taken a batch at a time and let go of again; work on real clips is done once per protocol and cached.

    Args:
        model: Any family's model.
        clips: Held-out clips, all of one size, length and rate; `ClipSets` says which evaluation sets they are in,
            other ones are one set without a name.
        spec: Its `evaluation` section says how; `clip` and `evaluation` go into the protocol.
        cache: Where work on real clips is kept between evaluations; None keeps nothing.
        videos: Where the first `evaluation.videos` clips go as `NN-real.mp4` and `NN-generated.mp4`, and what is known
            of the objects in them as `NN-tracks.json` (see `overlay.video_tracks`); None writes none.
        page: Where `evaluation.html` goes; None writes none.
        progress: Called after each batch.

    Raises:
        SpecError: An unknown metric.
        DriveReplayError: A metric asked for by name cannot be computed here, or the model gave no frames.
        DataError: There are no clips, or they are not alike.
    """
    settings = spec.evaluation
    sets = clips.sets if isinstance(clips, ClipSets) else {"": None}
    wanted = metrics_of_sets(spec)
    session = Accumulator(
        [name for name in metric_names() if any(name in names for names in wanted.values())],
        settings.samples,
        cache,
        0 if page is None else settings.videos,
        settings.pseudo,
    )
    texts = {domain.name: domain.prompt for domain in (*spec.domains, *settings.domains)}
    shown = 0
    for batch in _batches(clips, settings.batch_size):
        made = generate_futures(
            model,
            batch,
            samples=settings.samples,
            seed=settings.seed,
            denoising_steps=settings.denoising_steps,
            prompts=[texts.get(clip.domain, spec.target.prompt) or spec.model.prompt for clip in batch],
            guidance=settings.guidance,
            precision=settings.precision,
        )
        session.add(batch, made, model)
        if videos is not None and shown < settings.videos:
            shown += _keep_videos(videos, batch[: settings.videos - shown], made[0], shown)
        if progress is not None:
            progress(session.count)
    how: dict[str, Any] = {
        "source": "model",
        "resize": spec.clip.resize,
        "samples": settings.samples,
        "seed": settings.seed,
        "denoising_steps": settings.denoising_steps,
    }
    # only where they are not the default, so that earlier protocols keep their hash
    how |= {"guidance": settings.guidance} if settings.guidance != 1 else {}
    how |= {"precision": settings.precision} if settings.precision != "fp32" else {}
    reports = {}
    for name, members in sets.items():
        one = settings.named_sets[name] if name in settings.named_sets else SetSpec()
        domains = {"domains": list(one.domains or (spec.target.name,))} if name else {}
        reports[name] = session.report(
            {**how, "split": one.split, **domains},
            wanted.get(name, session.names),
            members,
            resamples=settings.resamples,
            seed=settings.seed,
        )
    _refuse_lost(settings.metrics, reports)
    report = Report.joined(reports)
    session.write_page(report, page, f"{spec.name}: {spec.target.name}")
    return report


def metrics_of_sets(spec: Spec) -> dict[str, list[str]]:
    """Evaluation set → the metrics that are computed on it: those asked for, the objectives, or all light ones.

    A name with a set (`agents.ade@rare`) counts for that set, one without for all.

    Raises:
        SpecError: An unknown metric.
        DriveReplayError: One cannot be computed here.
    """

    def on(name: str, names: Sequence[str]) -> list[str]:
        found = [(plain, at) for plain, _, at in (one.partition("@") for one in names)]
        return [plain for plain, at in found if at in ("", name)]

    evaluation, objectives = spec.evaluation, spec.search.objectives
    wanted: dict[str, list[str]] = {}
    for name in evaluation.named_sets:
        asked, also = on(name, evaluation.metrics), on(name, objectives)
        none_here = bool(evaluation.metrics) and not asked
        wanted[name] = [] if none_here and not also else available_metrics(also if none_here else asked, also)
    return wanted


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
    """Evaluate ready-made videos.

    Args:
        pairs: Real clips, each with the generated frames (T, H, W, 3) uint8 of the same shape, or with k of them
            (k, T, H, W, 3), as many for each clip: the figures are their mean, the table `best` holds the best of k.
        how: Fields of the protocol besides those of the clips and metrics.
        seed: Seed of the intervals.
        page: Where `evaluation.html` goes, with the `videos` worst and best clips; None writes none.
        pseudo: How objects are found in clips that nobody annotated (`evaluation.pseudo`); `none` does without.

    Raises:
        DataError: Generated frames are not like their clip's, the clips are not alike, or there are none.
        SpecError: An unknown metric.
        DriveReplayError: A metric asked for by name cannot be computed here.
    """
    names = available_metrics(metrics)
    session: Accumulator | None = None
    iterator = iter(pairs)
    samples = 1
    while chunk := list(itertools.islice(iterator, batch_size)):
        batch = [clip for clip, _ in chunk]
        made = [frames if frames.ndim == 5 else frames[None] for _, frames in chunk]
        if session is None:
            samples = len(made[0])
            session = Accumulator(names, samples, cache, 0 if page is None else videos, pseudo)
        session.check(batch)
        for clip, frames in zip(batch, made, strict=True):
            check_generated(clip, frames, samples)
        session.add(batch, np.stack(made, axis=1))
        if progress is not None:
            progress(session.count)
    if session is None:
        raise DataError("There are no clips to evaluate.", "Give at least one pair of videos.")
    report = session.report({**how, "samples": samples}, names, None, resamples=resamples, seed=seed)
    _refuse_lost(metrics, {"": report})
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
    """Evaluate any model's videos against the real ones; `drivereplay.evaluation.videos` has the rules.

    Args:
        generated: Directory of video files whose first `context` frames are the given ones; `a.0.mp4`, `a.1.mp4` are
            samples of the same clip.
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


def _refuse_lost(asked: Sequence[str], reports: Mapping[str, Report]) -> None:
    """A metric that was asked for by name has to have a figure: on the set that is named with it, or on any.

    Raises:
        DataError: One has none.
    """
    for name in asked:
        plain, at, wanted = name.partition("@")
        asked_of = {one: report for one, report in reports.items() if not at or one == wanted}
        if any(plain in report.metrics for report in asked_of.values()):
            continue
        why = [w for report in asked_of.values() for w in report.warnings if w.split()[0] == plain]
        raise DataError(
            f"{name}: " + " ".join(dict.fromkeys(why)),
            "Leave it out; where boxes are what is missing, another way may find objects (--pseudo detector).",
        )


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
