"""One way to reach every path of a run: a local directory or any pyarrow filesystem URI."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import stat
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow.fs as pafs

from drivereplay.addresses import refuse_secrets
from drivereplay.errors import DriveReplayError, SpecError

_T = TypeVar("_T")

PATIENCE_S = 60.0
"""How long a storage may stay away before what needs it fails."""

_PARTIAL = ".partial"
_AWAY = {
    errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN,
    errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.EAGAIN, errno.EREMOTEIO,
}  # fmt: skip
# pyarrow gives the errors of object stores no number, only words: those of AWS's and of Google's libraries
_AWAY_WORDS = re.compile(
    r"HTTP status (5\d\d|429|408)|SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|INTERNAL_ERROR|NETWORK_CONNECTION"
    r"|REQUEST_TIMEOUT|THROTTL|UNAVAILABLE|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|curlCode|timed? ?out|half written",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Storage:
    """A directory on some filesystem; `relative` paths below use forward slashes.

    A storage that is away for a moment (time-outs, 503, a stale mount) is asked again with growing pauses, for at most
    `PATIENCE_S` seconds; every method can so take that long, and then raises the OSError that it met.

    Attributes:
        filesystem: The pyarrow filesystem.
        root: Path of the directory on it.
        uri: What the user wrote; safe to print, credentials are not part of it.
    """

    filesystem: pafs.FileSystem
    root: str
    uri: str

    @classmethod
    def of(cls, uri: str | Path) -> Storage:
        """Open a directory or URI; nothing is created.

        Raises:
            SpecError: The URI cannot be used, or holds a secret (specs, logs and events would show it).
        """
        text = str(uri)
        if "://" not in text:
            path = Path(text).expanduser().absolute()
            return cls(pafs.LocalFileSystem(), path.as_posix(), path.as_posix())
        refuse_secrets(text)
        try:
            filesystem, root = pafs.FileSystem.from_uri(text)
        except (ValueError, OSError, TypeError) as error:
            raise SpecError(f"storage {text}: {error}.", "Give a directory or a pyarrow filesystem URI.") from error
        if not root.rstrip("/"):
            raise SpecError(
                f"storage {text} names no directory.", "Give a directory below it, such as s3://bucket/runs."
            )
        return cls(filesystem, root.rstrip("/"), text)

    def below(self, *parts: str) -> Storage:
        """The storage of a subdirectory."""
        relative = self._relative("/".join(parts))
        address, mark, options = self.uri.partition("?")
        return Storage(self.filesystem, self.path(relative), f"{address.rstrip('/')}/{relative}{mark}{options}")

    @property
    def local(self) -> Path | None:
        """The directory as a local path, or None on a remote filesystem."""
        return Path(self.root) if isinstance(self.filesystem, pafs.LocalFileSystem) else None

    def path(self, relative: str) -> str:
        """The full path on the filesystem."""
        inside = self._relative(relative)
        return f"{self.root}/{inside}" if inside else self.root

    def check_writable(self) -> None:
        """Write and remove a probe file.

        Raises:
            SpecError: The directory cannot be written.
        """
        probe = f".probe-{uuid.uuid4().hex}"
        try:
            self.write(probe, b"drivereplay")
            self.delete(probe)
        except OSError as error:
            raise SpecError(
                f"storage {self.uri} cannot be written: {error}.", "Set `storage` to a place that can."
            ) from error

    def exists(self, relative: str) -> bool:
        """Whether a file or directory is there."""
        return bool(self._info(self.path(relative)).type != pafs.FileType.NotFound)

    def read(self, relative: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: It is not there.
        """
        path = self.path(relative)

        def whole() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())

        return patiently(whole)

    def write(self, relative: str, data: bytes) -> None:
        """Write a whole file so that a reader sees the old one or the new one, never half of it."""
        path = self.path(relative)
        patiently(lambda: _publish(Path(path), data) if self.local is not None else self._put(path, data))

    def names(self, relative: str = "") -> list[str]:
        """Sorted names of what lies directly in a directory, without half-written files; empty if it is not there."""
        selector = pafs.FileSelector(self.path(relative), allow_not_found=True)
        try:
            found = patiently(lambda: self.filesystem.get_file_info(selector))
        except FileNotFoundError:  # pyarrow looks twice, and the directory came or went in between
            return []
        return sorted(info.base_name for info in found if not info.base_name.endswith(_PARTIAL))

    def delete(self, relative: str) -> None:
        """Remove a file or a directory with all that is in it; nothing happens if it is not there."""
        path = self.path(relative)

        def gone() -> None:
            kind = self.filesystem.get_file_info(path).type
            try:
                if kind == pafs.FileType.Directory:
                    self.filesystem.delete_dir(path)
                elif kind != pafs.FileType.NotFound:
                    self.filesystem.delete_file(path)
            except FileNotFoundError:
                return  # somebody else removed it in the meantime

        patiently(gone)

    def upload(self, directory: Path, relative: str) -> None:
        """Copy a local directory here, in place of what was there.

        On a local filesystem it is renamed into place when it is whole. An object store knows no such thing: what must
        never be read half is written with a manifest as its last file, as checkpoints are.
        """
        patiently(lambda: self._upload(directory, self.path(relative)))

    def download(self, relative: str, directory: Path) -> None:
        """Copy a directory from here to a local one."""
        directory.mkdir(parents=True, exist_ok=True)
        path = self.path(relative)
        patiently(lambda: pafs.copy_files(path, str(directory), self.filesystem, pafs.LocalFileSystem()))

    def _info(self, path: str) -> pafs.FileInfo:
        return patiently(lambda: self.filesystem.get_file_info(path))

    def _put(self, path: str, data: bytes) -> None:
        # an object store shows a file when its stream is closed; a stream that broke may be closed too soon
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(data)
        size = self.filesystem.get_file_info(path).size
        if size != len(data):
            raise OSError(errno.EIO, f"half written: {size} of {len(data)} bytes", path)

    def _upload(self, directory: Path, path: str) -> None:
        if self.local is None:
            stale = self.filesystem.get_file_info(path).type != pafs.FileType.NotFound
            if stale:
                self.filesystem.delete_dir(path)
            pafs.copy_files(str(directory), path, pafs.LocalFileSystem(), self.filesystem)
            self._compare(directory, path)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        try:
            shutil.copytree(directory, temporary)
            if target.exists():
                shutil.rmtree(target)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _compare(self, directory: Path, path: str) -> None:
        files = [file for file in directory.rglob("*") if file.is_file()]
        there = self.filesystem.get_file_info([f"{path}/{file.relative_to(directory).as_posix()}" for file in files])
        for file, info in zip(files, there, strict=True):
            if info.size != file.stat().st_size:
                raise OSError(errno.EIO, f"half written: {info.size} of {file.stat().st_size} bytes", info.path)

    def _relative(self, relative: str) -> str:
        parts = [part for part in relative.split("/") if part]
        if any(part == ".." for part in parts):
            raise DriveReplayError(f"The path '{relative}' would leave the storage {self.uri}.")
        return "/".join(parts)


def private_directory() -> Path:
    """This user's directory below the system's temporary one, for files that processes on this machine share.

    Its name holds the user's number, and nobody else may read or write it: with one name for all, the first user's
    would keep the others out, or could hand them files of his own.

    Raises:
        SpecError: The temporary directory cannot be written, or somebody else has made the name his.
    """
    try:
        path = Path(tempfile.gettempdir()) / f"drivereplay-{os.getuid()}"
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise SpecError(
                f"{path} is not a directory of yours.", "Set TMPDIR to a directory that only you can write."
            )
        if status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise SpecError(
            f"The temporary directory cannot be used: {error}.", "Set TMPDIR to a directory that you may write."
        ) from error
    return path


def patiently(action: Callable[[], _T], patience_s: float | None = None) -> _T:
    """Do something with a storage; while the storage is away, try again with growing pauses.

    Args:
        action: What to do; it must be able to be done twice.
        patience_s: Longest time after which a failure is final; None means `PATIENCE_S`.

    Raises:
        OSError: What the last attempt met. Errors that waiting does not heal (no such file, no permission, disk full)
            come at once.
    """
    deadline = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
    pause_s = 0.1
    while True:
        try:
            return action()
        except OSError as error:
            if not is_away(error) or time.monotonic() + pause_s > deadline:
                raise
        # the workers of a sweep meet the same trouble in the same second: they must not come back in the same second
        threading.Event().wait(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(2 * pause_s, 5.0)


def is_away(error: OSError) -> bool:
    """Whether an error means that the storage is not there now, and may be again."""
    if isinstance(
        error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError
    ):
        return False
    return error.errno in _AWAY if error.errno is not None else bool(_AWAY_WORDS.search(str(error)))


def _publish(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    # the new name itself must survive a power cut too
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}{_PARTIAL}")
