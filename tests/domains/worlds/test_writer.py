"""Worlds on disk: whole or refused, byte-identical, in parallel."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import decord
import numpy as np
import pytest

from drivereplay.domains.annotations import read_clip
from drivereplay.domains.worlds import open_world, render_ground_truth, write_ground_truth, write_world
from drivereplay.domains.worlds.writer import MANIFEST, WORLD_VERSION
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec

SMALL: dict[str, Any] = {"seed": 3, "frames": 4, "fps": 8.0, "height": 32, "width": 64}


def digest(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_recordings_are_videos_with_annotations(tmp_path: Path) -> None:
    recordings = write_world(tmp_path / "w", "highway", clips=4, split="both", **SMALL)
    assert [r.subset for r in recordings] == ["regular", "rare-motion"] * 2
    assert len({r.key for r in recordings}) == 4
    assert open_world(tmp_path / "w") == recordings
    clip = ClipSpec(frames=4, context=1, height=16, width=32)
    for recording in recordings:
        frames = decord.VideoReader(recording.path).get_batch([0, 1, 2, 3]).asnumpy()
        assert frames.shape == (4, 32, 64, 3)
        assert recording.annotations is not None
        known = read_clip(recording.annotations, [0, 1, 2, 3], (64, 32), clip)
        assert np.isfinite(known.poses).all()
        assert known.ids.size > 0


def test_projected_3d_boxes_from_the_files_are_the_2d_boxes(tmp_path: Path) -> None:
    """Only what is in the files is used: pose, intrinsics, position, size and heading."""
    clip = ClipSpec(frames=6, context=1, height=96, width=160)
    overlaps = []
    for world in ("highway", "town", "streetcam", "crowd", "orbit"):
        (recording,) = write_world(tmp_path / world, world, clips=1, seed=1, frames=6, fps=8, height=96, width=160)
        assert recording.annotations is not None
        known = read_clip(recording.annotations, range(6), (160, 96), clip)
        for t in range(6):
            to_camera = np.linalg.inv(known.poses[t])
            for n in range(known.ids.size):
                x1, y1, x2, y2 = known.boxes_px[t, n]
                touches_edge = not (x1 > 1 and y1 > 1 and x2 < 159 and y2 < 95)
                if touches_edge or min(x2 - x1, y2 - y1) < 6:
                    continue
                c, s = np.cos(known.headings_rad[t, n]), np.sin(known.headings_rad[t, n])
                corners = (np.array(list(np.ndindex(2, 2, 2))) - 0.5) * known.sizes_m[n]
                world_points = corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + known.positions_m[t, n]
                points = world_points @ to_camera[:3, :3].T + to_camera[:3, 3]
                pixels = points @ known.intrinsics_px[t].T
                flat = pixels[:, :2] / pixels[:, 2:]
                low, high = flat.min(axis=0), flat.max(axis=0)
                # the thing is inside its box, and fills most of it
                assert (low <= (x1 + 1.0, y1 + 1.0)).all()
                assert (high >= (x2 - 1.0, y2 - 1.0)).all()
                overlaps.append((x2 - x1) * (y2 - y1) / np.prod(high - low))
    assert len(overlaps) > 60
    assert np.median(overlaps) > 0.7


def test_one_seed_writes_one_set_of_bytes_with_and_without_ray(tmp_path: Path, ray_session: None) -> None:
    for name, world in (("ray", "town"), ("ray-again", "town")):
        write_world(tmp_path / name, world, clips=5, **SMALL)
    script = (
        "from pathlib import Path; from drivereplay.domains.worlds import write_world\n"
        f"write_world(Path({str(tmp_path / 'alone')!r}), 'town', clips=5, **{SMALL!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert digest(tmp_path / "ray") == digest(tmp_path / "ray-again") == digest(tmp_path / "alone")
    assert len(digest(tmp_path / "ray")) == 5 * 3 + 1
    write_world(tmp_path / "other", "town", clips=5, **{**SMALL, "seed": 4})
    assert digest(tmp_path / "other")["clip-000000.mp4"] != digest(tmp_path / "ray")["clip-000000.mp4"]


def test_a_half_written_world_is_refused_by_readers_and_finished_by_the_writer(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole", tmp_path / "half"
    write_world(whole, "shapes", clips=3, **SMALL)
    write_world(half, "shapes", clips=3, **SMALL)
    # as a killed process leaves it
    manifest = json.loads((half / MANIFEST).read_text())
    (half / MANIFEST).write_text(json.dumps({**manifest, "state": "writing"}))
    (half / "clip-000001.mp4").unlink()
    (half / "clip-000002.mp4").unlink()
    (half / "clip-000002.annotations" / "frames.parquet").unlink()
    kept = (half / "clip-000000.mp4").stat().st_mtime_ns
    with pytest.raises(DataError, match=r"half written.*Finish it"):
        open_world(half)
    with pytest.raises(DataError, match="half written"):
        render_ground_truth(half, 0, 0)
    write_world(half, "shapes", clips=3, **SMALL)
    assert digest(half) == digest(whole)
    assert (half / "clip-000000.mp4").stat().st_mtime_ns == kept


def test_a_world_can_grow_and_fewer_clips_are_its_first_ones(tmp_path: Path) -> None:
    first = write_world(tmp_path / "w", "shapes", clips=2, **SMALL)
    grown = write_world(tmp_path / "w", "shapes", clips=4, **SMALL)
    assert grown[:2] == first
    assert write_world(tmp_path / "w", "shapes", clips=3, **SMALL) == grown[:3]
    assert len(open_world(tmp_path / "w")) == 4


@pytest.mark.parametrize(
    ("world", "changes", "word"),
    [
        ("orbit", {}, "world shapes, not orbit"),
        ("shapes", {"seed": 9}, "seed 3, not 9"),
        ("shapes", {"width": 80}, "width"),
    ],
)
def test_another_worlds_directory_is_refused(tmp_path: Path, world: str, changes: dict[str, Any], word: str) -> None:
    write_world(tmp_path / "w", "shapes", clips=1, **SMALL)
    before = digest(tmp_path / "w")
    with pytest.raises(SpecError, match=word):
        write_world(tmp_path / "w", world, clips=1, **(SMALL | changes))
    assert digest(tmp_path / "w") == before


def test_a_directory_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"")
    with pytest.raises(SpecError, match="other files"):
        write_world(tmp_path, "shapes", clips=1, **SMALL)
    with pytest.raises(SpecError, match="not a directory"):
        write_world(tmp_path / "holiday.mp4", "shapes", clips=1, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.mp4"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"world": "higway"}, "Did you mean 'highway'"),
        ({"clips": 0}, "clips is 0"),
        ({"frames": 0}, "frames is 0"),
        ({"height": 4}, "height is 4"),
        ({"fps": 0.0}, "fps is 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"split": "sometimes"}, "split 'sometimes'"),
        ({"split": "both", "world": "orbit"}, "orbit has no both split"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], word: str
) -> None:
    request: dict[str, Any] = {"world": "highway", "clips": 1, **SMALL, **changes}
    begun: list[str] = []
    with pytest.raises(SpecError, match=word):
        write_world(tmp_path / "w", request.pop("world"), **request, beginning=lambda: begun.append("now"))
    assert not (tmp_path / "w").exists() and not begun


def test_the_beginning_is_told_of_when_there_is_something_to_write(tmp_path: Path) -> None:
    begun: list[str] = []
    for _ in range(2):
        write_world(tmp_path / "w", "shapes", clips=1, **SMALL, beginning=lambda: begun.append("now"))
    assert begun == ["now"]


def test_a_missing_file_and_a_damaged_manifest_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no world"):
        open_world(tmp_path)
    write_world(tmp_path / "w", "shapes", clips=2, **SMALL)
    (tmp_path / "w" / "clip-000001.mp4").unlink()
    with pytest.raises(DataError, match=r"clip-000001.mp4.*is missing"):
        open_world(tmp_path / "w")
    (tmp_path / "w" / MANIFEST).write_text('{"world": ')
    with pytest.raises(DataError, match=r"world\.json cannot be read"):
        open_world(tmp_path / "w")


def test_clips_of_another_version_are_not_mixed_in(tmp_path: Path) -> None:
    write_world(tmp_path / "w", "shapes", clips=1, **SMALL)
    manifest = json.loads((tmp_path / "w" / MANIFEST).read_text())
    (tmp_path / "w" / MANIFEST).write_text(json.dumps({**manifest, "version": WORLD_VERSION + 1}))
    with pytest.raises(SpecError, match="version"):
        write_world(tmp_path / "w", "shapes", clips=2, **SMALL)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from drivereplay.domains.worlds import write_world
from drivereplay.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    write_world(Path(sys.argv[1]), "handheld", clips=2, seed=3, frames=30, fps=8.0, height=64, width=96)
except DataError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_disk_that_takes_no_more_stops_the_writing_cleanly_and_the_next_call_goes_on(tmp_path: Path) -> None:
    """A real OSError of the operating system: files may not grow beyond a limit that the video exceeds."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "w"), "20000"]
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ}, check=False)
    assert run.returncode == 1, run.stderr
    assert "could not be written" in run.stdout
    assert "0 of 2 clips are there" in run.stdout
    assert "run the same again" in run.stdout
    # nothing half: no video, no leftovers of it
    assert not list((tmp_path / "w").rglob("*.mp4*"))
    with pytest.raises(DataError, match="half written"):
        open_world(tmp_path / "w")
    recordings = write_world(tmp_path / "w", "handheld", clips=2, seed=3, frames=30, fps=8.0, height=64, width=96)
    assert all(Path(recording.path).stat().st_size > 20000 for recording in recordings)


def test_an_error_in_a_ray_task_arrives_as_our_own(tmp_path: Path, ray_session: None) -> None:
    # a directory where the first annotation file should go: the operating system refuses to replace it
    (tmp_path / "w").mkdir()
    write_world(tmp_path / "w", "shapes", clips=1, **SMALL)
    (tmp_path / "w" / "clip-000001.annotations" / "frames.parquet").mkdir(parents=True)
    with pytest.raises(DataError, match=r"[1-5] of 6 clips"):
        write_world(tmp_path / "w", "shapes", clips=6, **SMALL)
    with pytest.raises(DataError, match="half written"):
        open_world(tmp_path / "w")


def test_ground_truth_comes_from_the_directory(tmp_path: Path) -> None:
    (recording,) = write_world(tmp_path / "w", "streetcam", clips=1, **SMALL)
    truth = render_ground_truth(tmp_path / "w", 0, 2)
    assert truth.ids.shape == (32, 64)
    path = write_ground_truth(tmp_path / "w", 0)
    assert recording.annotations is not None
    assert path == Path(recording.annotations) / "truth.npz"
    stored = np.load(path)
    np.testing.assert_array_equal(stored["ids"][2], truth.ids)
    np.testing.assert_array_equal(stored["flow_px"][2], truth.flow_px)
    assert stored["depth_m"].shape == (4, 32, 64)
    assert np.isnan(stored["flow_px"][3]).all()
    with pytest.raises(SpecError, match="no frame 4 of clip 0"):
        render_ground_truth(tmp_path / "w", 0, 4)
