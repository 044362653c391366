"""Sweeps in processes of their own, which tests break, watch or measure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml
from cluster.local.cluster import ClusterError, until

from drivereplay.search.candidates import CandidateTable
from drivereplay.storage import Storage

STEPS = 30
TRIALS = ("base", "naive", "replay-only", "t0000", "t0001")


@dataclass
class Run:
    """One experiment and the processes that work on it.

    Attributes:
        experiment: Its file.
        directory: What it leaves behind.
        environment: Added to each process's own.
        submitted: Whether it runs as a job on the cluster that the environment names.
    """

    experiment: Path
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    submitted: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        """Begin `drivereplay sweep <experiment> <words>`, or the same by `submit`."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command(*words),
                stdout=log, stderr=subprocess.STDOUT, env=self._variables(), start_new_session=True,
            )  # fmt: skip

    def beside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call the same again, whatever the run does, and wait for the end of the call."""
        return subprocess.run(
            self._command(*words), env=self._variables(), capture_output=True, text=True, timeout=300, check=False
        )

    def _command(self, *words: str) -> list[str]:
        prefix = ["submit", "--", "sweep"] if self.submitted else ["sweep"]
        return [sys.executable, "-m", "drivereplay", *prefix, str(self.experiment), *words]

    def _variables(self) -> dict[str, str]:
        # Ray gives its workers the lowest priority, on which they would starve beside other work on the machine
        own = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"RAY_worker_niceness": "0"}
        return own | self.environment

    @property
    def log(self) -> Path:
        """What the processes have said."""
        return self.experiment.with_suffix(".log")

    def wait(self, seconds: float = 900.0) -> int:
        """The exit code."""
        assert self.process is not None
        return self.process.wait(timeout=seconds)

    def finish(self, *words: str) -> None:
        """Run it to its end, which has to be a good one."""
        if self.process is None or self.process.poll() is not None:
            self.start(*words)
        assert self.wait() == 0, self.log.read_text()[-4000:]

    def family(self, *titles: str) -> list[psutil.Process]:
        """Processes below the run's own whose command begins with one of the titles; all without any."""
        assert self.process is not None
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if not titles or command.startswith(titles):
                found.append(process)
        return found

    def until(self, what: str, condition: Any, seconds: float = 600.0) -> None:
        """Wait while the run goes on."""
        assert self.process is not None
        process = self.process

        def reached() -> bool:
            if condition():
                return True
            if process.poll() is not None:
                raise ClusterError(
                    f"The run ended with {process.returncode} before {what}: {self.log.read_text()[-3000:]}"
                )
            return False

        until(reached, seconds, what)

    def in_the_middle_of(self, trial: str) -> None:
        """Wait until a trial has a checkpoint and is not at its end."""
        checkpoints = self.directory / "trials" / trial / "checkpoints"

        def begun() -> bool:
            return checkpoints.is_dir() and any(checkpoints.glob("step-*"))

        self.until(f"the first checkpoint of {trial}", begun)

    def end(self) -> None:
        """Kill what is left of it."""
        if self.process is None:
            return
        for process in [*self._safely_all(), self.process]:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=30)

    def _safely_all(self) -> list[psutil.Process]:
        try:
            return self.family()
        except psutil.NoSuchProcess:
            return []

    def candidates(self) -> dict[str, Any]:
        """By name, all that has to be the same after any disturbance: everything but what it cost."""
        rows = [row.to_json() for row in CandidateTable.read(Storage.of(self.directory))]
        names = [(row["trial"], row["step"]) for row in rows]
        assert len(set(names)) == len(names), "a trial is there twice"
        return {f"{row['trial']}@{row['step']}": {k: v for k, v in row.items() if k != "cost"} for row in rows}

    def front(self) -> list[str]:
        """Names of the candidates on it, with the hypervolume."""
        document = json.loads((self.directory / "front.json").read_text())
        return [*sorted(c["name"] for c in document["front"]), f"{document['hypervolume']:.9f}"]

    def ledger(self, trial: str) -> list[Any]:
        """Every sample that the trial was trained on."""
        return pq.read_table(self.directory / "trials" / trial / "ledger.parquet").to_pylist()

    def equals(self, other: Run) -> None:
        """Nothing was lost, nothing done twice, nothing came out otherwise."""
        assert self.candidates() == other.candidates()
        assert self.front() == other.front()
        for trial in TRIALS[1:]:
            assert self.ledger(trial) == other.ledger(trial), trial


def small_experiment(footage: Path, folder: Path, domains: Sequence[str]) -> dict[str, Any]:
    """Name, storage, clip, target and replay of a small experiment on `footage`, its runs below `folder`."""
    return {
        "name": "small",
        "storage": str(folder / "runs"),
        "clip": {"frames": 6, "context": 2, "fps": 8, "height": 16, "width": 24},
        "target": {"name": "driving", "source": {"kind": "videos", "path": str(footage / "driving")}},
        "replay": {
            "frequency": 0.25,
            "domains": [{"name": name, "source": {"kind": "videos", "path": str(footage / name)}} for name in domains],
        },
    }


def write_sweep(footage: Path, folder: Path, **changes: Any) -> Run:
    """A sweep of five trials on small real videos, each with a checkpoint every fifth step."""
    data: dict[str, Any] = {
        **small_experiment(footage, folder, ["street"]),
        "training": {"steps": STEPS, "batch_size": 8, "learning_rate": 1e-3, "warmup": 1, "checkpoint_every": 5},
        "evaluation": {
            "clips": 4, "denoising_steps": 2, "resamples": 100, "videos": 0,
            "metrics": ["fidelity.psnr", "agents.flow_epe"],
        },
        "search": {
            "objectives": ["fidelity.psnr", "agents.flow_epe"],
            "space": {"replay.frequency": {"uniform": [0.0, 0.6]}},
            "anchors": ["base", "naive", "replay-only"],
            "trials": 2,
            "concurrent": 1,
        },
        **changes,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(data))
    return Run(path, folder / "runs" / "small")
