"""One way to reach every path of a run: a local directory or any pyarrow filesystem URI."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from drivereplay.errors import DriveReplayError, SpecError


@dataclass(frozen=True)
class Storage:
    """A directory on some filesystem; `relative` paths below use forward slashes.

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
        """Open a directory or URI; nothing is created."""
        text = str(uri)
        if "://" not in text:
            path = Path(text).expanduser().absolute()
            return cls(pafs.LocalFileSystem(), path.as_posix(), path.as_posix())
        try:
            filesystem, root = pafs.FileSystem.from_uri(text)
        except (ValueError, OSError, TypeError) as error:
            raise SpecError(f"storage {text}: {error}.", "Give a directory or a pyarrow filesystem URI.") from error
        return cls(filesystem, root.rstrip("/"), text)

    def below(self, *parts: str) -> Storage:
        """The storage of a subdirectory."""
        relative = self._relative("/".join(parts))
        return Storage(self.filesystem, f"{self.root}/{relative}", f"{self.uri.rstrip('/')}/{relative}")

    @property
    def local(self) -> Path | None:
        """The directory as a local path, or None on a remote filesystem."""
        return Path(self.root) if isinstance(self.filesystem, pafs.LocalFileSystem) else None

    def path(self, relative: str) -> str:
        """The full path on the filesystem."""
        return f"{self.root}/{self._relative(relative)}"

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
            raise SpecError(f"storage {self.uri} cannot be written: {error}.", "Set `storage` to a place that can.") from error

    def exists(self, relative: str) -> bool:
        """Whether a file or directory is there."""
        return bool(self.filesystem.get_file_info(self.path(relative)).type != pafs.FileType.NotFound)

    def read(self, relative: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: It is not there.
        """
        with self.filesystem.open_input_stream(self.path(relative)) as stream:
            return bytes(stream.read())

    def write(self, relative: str, data: bytes) -> None:
        """Write a whole file so that a reader sees the old one or the new one, never half of it."""
        path = self.path(relative)
        local = self.local
        if local is None:
            # object stores publish a file when its stream is closed
            with self.filesystem.open_output_stream(path) as stream:
                stream.write(data)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def names(self, relative: str = "") -> list[str]:
        """Sorted names of what lies directly in a directory; empty if it is not there."""
        path = self.path(relative) if relative else self.root
        selector = pafs.FileSelector(path, allow_not_found=True)
        return sorted(info.base_name for info in self.filesystem.get_file_info(selector))

    def delete(self, relative: str) -> None:
        """Remove a file or a directory with all that is in it; nothing happens if it is not there."""
        path = self.path(relative)
        kind = self.filesystem.get_file_info(path).type
        if kind == pafs.FileType.Directory:
            self.filesystem.delete_dir(path)
        elif kind != pafs.FileType.NotFound:
            self.filesystem.delete_file(path)

    def upload(self, directory: Path, relative: str) -> None:
        """Copy a local directory here; for local storage by one rename where possible, so that it is never half there."""
        local = self.local
        if local is not None:
            target = local / self._relative(relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            shutil.copytree(directory, temporary)
            if target.exists():
                shutil.rmtree(target)
            temporary.replace(target)
            return
        pafs.copy_files(str(directory), self.path(relative), pafs.LocalFileSystem(), self.filesystem)

    def download(self, relative: str, directory: Path) -> None:
        """Copy a directory from here to a local one."""
        directory.mkdir(parents=True, exist_ok=True)
        pafs.copy_files(self.path(relative), str(directory), self.filesystem, pafs.LocalFileSystem())

    def _relative(self, relative: str) -> str:
        parts = [part for part in relative.split("/") if part]
        if any(part == ".." for part in parts):
            raise DriveReplayError(f"The path '{relative}' would leave the storage {self.uri}.")
        return "/".join(parts)
