"""Verbs about footage: worlds, ingest, plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay.errors import SpecError
from drivereplay.spec import ClipSpec, DatasetSource, DomainSpec, QualitySpec, Spec, VideosSource
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.data.index import ClipIndex
    from drivereplay.domains.recording import Recording


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

    return write_world(
        directory,
        world,
        clips=clips,
        seed=seed,
        split=split,
        frames=frames,
        fps=fps,
        height=height,
        width=width,
        beginning=ensure_ray,
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
    found = recordings(described, clip, Storage.of(out.parent / ".shared"))
    ensure_ray()
    return write_index(found, domain=domain, clip=clip, held_out=held_out, seed=seed, out=out)


def quality_report(index: ClipIndex, limits: QualitySpec | None = None) -> list[dict[str, Any]]:
    """The data-quality report of a domain: a row for each check, with its level by these limits or the default ones."""
    from drivereplay.data.quality import measures_of, table

    return table(measures_of(index.report.quality), limits or QualitySpec())


def enforce_quality(index: ClipIndex, limits: QualitySpec) -> None:
    """Refuse data that look worse than the limits allow.

    Raises:
        DataError: A check fails.
    """
    from drivereplay.data.quality import enforce, measures_of

    enforce(index.name, measures_of(index.report.quality), limits)


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
        # None: clips are rendered as they are needed, without end
        "clips_by_domain": {index.name: None if index.endless else index.count("train") for index in indexes},
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
