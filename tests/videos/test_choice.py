"""Which reader is chosen where what decord shows does not tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.marked import show_as

from drivereplay.data.probe import probe
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording

LEVELS = np.arange(20, 220, 10, dtype=np.uint8)[:, None, None, None]


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1, 96, 0), (-1, 0, 0, -1, 96, 72), (0, 1, -1, 0, 72, 0)])
def test_turned_and_mirrored_footage_is_not_for_decord(
    tmp_path: Path, matrix: tuple[int, int, int, int, int, int]
) -> None:
    # it looks the same in a mirror, so that frames cannot tell
    write_video(tmp_path / "a.mp4", np.broadcast_to(LEVELS, (20, 72, 96, 3)).copy(), 10.0)
    path = show_as(tmp_path / "a.mp4", tmp_path / "b.mp4", matrix)
    plain, shown = (probe(Recording(key="a", path=str(p))) for p in (tmp_path / "a.mp4", path))
    assert (plain.reader, shown.reader) == ("decord", "av")
    assert "turned or mirrored" in " ".join(shown.notes)
    assert (shown.width, shown.height) == ((72, 96) if matrix[0] == 0 else (96, 72))
    assert (shown.mirrored, shown.rotation_deg) == (matrix[0] * matrix[3] < 0, {1: 0, -1: 180, 0: 270}[matrix[3]])
