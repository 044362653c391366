"""Verbs about footage, models and fronts: one thin function each over `drivereplay.api`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drivereplay import _present as present
from drivereplay.cli.root import DryRun, Experiment, Json, NoCache, Resume, RunDirectory, Sets, app
from drivereplay.errors import DriveReplayError, SpecError


def _height_width(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, _, width = size.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise SpecError(f"--size is '{size}'.", "Write HEIGHTxWIDTH in pixels, such as 96x160.")
    return int(height), int(width)


def _with_cache(sets: list[str] | None, no_cache: bool) -> list[str]:
    return [*(sets or ()), *(["training.cache=false"] if no_cache else [])]


@app.command()
def demo(
    storage: Annotated[str, typer.Option(help="Where the run is kept.")] = "runs",
    sets: Sets = None,
    setup_seconds: Annotated[int | None, typer.Option(help="What installing took; only printed.", hidden=True)] = None,
    json: Json = False,
) -> None:
    """The whole thing on the embedded default: worlds, training, evaluation, search, front."""
    from drivereplay import api

    outcome = api.demo(storage, sets or ())
    present.show(outcome.to_json(), json, lambda: present.demo(outcome, setup_seconds))


@app.command()
def spec(
    experiment: Annotated[Path | None, typer.Argument(help="The experiment file (YAML).")] = None,
    sets: Sets = None,
    keys: Annotated[bool, typer.Option("--keys", help="Describe every key of the experiment file.")] = False,
    json: Json = False,
) -> None:
    """Print the resolved experiment file, or describe every key."""
    from drivereplay import api

    if keys or experiment is None:
        rows = api.describe_keys()
        present.show(rows, json, lambda: present.keys(rows))
        return
    loaded = api.load_spec(experiment, sets or ())
    present.show(loaded.model_dump(mode="json"), json, lambda: typer.echo(loaded.to_yaml(), nl=False))


@app.command()
def worlds(
    directory: Annotated[Path | None, typer.Argument(help="Directory to write.")] = None,
    world: Annotated[str, typer.Option(help="Name of the world.")] = "highway",
    clips: Annotated[int, typer.Option(help="Videos to write.")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.")] = 0,
    split: Annotated[str, typer.Option(help="regular, rare-motion or both.")] = "regular",
    frames: Annotated[int, typer.Option(help="Frames of each video.")] = 32,
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 8.0,
    height: Annotated[int, typer.Option(help="Height in pixels.")] = 96,
    width: Annotated[int, typer.Option(help="Width in pixels.")] = 160,
    list_worlds: Annotated[bool, typer.Option("--list", help="List the worlds.")] = False,
    json: Json = False,
) -> None:
    """Write a simulated domain: mp4 files with exact annotations."""
    from drivereplay import api

    if list_worlds:
        names = api.list_worlds()
        present.show(names, json, lambda: present.pairs(names))
        return
    if directory is None:
        raise SpecError(
            "worlds: the directory is missing.", "For example: drivereplay worlds out --world highway --clips 16."
        )
    written = api.write_worlds(
        directory, world, clips=clips, seed=seed, split=split, frames=frames, fps=fps, height=height, width=width
    )
    summary = {"directory": str(directory), "world": world, "videos": [r.path for r in written]}
    present.show(summary, json, lambda: typer.echo(f"{len(written)} videos of {world} in {directory}"))


@app.command()
def ingest(
    directory: Annotated[str, typer.Argument(help="Directory, file or glob of videos, or a data set's root.")],
    domain: Annotated[str, typer.Option(help="Name of the domain.")],
    out: Annotated[Path, typer.Option(help="The index to write (Parquet).")],
    kind: Annotated[str, typer.Option(help="Reader: videos, kitti, nuscenes, ...")] = "videos",
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    context: Annotated[int, typer.Option(help="Frames of it that are given.")] = 2,
    fps: Annotated[float, typer.Option(help="Frames per second of a clip.")] = 8.0,
    held_out: Annotated[float, typer.Option(help="Share of recordings held out.")] = 0.25,
    quality: Annotated[
        Path | None,
        typer.Option(help="YAML with limits of the quality report: an experiment, or its `quality` section."),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Print the whole report, every check and file.")] = False,
    json: Json = False,
) -> None:
    """Probe videos, set the bad ones aside with the reason, report data that look wrong, write the clip index."""
    from drivereplay import api

    limits = None if quality is None else api.load_quality(quality)
    index = api.ingest(
        directory, domain=domain, out=out, kind=kind, frames=frames, context=context, fps=fps, held_out=held_out
    )
    rows = api.quality_report(index, limits)
    document = {**index.report.to_json(), "quality": rows, "index": str(out), "recordings": present.videos(index)}
    present.show(document, json, lambda: present.ingest(index, rows, out, report))
    if limits is None:
        return
    try:
        api.enforce_quality(index, limits)
    except DriveReplayError as error:
        if not json:
            raise
        # the one document has been printed, and says which checks fail
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


@app.command()
def plan(
    experiment: Experiment,
    steps: Annotated[int, typer.Option(help="Steps to print.")] = 5,
    first: Annotated[int, typer.Option(help="The first of them.")] = 0,
    rank: Annotated[int, typer.Option(help="Rank to print.")] = 0,
    world_size: Annotated[int, typer.Option(help="Number of workers.")] = 1,
    sets: Sets = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The whole run instead: shares, epochs, clips never reached, cost.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the sampling plan: what would be trained on, in what order."""
    from drivereplay import api

    loaded = api.load_spec(experiment, sets or ())
    if dry_run:
        rows = api.foresee_plan(loaded, world_size=world_size)
        present.show(rows, json, lambda: present.table(f"{loaded.training.steps} steps", rows))
        return
    printed = api.plan(loaded, steps=steps, first=first, rank=rank, world_size=world_size)
    present.show(printed, json, lambda: present.plan(printed))


@app.command()
def prepare(experiment: Experiment, sets: Sets = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Write worlds, index videos, decode and encode every training clip once, before the trials need them."""
    from drivereplay import api

    loaded = api.load_spec(experiment, sets or ())
    if dry_run:
        foreseen = api.foresee_plan(loaded)
        present.show(foreseen, json, lambda: present.table("what a run decodes and keeps", foreseen))
        return
    filled = api.prepare(loaded, quiet=json)
    document = {"domains": filled.rows(), "bad": filled.bad, "rendered": filled.rendered}
    present.show(document, json, lambda: present.filled(filled))


@app.command()
def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file (YAML); not with --from.", show_default=False)
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="RUN:CANDIDATE: the setting of a sweep's candidate, or of its `knee`."),
    ] = None,
    sets: Sets = None,
    resume: Resume = False,
    no_cache: NoCache = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """One fine-tuning run, evaluated: of an experiment file, or of a candidate's setting (--from RUN:CANDIDATE)."""
    from drivereplay import api

    if (experiment is None) == (start is None):
        raise SpecError("train: give either an EXPERIMENT or --from RUN:CANDIDATE.")
    overrides = _with_cache(sets, no_cache)
    if start is not None:
        loaded = api.candidate_spec(start, overrides)
    else:
        assert experiment is not None
        loaded = api.load_spec(experiment, overrides)
    if dry_run:
        cost = api.foresee(loaded)
        present.show(cost, json, lambda: present.pairs(cost))
        return
    outcome = api.train(loaded, resume=resume, quiet=json)
    present.show(outcome.to_json(), json, lambda: present.trained(outcome))


@app.command()
def generate(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint directory.")],
    input: Annotated[Path, typer.Option("--input", help="A video whose first frames are the context.")],
    out: Annotated[Path, typer.Option("--out", help="The mp4 to write.")],
    frames: Annotated[int | None, typer.Option(help="Frames to write; default: the clip's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling noise.")] = 0,
    denoising_steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    json: Json = False,
) -> None:
    """A video from a checkpoint."""
    from drivereplay import api

    written = api.generate(checkpoint, input, out, frames=frames, seed=seed, denoising_steps=denoising_steps)
    present.show({"out": str(written)}, json, lambda: typer.echo(f"written: {written}"))


@app.command()
def evaluate(
    checkpoint: Annotated[Path | None, typer.Argument(help="A checkpoint directory of a run.")] = None,
    generated: Annotated[Path | None, typer.Option(help="Directory of generated videos.")] = None,
    real: Annotated[Path | None, typer.Option(help="Directory of the real ones; matched by file name.")] = None,
    context: Annotated[int, typer.Option(help="Leading frames that were given (with --generated).")] = 1,
    frames: Annotated[int | None, typer.Option(help="Judge the first N frames (with --generated).")] = None,
    fps: Annotated[float | None, typer.Option(help="Take frames at this rate (with --generated).")] = None,
    size: Annotated[str | None, typer.Option(help="Bring all to HEIGHTxWIDTH (with --generated).")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out files without a counterpart.")] = False,
    pseudo: Annotated[
        Literal["motion", "detector", "none"],
        typer.Option(help="How objects are found in videos without annotations (with --generated)."),
    ] = "motion",
    against: Annotated[Path | None, typer.Option(help="An evaluation.json or a checkpoint to compare with.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metric", help="Only these metrics. May be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for evaluation.json and the HTML page.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where work on the real videos is kept (with --generated); default: in --out.")
    ] = None,
    sets: Sets = None,
    json: Json = False,
) -> None:
    """The metrics of a checkpoint, or of any model's videos (--generated DIR --real DIR)."""
    from drivereplay import api

    if (checkpoint is None) == (generated is None) or (generated is None) != (real is None):
        raise SpecError("evaluate: give either a CHECKPOINT or both --generated DIR and --real DIR.")
    if checkpoint is not None:
        report = api.evaluate(checkpoint, sets=sets or (), metrics=metrics or (), out=out, quiet=json)
    else:
        assert generated is not None and real is not None
        report = api.evaluate_videos(
            generated,
            real,
            context=context,
            frames=frames,
            fps=fps,
            size=_height_width(size),
            partial=partial,
            pseudo=pseudo,
            metrics=metrics or (),
            out=out,
            cache=cache,
            quiet=json,
        )
    comparison = api.compare(report, against, sets=sets or ()) if against else None
    document = report.to_json() if comparison is None else {**report.to_json(), "against": comparison.to_json()}
    present.show(document, json, lambda: present.report(report, comparison))


@app.command()
def sweep(
    experiment: Experiment,
    sets: Sets = None,
    resume: Resume = False,
    no_cache: NoCache = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """The search: anchors, then trials; ends with the front."""
    from drivereplay import api

    loaded = api.load_spec(experiment, _with_cache(sets, no_cache))
    if dry_run:
        foreseen = api.foresee_sweep(loaded)
        present.show(foreseen, json, lambda: present.pairs(foreseen))
        return
    found = api.sweep(loaded, resume=resume, quiet=json)
    present.show(found.to_json(), json, lambda: present.front(found))


@app.command()
def front(
    directory: RunDirectory,
    other: Annotated[str | None, typer.Argument(help="Another sweep of the same protocol to compare with.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the front: a .png or .svg file.")] = None,
    export: Annotated[str | None, typer.Option(help="Export a candidate (its name, or `knee`) ...")] = None,
    out: Annotated[
        Path | None, typer.Option(help="... into this directory, in diffusers' layout with a model card.")
    ] = None,
    json: Json = False,
) -> None:
    """The front: table, hypervolume, the knee, the picture."""
    from drivereplay import api

    if (export is None) != (out is None):
        raise SpecError("front: --export CANDIDATE and --out DIRECTORY go together.")
    found = api.front(directory)
    if plot is not None:
        api.plot_front(found, plot)
    if export is not None and out is not None:
        api.export_candidate(directory, export, out)
    comparison = api.compare_fronts(directory, other) if other else None
    document = found.to_json() if comparison is None else {**found.to_json(), "against": comparison}
    present.show(document, json, lambda: present.front(found, comparison, plot, out))
