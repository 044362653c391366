"""A sweep of 200 tiny trials left alone: nothing grows, nothing is spilled, nothing stays behind.

SOAK_RECORD=DIR python -m pytest -m soak tests/end_to_end/soak      also leaves long-run.csv and long-run.png in DIR
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import psutil
import pytest
from cluster.local.cluster import LocalCluster, running, until
from tests.end_to_end.sweeps import Run, write_sweep

TRIALS = int(os.environ.get("SOAK_TRIALS", "200"))
STEPS = int(os.environ.get("SOAK_STEPS", "60"))
EVERY_S = 10.0
SPILLED = "ray_spilled_objects"
DETACHED = frozenset({"_StatsActor", "_AutoscalingCoordinatorActor", "_UsageCollectionActor"})
"""Ray Data's own, one of each for a cluster; they stay for whoever comes next."""


@dataclass(frozen=True)
class Moment:
    """What a sweep holds at one time.

    Attributes:
        seconds: Since the start.
        trials: That have left their record.
        driver_mb: Resident memory of the driver.
        cluster_mb: The same of all other processes of the cluster, pages they share counted once each.
        processes: Of the cluster.
        descriptors: Open in the driver and in the cluster.
        actors: Alive.
        groups: Placement groups that are not removed.
        session_files: Below Ray's own directory. Not counted: logs, which Ray keeps for each worker process, and
            the two empty directories that Tune leaves there for each trial.
        spilled: Files that the object store has written to disk.
    """

    seconds: float
    trials: int
    driver_mb: float
    cluster_mb: float
    processes: int
    descriptors: int
    actors: int
    groups: int
    session_files: int
    spilled: int


def look(cluster: LocalCluster, run: Run, started: float) -> Moment:
    """Take stock now."""
    assert run.process is not None
    driver = psutil.Process(run.process.pid)
    own, memory, descriptors, processes = driver.memory_info().rss / 1e6, 0.0, driver.num_fds(), 0
    for pid in cluster.processes():
        try:
            process = psutil.Process(pid)
            memory += process.memory_full_info().uss / 1e6
            descriptors += process.num_fds()
            processes += 1
        except psutil.Error:
            continue
    actors = _rows(cluster, "actors", "ALIVE")
    groups = _rows(cluster, "placement_groups", "CREATED", "PENDING", "RESCHEDULING")
    files = [path for path in Path(cluster.temporary()).rglob("*") if path.is_file() and "logs" not in path.parts]
    spilled = sum(any(part.startswith(SPILLED) for part in path.parts) for path in files)
    trials = len(list((run.directory / "trials").glob("*/candidates.json")))
    seconds = time.monotonic() - started
    return Moment(seconds, trials, own, memory, processes, descriptors, actors, groups, len(files), spilled)


def _rows(cluster: LocalCluster, kind: str, *states: str, without: Collection[str] = ()) -> int:
    answer = cluster.get(f"/api/v0/{kind}?detail=0&limit=10000")
    rows = answer["data"]["result"]["result"]
    return sum(row["state"] in states and row.get("class_name") not in without for row in rows)


def record(moments: list[Moment], directory: Path) -> None:
    """Leave the table and its graphs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    directory.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(Moment)]
    with (directory / "long-run.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *(astuple(moment) for moment in moments)])
    figure, axes = pyplot.subplots(3, 3, figsize=(12, 8), sharex=True, layout="constrained")
    minutes = [moment.seconds / 60 for moment in moments]
    for axis, name in zip(axes.flat, names[1:], strict=True):
        axis.plot(minutes, [getattr(moment, name) for moment in moments], linewidth=1)
        axis.set_title(name.replace("_", " "))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("minutes")
    figure.savefig(directory / "long-run.png", dpi=110)
    pyplot.close(figure)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """One node, which can be looked into from outside."""
    with running(nodes=1, cpus=2) as started:
        yield started


@pytest.fixture
def sweep(footage: Path, tmp_path: Path, cluster: LocalCluster) -> Iterator[Run]:
    """The sweep, on that node."""
    search = {
        "objectives": ["fidelity.psnr", "agents.flow_epe"],
        "space": {"replay.frequency": {"uniform": [0.0, 0.6]}},
        "anchors": ["base", "naive", "replay-only"],
        "trials": TRIALS - 3,
        "concurrent": 1,
    }
    training = {"steps": STEPS, "batch_size": 8, "learning_rate": 1e-3, "warmup": 1, "checkpoint_every": STEPS}
    run = write_sweep(footage, tmp_path, search=search, training=training)
    run.environment = {**cluster.environment, "RAY_ADDRESS": cluster.gcs}
    yield run
    run.end()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_nothing_grows(cluster: LocalCluster, sweep: Run) -> None:
    """Typical values of the last fifth against those of the second, when pools and caches have been filled."""
    started = time.monotonic()
    moments: list[Moment] = []
    sweep.start()
    process = sweep.process
    assert process is not None

    def due() -> bool:
        return process.poll() is not None or time.monotonic() - started >= EVERY_S * (len(moments) + 1)

    while True:
        until(due, 60.0, "the next moment")
        if process.poll() is not None:
            break
        moments.append(look(cluster, sweep, started))
        if place := os.environ.get("SOAK_RECORD"):
            record(moments, Path(place))
    assert process.returncode == 0, sweep.log.read_text()[-3000:]
    assert len(sweep.candidates()) == TRIALS
    assert max(moment.spilled for moment in moments) == 0

    until(lambda: _rows(cluster, "actors", "ALIVE", without=DETACHED) == 0, 60.0, "the last actors to end")
    until(
        lambda: _rows(cluster, "placement_groups", "CREATED", "PENDING") == 0, 60.0, "the last placement groups to go"
    )

    def typical(name: str, part: int) -> float:
        values = [getattr(moment, name) for moment in moments]
        fifth = len(values) // 5
        return float(np.median(values[part * fifth : (part + 1) * fifth]))

    for name, allowed in (
        ("driver_mb", 30.0), ("cluster_mb", 100.0), ("processes", 1.0), ("descriptors", 15.0), ("actors", 0.0),
        ("groups", 0.0), ("session_files", 10.0),
    ):  # fmt: skip
        assert typical(name, 4) <= typical(name, 1) + allowed, name
