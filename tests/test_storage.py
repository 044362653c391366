"""Storage on a local directory and on a real S3-compatible server, calm and disturbed."""

from __future__ import annotations

import errno
import io
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from tests.s3 import S3Server

from drivereplay import storage as storage_module
from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.storage import Storage, is_away, patiently, private_directory


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return Storage.of(tmp_path / "runs" / "one")
    server: S3Server = request.getfixturevalue("s3_server")
    server.fault = None
    return Storage.of(server.uri(f"{tmp_path.name}/one"))


def test_a_file_is_written_read_replaced_and_removed(storage: Storage) -> None:
    assert not storage.exists("a/spec.yaml")
    storage.write("a/spec.yaml", b"one")
    storage.write("a/spec.yaml", b"second")
    assert storage.read("a/spec.yaml") == b"second"
    assert storage.exists("a/spec.yaml") and storage.exists("a")
    assert storage.names("a") == ["spec.yaml"]
    storage.delete("a/spec.yaml")
    storage.delete("a/spec.yaml")
    assert not storage.exists("a/spec.yaml")


def test_an_empty_file_and_a_large_one(storage: Storage) -> None:
    large = os.urandom(12 * 1024**2)
    storage.write("empty", b"")
    storage.write("large", large)
    assert storage.read("empty") == b""
    assert storage.read("large") == large


def test_what_is_not_there(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read("nothing")
    assert storage.names("nothing") == []
    assert storage.names() == []


def test_names_are_those_of_one_level(storage: Storage) -> None:
    for name in ("b", "a", "trials/0/ledger", "trials/1/ledger"):
        storage.write(name, b"x")
    assert storage.names() == ["a", "b", "trials"]
    assert storage.names("trials") == ["0", "1"]
    storage.delete("trials")
    assert storage.names() == ["a", "b"]


def test_below_reaches_the_same_files(storage: Storage) -> None:
    inner = storage.below("trials", "7/x")
    inner.write("note", b"1")
    assert storage.read("trials/7/x/note") == b"1"
    # the address of a subdirectory is an address: it can be opened anew
    assert Storage.of(inner.uri).read("note") == b"1"
    assert (inner.local is None) == (storage.local is None)


def test_a_directory_goes_there_and_back_in_place_of_the_old_one(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "weights").write_bytes(b"w" * 100)
    (source / "deep" / "config").write_bytes(b"{}")
    storage.write("model/old-file", b"stale")
    storage.upload(source, "model")
    storage.upload(source, "model")
    assert storage.names("model") == ["deep", "weights"]
    storage.download("model", tmp_path / "back")
    assert (tmp_path / "back" / "weights").read_bytes() == b"w" * 100
    assert (tmp_path / "back" / "deep" / "config").read_bytes() == b"{}"


def test_it_can_be_sent_to_another_process(storage: Storage) -> None:
    text = pickle.dumps(storage)
    assert b"test-secret" not in text
    pickle.loads(text).write("note", b"1")
    assert storage.read("note") == b"1"


def test_writable_leaves_nothing_behind(storage: Storage) -> None:
    storage.check_writable()
    assert storage.names() == []


def test_no_name_leads_out(storage: Storage) -> None:
    for act in (storage.below, storage.read, storage.delete, storage.exists, storage.names, storage.path):
        with pytest.raises(DriveReplayError, match="would leave the storage"):
            act("trials/../../other")


def test_unwritable_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpecError, match="cannot be written"):
        Storage.of(tmp_path / "file" / "runs").check_writable()


@pytest.mark.parametrize(
    "uri",
    [
        "s3://KEYID:sesame@bucket/runs",
        "s3://KEYID@bucket/runs",
        "s3://bucket/runs?secret_key=sesame",
        "abfs://container@account/x?client_secret=sesame",
        "hdfs://ann:sesame@head/runs",
    ],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SpecError, match="holds a secret") as caught:
        Storage.of(uri)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("uri", ["nosuchscheme://x/y", "s3://", "http://[bad"])
def test_an_address_that_cannot_be_used_is_said(uri: str) -> None:
    with pytest.raises(SpecError, match="storage"):
        Storage.of(uri)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    storage = Storage.of(tmp_path)
    storage.write("f", b"0" * 200_000)
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            data = storage.read("f")
            seen.add(data[:1] if len(set(data)) == 1 and len(data) == 200_000 else b"half")

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(60):
        storage.write("f", str(n % 10).encode() * 200_000)
    stop.set()
    reader.join()
    assert b"half" not in seen and seen


def test_what_a_killed_writer_leaves_is_not_listed(tmp_path: Path) -> None:
    storage = Storage.of(tmp_path)
    storage.write("whole", b"1")
    (tmp_path / ".whole.0123.partial").write_bytes(b"hal")
    assert storage.names() == ["whole"]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "POST"])
def test_a_store_that_is_busy_is_asked_again(method: str, s3_server: S3Server, tmp_path: Path) -> None:
    """The first seven requests of a kind are refused: more than the S3 library's own three attempts can heal."""
    storage = Storage.of(s3_server.uri(f"busy-{tmp_path.name}"))
    counted = {"n": 0}

    def fault(environ: dict[str, Any]) -> bytes | None:
        if environ["REQUEST_METHOD"] != method:
            return None
        counted["n"] += 1
        return b"503 Slow Down" if counted["n"] <= 7 else None

    s3_server.fault = fault
    try:
        storage.write("file", b"data")
        assert storage.read("file") == b"data"
        assert storage.names() == ["file"]
    finally:
        s3_server.fault = None
    assert counted["n"] > 7


def test_a_store_that_stays_away_is_an_error_in_the_end(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage.of(s3_server.uri(tmp_path.name))
    monkeypatch.setattr(storage_module, "PATIENCE_S", 0.5)
    s3_server.fault = lambda environ: b"503 Slow Down"
    try:
        with pytest.raises(OSError, match=r"SLOW_DOWN|503"):
            storage.write("file", b"data")
    finally:
        s3_server.fault = None


def test_a_half_written_object_is_noticed_and_written_again(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage.of(s3_server.uri(f"half-{tmp_path.name}"))
    cut = {"left": 1}

    class Torn:
        """The real filesystem, whose first stream loses the end of what it is given."""

        def __init__(self, inner: pafs.FileSystem) -> None:
            self._inner = inner

        def open_output_stream(self, path: str) -> Any:
            stream = self._inner.open_output_stream(path)
            if cut["left"]:
                cut["left"] -= 1
                stream.write(b"da")
                stream.close()
                return io.BytesIO()
            return stream

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    torn = Storage(Torn(storage.filesystem), storage.root, storage.uri)  # type: ignore[arg-type]
    torn.write("file", b"data")
    assert storage.read("file") == b"data"
    assert cut["left"] == 0


def test_a_mount_that_comes_back_is_waited_for() -> None:
    left = [OSError(errno.ESTALE, "stale"), OSError(errno.EIO, "input/output"), None]

    def act() -> str:
        error = left.pop(0)
        if error:
            raise error
        return "done"

    assert patiently(act) == "done"


def test_what_waiting_does_not_heal_comes_at_once() -> None:
    calls = []

    def act() -> None:
        calls.append(1)
        raise OSError(errno.ENOSPC, "disk full")

    began = time.monotonic()
    with pytest.raises(OSError, match="disk full"):
        patiently(act)
    assert len(calls) == 1 and time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (OSError("AWS Error SLOW_DOWN during PutObject operation: x"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation"), True),
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 28, Timeout was reached"), True),
        (OSError("AWS Error ACCESS_DENIED during PutObject operation: no"), False),
        (OSError("AWS Error NO_SUCH_BUCKET during PutObject operation"), False),
        (FileNotFoundError(errno.ENOENT, "timeout.mp4"), False),
        (PermissionError(errno.EACCES, "no"), False),
        (OSError(errno.ETIMEDOUT, "timed out"), True),
        (OSError(errno.ENOSPC, "full"), False),
    ],
)
def test_away_is_told_from_wrong(error: OSError, away: bool) -> None:
    assert is_away(error) is away


def test_a_users_directory_is_private_and_made_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = private_directory()
    assert path.parent == tmp_path and path.stat().st_mode & 0o777 == 0o700
    path.chmod(0o777)
    assert private_directory().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "another user's"])
def test_a_name_that_somebody_else_has_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / f"drivereplay-{os.getuid()}"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        path.touch()
    else:
        path.mkdir()
        if os.getuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(path, 12345, 12345)
    with pytest.raises(SpecError, match="TMPDIR"):
        private_directory()


def test_two_users_of_one_machine_have_a_directory_each(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    setpriv = ["setpriv", "--reuid=12345", "--clear-groups", "--inh-caps=-all"]
    if os.getuid() != 0 or subprocess.run([*setpriv, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("becoming another user needs root and setpriv")
    tmp_path.chmod(0o1777)
    for own in (tmp_path_factory.getbasetemp(), tmp_path_factory.getbasetemp().parent):
        own.chmod(0o711)  # pytest makes them private
    if subprocess.run([*setpriv, "test", "-x", str(tmp_path)], capture_output=True, check=False).returncode != 0:
        pytest.skip("other users cannot reach the tests' temporary directory")
    code = "from drivereplay.storage import private_directory; print(private_directory())"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    for command in ([], setpriv):
        done = subprocess.run(
            [*command, sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drivereplay-0", "drivereplay-12345"]
