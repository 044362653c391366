"""Runs and log directories that do not lie on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.summary import Writer
from tests.dashboard.helpers import candidates, front, spec
from tests.dashboard.test_static import embedded
from tests.s3 import S3Server

from drivereplay import storage
from drivereplay.dashboard.board import SweepBoard
from drivereplay.dashboard.serve import log_directory, start
from drivereplay.dashboard.static import write_static
from drivereplay.errors import SpecError
from drivereplay.storage import Storage
from tensorboard_pareto import add_candidate


def polled(url: str, count: int) -> list[dict[str, Any]]:
    """Candidates as the tab gets them, once there are so many; the tests' time limit ends a vain wait."""
    while True:
        with urllib.request.urlopen(f"{url.split('#')[0]}data/plugin/pareto/candidates") as answer:
            found: list[dict[str, Any]] = json.load(answer)["candidates"]
        if len(found) >= count:
            return found
        threading.Event().wait(0.2)


@contextmanager
def served(uri: str) -> Iterator[str]:
    """The verb in a process of its own: in this one TensorBoard would go on looking for S3 after the test."""
    command = [sys.executable, "-m", "drivereplay", "dashboard", uri, "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_sweep_on_s3(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")  # so that what a call sets is gone afterwards
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    directory = Storage.of(s3_server.uri("dashboards/small"))
    board, found = SweepBoard(), candidates(6)
    board.started(spec("s3"), directory)
    for count, candidate in enumerate(found, start=1):
        board.candidate_evaluated(candidate, None)
        board.trial_ended([candidate], front(found[:count]))
    board.ended(front(found))
    assert log_directory(directory.uri) == "s3://runs/dashboards/small/tensorboard"
    assert log_directory(s3_server.uri("dashboards")) == "s3://runs/dashboards"
    with served(directory.uri) as url:
        assert {c["name"] for c in polled(url, 6)} == {c.name for c in found}
    page = write_static(directory.uri, tmp_path / "page.html")
    assert len(embedded(page)["candidates"]) == 6


@pytest.mark.slow
def test_a_store_that_refuses(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE_S", 0.5)
    s3_server.fault = lambda environ: b"403 Forbidden"
    try:
        with pytest.raises(SpecError, match="cannot be read"):
            log_directory(s3_server.uri("dashboards"))
    finally:
        s3_server.fault = None


def test_any_fsspec_file_system() -> None:
    for trial in range(3):
        writer = Writer(f"memory://fsspec/log/trial-{trial}")
        add_candidate(writer, {"rate": trial}, {"error": trial, "seconds": -trial}, name=f"t{trial}")
        writer.close()
    url = start("memory://fsspec/log/", port=0)
    assert sorted(c["name"] for c in polled(url, 3)) == ["t0", "t1", "t2"]
