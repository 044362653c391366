"""The storage fills up, or goes away for a while."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.sweeps import Run, write_sweep
from tests.s3 import S3Server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with 64 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system of its own needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place], check=True)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_the_disk_is_full(footage: Path, small_disk: Path, undisturbed: Run) -> None:
    """The run ends with one clear line; with room again it goes on, and nothing that was finished is lost."""
    run = write_sweep(footage, small_disk)
    try:
        run.start()
        run.in_the_middle_of("naive")
        free = shutil.disk_usage(small_disk).free
        filler = small_disk / "filler"
        filler.write_bytes(bytes(max(0, free - 64 * 1024)))
        assert run.wait() == 1
        said = run.log.read_text()
        assert "No space left on device" in said
        filler.unlink()
        whole = undisturbed.candidates()
        finished = {name: row for name, row in run.candidates().items() if row["status"] == "finished"}
        assert finished and all(row == whole[name] for name, row in finished.items())
    finally:
        run.end()


def test_the_object_store_is_away_for_twenty_seconds(
    footage: Path, tmp_path: Path, undisturbed: Run, s3_server: S3Server
) -> None:
    """503 on every request in the middle of a sweep; nobody has to do anything."""
    address = s3_server.uri("chaos")
    run = write_sweep(footage, tmp_path, storage=address)
    run.environment = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
    from drivereplay.storage import Storage

    storage = Storage.of(address).below("small")
    try:
        run.start()
        run.until("the first checkpoint", lambda: bool(storage.names("trials/naive/checkpoints")))
        away_until = time.monotonic() + 20.0
        s3_server.fault = lambda environ: b"503 Slow Down" if time.monotonic() < away_until else None
        run.finish()
        assert s3_server.met > 0
        storage.download("", run.directory)
        run.equals(undisturbed)
    finally:
        run.end()
