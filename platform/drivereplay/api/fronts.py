"""Verbs about sweeps and their fronts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay.api.runs import foresee
from drivereplay.spec import Spec, load_spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.search.front import Front

QUICKSTART = Path(__file__).parents[1] / "quickstart.yaml"


def foresee_sweep(spec: Spec) -> dict[str, Any]:
    """What a sweep would run, and what one of its trials would cost. Nothing is started."""
    from drivereplay.search.sweep import foresee as estimate

    return {**estimate(spec), **{f"each trial: {key}": value for key, value in foresee(spec).items()}}


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


def candidate_spec(address: str, sets: Iterable[str] = ()) -> Spec:
    """The experiment of a candidate `RUN:CANDIDATE` of a sweep, to train it with another base, size or length."""
    from drivereplay.search.export import candidate_spec as found

    return found(address, sets)
