"""Checkpoints go to a remote storage while training goes on, whole or not at all."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from fsspec.implementations.local import LocalFileSystem
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

from drivereplay.errors import TrainingError
from drivereplay.models import load_model
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training import checkpoint as module
from drivereplay.training.checkpoint import checkpoints
from drivereplay.training.group import Group
from drivereplay.training.loop import LoopState, fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin
from drivereplay.training.upload import Uploads


def remote(path: Path) -> Storage:
    """A storage that is no local directory and makes directories by itself, as an object store does."""
    files = LocalFileSystem(auto_mkdir=True)
    return Storage(pafs.PyFileSystem(pafs.FSSpecHandler(files)), str(path / "run"), "mock://bucket/run")


def run(spec: Spec, directory: Storage, told: Any = lambda *_: False) -> LoopState:
    state, extra = begin(load_model(spec), spec, directory)
    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress(spec.name, spec.training.steps, every=1, show=False)
    hooks = RunHooks(spec, directory, indexes, Group(), state, extra, progress, told)
    try:
        fine_tune(state.model, memory_batches(spec, state.step), spec, state=state, hooks=hooks)
    except BaseException:
        hooks.abandon()
        raise
    hooks.end()
    return state


def test_one_upload_at_a_time_and_its_trouble_comes_back() -> None:
    uploads, order, gate = Uploads(), [], threading.Event()

    def first() -> None:
        gate.wait(30)
        order.append("first")

    uploads.start(first)
    assert order == []
    threading.Timer(0.05, gate.set).start()
    uploads.start(lambda: order.append("second"))
    uploads.wait()
    assert order == ["first", "second"]

    def fails() -> None:
        raise TrainingError("gone", "mend it")

    uploads.start(fails)
    with pytest.raises(TrainingError, match="gone"):
        uploads.wait()
    uploads.wait()


def test_training_does_not_wait_for_a_slow_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first checkpoint cannot arrive before two more steps are done, and then all of them do."""
    spec, directory = small_spec(), remote(tmp_path / "bucket")
    publish, gate, seen = module._publish, threading.Event(), []

    def slow(*args: Any) -> None:
        assert gate.wait(60)
        publish(*args)

    monkeypatch.setattr(module, "_publish", slow)
    state, extra = begin(load_model(spec), spec, directory)

    class Watched(RunHooks):
        def stepped(self, point: Any, batch: Any) -> None:
            super().stepped(point, batch)
            if point.step == 3:
                seen.append([c.step for c in checkpoints(directory)])
                gate.set()

    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress(spec.name, spec.training.steps, every=1, show=False)
    hooks = Watched(spec, directory, indexes, Group(), state, extra, progress, lambda *_: False)
    fine_tune(state.model, memory_batches(spec), spec, state=state, hooks=hooks)
    hooks.end()
    assert seen == [[]]  # step 2's was on its way while steps 2 and 3 were done
    assert [c.step for c in checkpoints(directory)] == [2, 4, 6]


def test_a_half_uploaded_checkpoint_is_not_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage goes away in the middle of the second checkpoint: a clear end, and a resume from the first."""
    spec, directory = small_spec(), remote(tmp_path / "bucket")
    whole = remote(tmp_path / "whole")
    expected = run(spec, whole)
    upload, count = Storage.upload, []

    def breaks(self: Storage, local: Path, relative: str) -> None:
        count.append(relative)
        if len(count) > 1:
            upload(self, local / "transformer", f"{relative}/transformer")
            raise OSError(errno.ENOSPC, "the bucket is full")
        upload(self, local, relative)

    monkeypatch.setattr(Storage, "upload", breaks)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with pytest.raises(TrainingError, match="failed 5 times.*the bucket is full") as caught:
        run(spec, directory)
    assert "--resume" in caught.value.fix
    assert directory.names("checkpoints") == ["step-00000002", "step-00000004"]
    assert [c.step for c in checkpoints(directory)] == [2]
    monkeypatch.setattr(Storage, "upload", upload)
    resumed = run(spec, directory)
    assert [c.step for c in checkpoints(directory)] == [2, 4, 6]
    for name, parameter in resumed.parameters.items():
        assert (parameter == expected.parameters[name]).all()


def test_the_last_checkpoint_arrives_when_the_run_ends_by_an_error(tmp_path: Path) -> None:
    spec, directory = small_spec(), remote(tmp_path / "bucket")

    def told(state: LoopState, *_: Any) -> bool:
        raise ZeroDivisionError("of the caller's own making")

    with pytest.raises(ZeroDivisionError):
        run(spec, directory, told)
    assert [c.step for c in checkpoints(directory)] == [2]
