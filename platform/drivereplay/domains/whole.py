"""Files that are there whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file next to its place and move it there, so that nobody ever reads half of it.

    Raises:
        OSError: It cannot be written, for example because the disk is full; what was there before is untouched.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
