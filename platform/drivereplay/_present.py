"""How results look in a terminal and in a log: tables for people, one JSON document for machines."""

from __future__ import annotations

import json as jsonlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from drivereplay.api import Demo
    from drivereplay.data.index import ClipIndex
    from drivereplay.doctor import Check
    from drivereplay.evaluation.compare import Comparison
    from drivereplay.evaluation.report import Report
    from drivereplay.search.front import Front
    from drivereplay.search.single import TrialOutcome
    from drivereplay.training.fill import Filled


def show(document: Any, json: bool, otherwise: Callable[[], None]) -> None:
    """Print `document` as JSON, or call `otherwise` to print it for people."""
    if json:
        typer.echo(jsonlib.dumps(_finite(document), ensure_ascii=False, indent=2, default=str))
    else:
        otherwise()


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not a number is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    # a log has no width of its own; 80 columns would fold every table
    return console if console.is_terminal else Console(highlight=False, width=140)


def table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of rows that share their keys."""
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        typer.echo(f"no {title}")
        return
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for key in rows[0]:
        drawn.add_column(str(key))
    for row in rows:
        drawn.add_row(*[escape(_text(row.get(key))) for key in rows[0]])
    _console().print(drawn)


def jobs(rows: Sequence[Mapping[str, Any]]) -> None:
    """Jobs of a cluster: whose, what, since when, and what Ray says of those that failed."""
    from drivereplay.status import spoken

    shown = []
    for row in rows:
        began, ended = row["started_s"], row["ended_s"]
        columns = {key: row[key] for key in ("id", "status", "verb", "run", "user")}
        columns["began"] = None if began is None else f"{datetime.fromtimestamp(began):%Y-%m-%d %H:%M}"
        columns["took"] = None if began is None else spoken((ended or time.time()) - began)
        shown.append(columns | {"exit": row["exit_code"]})
    table("jobs", shown)
    for row in rows:
        if row["status"] == "FAILED":
            typer.echo(f"{row['id']}: {row['reason']}")


def filled(result: Filled) -> None:
    """What was decoded, and what could not be."""
    table("clips in the cache", result.rows())
    for name in result.rendered:
        typer.echo(f"{name}: nothing to prepare, its clips are rendered when they are needed (clips: fresh)")
    for name, reason in result.bad.items():
        typer.echo(f"set aside: {name}: {reason}")


def pairs(values: Mapping[str, Any]) -> None:
    """Keys and values, a line each."""
    width = max((len(str(k)) for k in values), default=0)
    for key, value in values.items():
        typer.echo(f"{key!s:<{width}}  {_text(value)}")


def keys(rows: Sequence[Mapping[str, str]]) -> None:
    """Every key of the experiment file."""
    table("keys of an experiment file", rows)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return " ".join(_text(v) for v in value)
    return str(value)


def _interval(estimate: Any) -> str:
    return "-" if math.isnan(estimate.mean) else str(estimate)


def quality(rows: Sequence[Mapping[str, Any]], everything: bool) -> None:
    """The data-quality report: what is beyond a limit, or every check."""
    shown = [
        {
            "check": row["check"],
            "": "" if row["level"] == "ok" else row["level"],
            "value": row["value"],
            "warn": row["warn"],
            "fail": row["fail"],
            "recordings": f"{row['count']} of {row['of']}",
            "where": "; ".join(row["where"]),
        }
        for row in rows
        if everything or row["level"] != "ok"
    ]
    if shown:
        table("data quality", shown)
    else:
        typer.echo("data quality: nothing looks wrong")


def ingest(index: ClipIndex, checks: Sequence[Mapping[str, Any]], out: Path, everything: bool) -> None:
    """What an ingest found, what it set aside, and which data look wrong."""
    document = index.report.to_json()
    training, evaluation = index.count("train"), index.count("evaluation")
    typer.echo(f"{index.name}: {training} training and {evaluation} evaluation clips, written to {out}")
    for part in ("set_aside", "notes"):
        if document[part]:
            table(part.replace("_", " "), document[part])
    quality(checks, everything)
    if everything:
        shown = ("key", "split", "windows", "frames", "fps", "width", "height", "codec", "gop", "reader")
        table("videos", [{name: row[name] for name in shown if name in row} for row in videos(index)])


def videos(index: ClipIndex) -> list[dict[str, Any]]:
    """What is known about each usable recording: the scalar columns of the index."""
    import pyarrow as pa

    simple = [f.name for f in index.table.schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    rows: list[dict[str, Any]] = index.table.select(simple).to_pylist()
    return rows


def plan(printed: Mapping[str, Any]) -> None:
    """The rows of a plan and the shares they come to."""
    table("sampling plan", printed["rows"])
    total = sum(printed["samples_by_domain"].values()) or 1
    for name, count in printed["samples_by_domain"].items():
        clips = printed["clips_by_domain"][name]
        clips = "clips rendered without end" if clips is None else f"{clips} training clips"
        typer.echo(f"{name}: {count} of {total} samples ({count / total:.1%}), {clips}")


def report(judged: Report, comparison: Comparison | None = None) -> None:
    """Metrics with intervals beside the reference rows."""
    rows = []
    for name, estimate in sorted(judged.metrics.items()):
        row: dict[str, Any] = {"metric": name, "value [95 %]": _interval(estimate)}
        if judged.tables.get("unbiased"):
            endless = judged.tables["unbiased"].get(name, {})
            low, high = (endless.get(end) for end in ("low", "high"))
            interval = "" if low is None or math.isnan(low) else f" [{_text(low)}, {_text(high)}]"
            row["with endless clips"] = f"{_text(endless['mean'])}{interval}" if endless else None
        for reference, values in judged.references.items():
            row[reference] = values[name].mean if name in values else None
        rows.append(row)
    table(f"evaluation (protocol {judged.protocol.hash[:12]})", rows)
    for warning in judged.warnings:
        typer.echo(f"note: {warning}")
    if comparison is not None:
        table("against", comparison.rows())


def trained(outcome: TrialOutcome) -> None:
    """Where a run's checkpoints are, and how they were judged."""
    typer.echo(f"{outcome.status}: {outcome.steps} steps in {outcome.seconds:.1f} s, in {outcome.directory}")
    if outcome.report is not None:
        report(outcome.report)


def front(
    found: Front,
    comparison: Mapping[str, Any] | None = None,
    plot: Path | None = None,
    exported: Path | None = None,
) -> None:
    """The candidates of a sweep with those on the front marked, hypervolume and knee."""
    from drivereplay.search.advice import advice

    on_front = {candidate.name for candidate in found.front}
    knee = found.knee.name if found.knee is not None else None
    rows = []
    for candidate in sorted(found.candidates, key=lambda c: (c.name not in on_front, c.name)):
        mark = "knee" if candidate.name == knee else "front" if candidate.name in on_front else ""
        row: dict[str, Any] = {
            "": mark,
            "candidate": candidate.name,
            "kind": candidate.kind,
            "status": candidate.status,
        }
        row |= candidate.parameters
        for objective in found.objectives:
            estimate = candidate.metrics.get(objective)
            row[objective] = _interval(estimate) if estimate is not None else "-"
        rows.append(row)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table("candidates", [{key: row.get(key) for key in columns} for row in rows])
    directions = ", ".join(
        f"{name} ({'lower' if way == 'min' else 'higher'} is better)"
        for name, way in zip(found.objectives, found.directions, strict=True)
    )
    typer.echo(f"objectives: {directions}")
    volume = found.certainty.hypervolume or found.hypervolume
    typer.echo(f"hypervolume {_text(volume)} against the reference point ({_text(list(found.reference))})")
    _lost_and_important(found)
    if found.recommendation:
        typer.echo(found.recommendation)
        typer.echo(advice(found))
    if comparison is not None:
        pairs(comparison)
    if plot is not None:
        typer.echo(f"picture: {plot}")
    if exported is not None:
        typer.echo(f"exported to: {exported}")


def _lost_and_important(found: Front) -> None:
    """What each place on the front gives up against the best found, and which searched value matters for what."""
    from drivereplay.search.importance import given_up, importance

    lost = given_up(found)
    for row in lost:
        row["P(non-dominated)"] = found.certainty.probabilities[row["name"]]
        for objective, estimate in found.certainty.differences[row["name"]].get("naive", {}).items():
            row[f"{objective} less naive's [95 %]"] = _interval(estimate)
    if lost:
        table("on the front: what is given up against the best found in each objective", lost)
    for objective, shares in importance(found).items():
        sure = sorted(((name, share) for name, share in shares.items() if share is not None), key=lambda i: -i[1])
        unsure = ", ".join(name for name, share in shares.items() if share is None)
        said = [", ".join(f"{name} {share:.0%}" for name, share in sure), f"not determined: {unsure}" if unsure else ""]
        typer.echo(f"what matters for {objective}: {'; '.join(filter(None, said))}")


def demo(outcome: Demo, setup_seconds: int | None) -> None:
    """The front, and where to look next."""
    front(outcome.front)
    if setup_seconds is not None:
        typer.echo(f"set-up took {setup_seconds} s; the demo itself {outcome.seconds:.0f} s")
    else:
        typer.echo(f"took {outcome.seconds:.0f} s")
    typer.echo(f"the front: {outcome.picture}")
    typer.echo(f"explore it: drivereplay dashboard {outcome.directory}")


def doctor(checks: Sequence[Check]) -> None:
    """One line a check, with the fix where it fails."""
    for check in checks:
        mark = "ok  " if check.ok else "FAIL" if check.required else "none"
        typer.echo(f"{mark}  {check.name}: {check.detail}")
        if not check.ok and check.fix:
            typer.echo(f"      {check.fix}")
