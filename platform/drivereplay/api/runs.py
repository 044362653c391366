"""Verbs about one model: prepare, train, generate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay.spec import Spec

if TYPE_CHECKING:
    from drivereplay.search.single import TrialOutcome
    from drivereplay.training.fill import Filled


def train(spec: Spec, *, resume: bool = False, quiet: bool = False) -> TrialOutcome:
    """One fine-tuning run, evaluated at its checkpoints, in `<storage>/<name>/trials/run/`, with its event files."""
    from drivereplay.dashboard.curves import RunBoard
    from drivereplay.search.single import run_single

    return run_single(spec, resume=resume, show_progress=not quiet, told=RunBoard(spec))


def foresee(spec: Spec) -> dict[str, Any]:
    """What a run would cost: parameters, memory, steps, storage. Nothing is started."""
    from drivereplay.training.foresee import foresee as estimate

    return estimate(spec)


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


def prepare(spec: Spec, *, quiet: bool = True) -> Filled:
    """Write worlds, index videos and fill the caches: what the first trials of a sweep would else wait for.

    Domains whose clips are rendered when they are needed (`clips: fresh`) have nothing to prepare.

    `quiet` shows no progress.
    """
    from drivereplay.data.prepare import prepare as indexed
    from drivereplay.evaluation.counter import Counter
    from drivereplay.session import ensure_ray
    from drivereplay.training.fill import fill

    ensure_ray()
    indexes = list(indexed(spec).values())
    with Counter(
        "prepare", None if quiet else sum(index.count("train") for index in indexes if not index.rendered)
    ) as counter:
        return fill(spec, indexes, progress=counter)
