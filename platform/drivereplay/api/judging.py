"""Verbs about how good a model's videos are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from drivereplay.errors import SpecError
from drivereplay.spec import Spec, load_spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.evaluation.compare import Comparison
    from drivereplay.evaluation.report import Report

MANY_VIDEOS = 32
"""From so many on it pays to start Ray, which takes seconds."""


def evaluate(
    checkpoint: Path,
    *,
    sets: Iterable[str] = (),
    metrics: Sequence[str] = (),
    out: Path | None = None,
    quiet: bool = True,
) -> Report:
    """The metrics of a checkpoint on the held-out clips of the run it belongs to.

    Work on real clips is kept in the run's storage, so that the next evaluation skips it; `quiet` shows no progress.
    What was forgotten on a replay domain is the difference to the base on an evaluation set of it (`compare`).
    """
    from drivereplay.data.clips import evaluation_sets
    from drivereplay.data.prepare import evaluation_indexes, prepare
    from drivereplay.evaluation.counter import Counter
    from drivereplay.evaluation.judge import evaluate_model
    from drivereplay.models import load_checkpoint
    from drivereplay.session import ensure_ray
    from drivereplay.training.trainer import choose_device

    spec = spec_of_checkpoint(checkpoint, sets, metrics)
    ensure_ray()
    clips = evaluation_sets(spec, evaluation_indexes(spec, prepare(spec)))
    page = None if out is None else Storage.of(out)
    cache = Storage.of(spec.storage).below(".shared", "cache")
    model = load_checkpoint(checkpoint, device=choose_device(spec))
    total = sum(one.clips or spec.evaluation.clips for one in spec.evaluation.named_sets.values())
    with Counter("evaluate", None if quiet else total) as counter:
        report = evaluate_model(model, clips, spec, cache=cache, page=page, progress=counter)
    if out is not None:
        report.save(Storage.of(out))
    return report


def spec_of_checkpoint(checkpoint: Path, sets: Iterable[str] = (), metrics: Sequence[str] = ()) -> Spec:
    """The resolved experiment that a checkpoint of a run belongs to."""
    for directory in (checkpoint, *checkpoint.absolute().parents):
        candidate = directory / "spec.yaml"
        if candidate.is_file():
            overrides = [*sets, *([f"evaluation.metrics=[{', '.join(metrics)}]"] if metrics else [])]
            return load_spec(candidate, overrides)
    raise SpecError(
        f"{checkpoint} belongs to no run: there is no spec.yaml in it or above it.",
        "Give a directory trials/<id>/checkpoints/step-N of a run.",
    )


def evaluate_videos(
    generated: Path,
    real: Path,
    *,
    context: int = 1,
    frames: int | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    partial: bool = False,
    pseudo: Literal["motion", "detector", "none"] = "motion",
    metrics: Sequence[str] = (),
    out: Path | None = None,
    cache: Path | None = None,
    quiet: bool = True,
) -> Report:
    """The metrics of any model's videos against the real ones, matched by file name.

    The rules are those of `drivereplay.evaluation.videos`. Work on the real videos is kept in `cache` (`.cache` in
    `out` where none is given), so that the next evaluation of the same protocol skips it; `quiet` shows no progress.
    Many videos are judged by all cores, or by the cluster that RAY_ADDRESS names.
    """
    from drivereplay.evaluation.counter import Counter
    from drivereplay.evaluation.judge import evaluate_videos as judge
    from drivereplay.evaluation.videos import matched
    from drivereplay.session import ensure_ray

    page = None if out is None else Storage.of(out)
    kept = Storage.of(cache) if cache is not None else None if page is None else page.below(".cache")
    count = len(matched(generated, real, partial=partial))
    if count >= MANY_VIDEOS:
        ensure_ray()
    with Counter("evaluate", None if quiet else count) as counter:
        report = judge(
            generated,
            real,
            context=context,
            frames=frames,
            fps=fps,
            size=size,
            partial=partial,
            pseudo=pseudo,
            metrics=tuple(metrics),
            cache=kept,
            page=page,
            progress=counter,
        )
    if out is not None:
        report.save(Storage.of(out))
    return report


def compare(report: Report, against: Path, *, sets: Iterable[str] = ()) -> Comparison:
    """Paired comparison of a report with another one (an evaluation.json, or a checkpoint evaluated now)."""
    from drivereplay.evaluation.compare import compare as compare_reports
    from drivereplay.evaluation.report import Report as ReportClass

    file = against if against.is_file() else against / "evaluation.json"
    other = ReportClass.load(file) if file.is_file() else evaluate(against, sets=sets)
    return compare_reports(report, other)
