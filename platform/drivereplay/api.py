"""The verbs as functions: what the command line calls and what `import drivereplay` offers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from drivereplay.errors import SpecError
from drivereplay.spec import ClipSpec, DatasetSource, DomainSpec, Spec, VideosSource, load_spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.data.index import ClipIndex
    from drivereplay.doctor import Check
    from drivereplay.domains.recording import Recording
    from drivereplay.evaluation.compare import Comparison
    from drivereplay.evaluation.report import Report
    from drivereplay.search.front import Front
    from drivereplay.search.single import TrialOutcome

__all__ = ["load_spec"]

QUICKSTART = Path(__file__).with_name("quickstart.yaml")


# --- experiment files ---------------------------------------------------------------------------------------------


def describe_keys() -> list[dict[str, str]]:
    """Every key of the experiment file: `key`, `default`, `meaning`."""
    schema = Spec.model_json_schema()
    rows: list[dict[str, str]] = []

    def walk(section: Mapping[str, Any], prefix: str, seen: tuple[str, ...]) -> None:
        for key, field in section.get("properties", {}).items():
            name = f"{prefix}{key}"
            default = field.get("default", "required" if key in section.get("required", ()) else "")
            nested = [r for r in _references(field) if r not in seen]
            shown = "" if isinstance(default, dict) and nested else str(default)
            rows.append({"key": name, "default": shown, "meaning": str(field.get("description", ""))})
            for reference in nested:
                walk(
                    schema["$defs"][reference], f"{name}." if "items" not in field else f"{name}.N.", (*seen, reference)
                )

    walk(schema, "", ())
    return rows


def _references(field: Any) -> list[str]:
    if isinstance(field, dict):
        own = [field["$ref"].rsplit("/", 1)[-1]] if "$ref" in field else []
        below = [
            r for key, value in field.items() if key not in {"discriminator", "default"} for r in _references(value)
        ]
        return own + below
    if isinstance(field, list):
        return [r for item in field for r in _references(item)]
    return []


# --- domains and data ---------------------------------------------------------------------------------------------


def list_worlds() -> dict[str, str]:
    """World names and what each shows."""
    from drivereplay.domains.worlds import WORLDS

    return {name: world.summary for name, world in WORLDS.items()}


def write_worlds(
    directory: Path,
    world: str,
    *,
    clips: int,
    seed: int = 0,
    split: str = "regular",
    frames: int = 32,
    fps: float = 8.0,
    height: int = 96,
    width: int = 160,
) -> list[Recording]:
    """Write a simulated domain; see `drivereplay.domains.worlds.write_world`."""
    from drivereplay.domains.worlds import write_world
    from drivereplay.session import ensure_ray

    ensure_ray()
    return write_world(
        directory, world, clips=clips, seed=seed, split=split, frames=frames, fps=fps, height=height, width=width
    )


def ingest(
    path: str,
    *,
    domain: str,
    out: Path,
    kind: str = "videos",
    frames: int = 8,
    context: int = 2,
    fps: float = 8.0,
    held_out: float = 0.25,
    seed: int = 0,
) -> ClipIndex:
    """Probe the videos of one domain and write its clip index."""
    from drivereplay.data.index import ingest as write_index
    from drivereplay.domains import recordings
    from drivereplay.session import ensure_ray

    clip = _checked(ClipSpec, {"frames": frames, "context": context, "fps": fps})
    reader = VideosSource if kind == "videos" else DatasetSource
    source = _checked(reader, {"kind": kind, "path": path})
    described = _checked(DomainSpec, {"name": domain, "source": source})
    ensure_ray()
    found = recordings(described, clip, Storage.of(out.parent / ".shared"))
    return write_index(found, domain=domain, clip=clip, held_out=held_out, seed=seed, out=out)


def _checked(section: Any, values: dict[str, Any]) -> Any:
    import pydantic

    try:
        return section(**values)
    except pydantic.ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())
        raise SpecError(f"{said}.") from error


def plan(spec: Spec, *, steps: int = 5, first: int = 0, rank: int = 0, world_size: int = 1) -> dict[str, Any]:
    """The sampling plan of `steps` steps from `first`, for one rank, with the shares it comes to."""
    if spec.training.batch_size % world_size or not 0 <= rank < world_size:
        raise SpecError(
            f"rank {rank} of {world_size} workers does not fit a batch of {spec.training.batch_size}.",
            "Take a number of workers that divides the batch, and a rank below it.",
        )
    from drivereplay.data.plan import SamplingPlan
    from drivereplay.data.prepare import prepare
    from drivereplay.session import ensure_ray

    ensure_ray()
    indexes = list(prepare(spec).values())
    sampling = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    rows = []
    for step in range(first, first + steps):
        planned = sampling.step(step)
        for slot in sampling.rank_slots(step, rank, world_size):
            index = indexes[int(planned.domain[slot])]
            window = index.window("train", int(planned.clip[slot]))
            rows.append(
                {
                    "step": step,
                    "slot": int(slot),
                    "sample": int(planned.sample[slot]),
                    "domain": index.name,
                    "clip": int(planned.clip[slot]),
                    "key": window.key,
                    "start_s": round(float(window.start_s), 4),
                }
            )
    total = {index.name: sum(row["domain"] == index.name for row in rows) for index in indexes}
    return {
        "rows": rows,
        "samples_by_domain": total,
        "clips_by_domain": {index.name: index.count("train") for index in indexes},
    }


def foresee_plan(spec: Spec, *, world_size: int = 1) -> list[dict[str, Any]]:
    """The whole run's plan, a row per domain: shares, epochs, clips never reached, samples per rank, cost."""
    from drivereplay.data.plan import SamplingPlan
    from drivereplay.data.prepare import prepare
    from drivereplay.data.summary import summary
    from drivereplay.session import ensure_ray

    if world_size < 1 or spec.training.batch_size % world_size:
        raise SpecError(f"{world_size} workers do not divide a batch of {spec.training.batch_size}.")
    ensure_ray()
    indexes = list(prepare(spec).values())
    sampling = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    return [row.row() for row in summary(spec, indexes, sampling, world_size=world_size)]


# --- training, evaluation, search ---------------------------------------------------------------------------------


def train(spec: Spec, *, resume: bool = False, quiet: bool = False) -> TrialOutcome:
    """One fine-tuning run, evaluated at its checkpoints, in `<storage>/<name>/trials/run/`, with its event files.

    With `evaluation.replay_clips` the report of the last checkpoint holds what was forgotten on the replay domains.
    """
    from drivereplay.dashboard.curves import RunBoard
    from drivereplay.search.single import run_single

    outcome = run_single(spec, resume=resume, show_progress=not quiet, told=RunBoard(spec))
    if spec.evaluation.replay_clips and outcome.report is not None:
        from drivereplay.data.prepare import prepare
        from drivereplay.evaluation.domains import forgetting_table
        from drivereplay.models import load_checkpoint

        model = load_checkpoint(Storage.of(outcome.directory).below("checkpoints", f"step-{outcome.steps}").uri)
        cache = Storage.of(spec.storage).below(".shared", "cache")
        outcome.report.tables["forgetting"] = forgetting_table(
            model, spec, prepare(spec), cache=cache, after=outcome.report
        )
        outcome.report.save(Storage.of(outcome.directory))
    return outcome


def foresee(spec: Spec) -> dict[str, Any]:
    """What a run would cost: parameters, memory, steps, storage. Nothing is started."""
    from drivereplay.training.foresee import foresee as estimate

    return estimate(spec)


def foresee_sweep(spec: Spec) -> dict[str, Any]:
    """What a sweep would run, and what one of its trials would cost. Nothing is started."""
    from drivereplay.search.sweep import foresee as estimate

    return {**estimate(spec), **{f"each trial: {key}": value for key, value in foresee(spec).items()}}


def generate(
    checkpoint: Path,
    source: Path,
    out: Path,
    *,
    frames: int | None = None,
    seed: int = 0,
    denoising_steps: int | None = None,
) -> Path:
    """A video from a checkpoint, its first frames given by `source`."""
    from drivereplay.evaluation.generate import generate_file

    return generate_file(checkpoint, source, out, frames=frames, seed=seed, denoising_steps=denoising_steps)


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
    With `evaluation.replay_clips` the report holds what was forgotten on the replay domains, against the base.
    """
    from drivereplay.data.clips import evaluation_clips
    from drivereplay.data.prepare import prepare
    from drivereplay.evaluation.counter import Counter
    from drivereplay.evaluation.domains import forgetting_table
    from drivereplay.evaluation.judge import evaluate_model
    from drivereplay.models import load_checkpoint
    from drivereplay.session import ensure_ray

    spec = spec_of_checkpoint(checkpoint, sets, metrics)
    ensure_ray()
    indexes = prepare(spec)
    index = indexes[spec.target.name]
    clips = evaluation_clips(
        index, spec.clip, count=spec.evaluation.clips, seed=spec.evaluation.seed, subset=spec.evaluation.split
    )
    page = None if out is None else Storage.of(out)
    cache = Storage.of(spec.storage).below(".shared", "cache")
    model = load_checkpoint(checkpoint)
    with Counter("evaluate", None if quiet else spec.evaluation.clips) as counter:
        report = evaluate_model(model, clips, spec, cache=cache, page=page, progress=counter)
    if spec.evaluation.replay_clips:
        report.tables["forgetting"] = forgetting_table(model, spec, indexes, cache=cache, after=report)
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
    """
    from drivereplay.evaluation.counter import Counter
    from drivereplay.evaluation.judge import evaluate_videos as judge
    from drivereplay.evaluation.videos import matched

    page = None if out is None else Storage.of(out)
    kept = Storage.of(cache) if cache is not None else None if page is None else page.below(".cache")
    count = None if quiet else len(matched(generated, real, partial=partial))
    with Counter("evaluate", count) as counter:
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


def sweep(spec: Spec, *, resume: bool = False, quiet: bool = False) -> Front:
    """The search: anchors, then trials. Leaves candidates, front, journal and event files in `<storage>/<name>/`."""
    from drivereplay.dashboard.board import SweepBoard
    from drivereplay.search.sweep import sweep as run_sweep
    from drivereplay.session import ensure_ray

    ensure_ray()
    return run_sweep(spec, resume=resume, listeners=[SweepBoard()], show_progress=not quiet)


@dataclass(frozen=True)
class Demo:
    """What the demo leaves.

    Attributes:
        front: The front that was found.
        directory: The run's directory.
        picture: The front's PNG.
        seconds: Wall time of the main job.
    """

    front: Front
    directory: str
    picture: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """A JSON document with the front in it."""
        return {
            "directory": self.directory,
            "picture": self.picture,
            "seconds": round(self.seconds, 1),
            "front": self.front.to_json(),
        }


def demo(storage: str = "runs", sets: Iterable[str] = ()) -> Demo:
    """The whole thing on the embedded default. A finished demo is run again from the start, under the same name."""
    spec = load_spec(QUICKSTART, [*sets, f"storage={storage}"])
    Storage.of(spec.storage).delete(spec.name)
    started = time.monotonic()
    found = sweep(spec)
    directory = Storage.of(spec.storage).below(spec.name)
    picture = directory.path("front.png")
    local = directory.local
    if local is not None:
        plot_front(found, local / "front.png")
    return Demo(found, directory.uri, picture, time.monotonic() - started)


def front(directory: str | Path) -> Front:
    """The front of a finished or running sweep."""
    from drivereplay.search.front import load_front

    return load_front(directory)


def plot_front(found: Front, file: Path) -> None:
    """Draw a front to a .png or .svg file."""
    from drivereplay.dashboard.figures import save_front

    save_front(found, file)


def compare_fronts(directory: str | Path, other: str | Path) -> dict[str, Any]:
    """Two sweeps of the same protocol, side by side."""
    from drivereplay.search.compare import compare_fronts as compared

    return compared(front(directory), front(other))


def export_candidate(directory: str | Path, name: str, out: Path) -> None:
    """The chosen candidate as a diffusers directory with a model card."""
    from drivereplay.search.export import export_candidate as export

    export(directory, name, out)


# --- clusters, machines, dashboards -------------------------------------------------------------------------------


def submit(
    arguments: Sequence[str],
    *,
    address: str | None = None,
    name: str | None = None,
    detach: bool = False,
    include: Iterable[Path] = (),
    requirements: Path | None = None,
    env: Sequence[str] = (),
    dry_run: bool = False,
    as_json: bool = False,
    say: Callable[[str], None] | None = None,
) -> int:
    """Run a verb as a Ray job; the exit code is the job's own. See `drivereplay.jobs.submit`."""
    from drivereplay.jobs import submit as submit_job

    return submit_job(
        arguments,
        address=address,
        name=name,
        wait=not detach,
        include=include,
        requirements=requirements,
        env=env,
        dry_run=dry_run,
        as_json=as_json,
        say=say,
    )


def list_jobs(address: str | None = None) -> list[dict[str, Any]]:
    """The jobs on a cluster."""
    from drivereplay.jobs import list_jobs as listed

    return listed(address)


def job_logs(job: str, address: str | None = None) -> str:
    """The log of a job."""
    from drivereplay.jobs import job_logs as text

    return text(job, address)


def stop_job(job: str, address: str | None = None) -> str:
    """Stop a job; returns its state."""
    from drivereplay.jobs import stop_job as stopped

    return stopped(job, address)


def status(directory: str | Path) -> dict[str, Any]:
    """What runs, how far, how long still, what failed, what it has cost."""
    from drivereplay.status import status as read_status

    return read_status(directory)


def doctor(*, storage: str = "runs", cluster: bool = False) -> list[Check]:
    """What works on this machine and what does not."""
    from drivereplay.doctor import doctor as examine

    return examine(storage=storage, cluster=cluster)


def open_dashboard(directory: str | Path, *, port: int = 6006, host: str = "127.0.0.1", browser: bool = True) -> None:
    """Start TensorBoard on a run and stay until it is interrupted."""
    from drivereplay.dashboard.serve import open_dashboard as serve

    serve(directory, port=port, host=host, browser=browser)


def write_static_dashboard(directory: str | Path, file: Path) -> Path:
    """The Pareto tab as one self-contained HTML file."""
    from drivereplay.dashboard.static import write_static

    return write_static(directory, file)


def install_weights(only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Fetch, verify and convert the optional metric weights."""
    from drivereplay.evaluation.weights import install

    return install(tuple(only))
