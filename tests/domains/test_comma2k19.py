"""A comma2k19 segment written from a world: bare HEVC and poses fixed to the earth."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from tests.domains.miniature import FRAMES, Drive, quaternion, read_back, relative

from drivereplay.data.index import ingest
from drivereplay.domains.comma2k19 import east_north_up, read_comma2k19
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec

SAN_FRANCISCO = np.array([-2706174.8, -4261059.4, 3885725.5])
DEVICE_OF_CAMERA = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


def save(file: Path, values: np.ndarray) -> None:
    with file.open("wb") as stream:
        np.save(stream, values)


def write(segment: Path, truth: Drive) -> None:
    poses = segment / "global_pose"
    poses.mkdir(parents=True)
    with av.open(str(segment / "video.hevc"), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=20, options={"x265-params": "log-level=none:keyint=6"})
        stream.width, stream.height, stream.pix_fmt = truth.frames.shape[2], truth.frames.shape[1], "yuv420p"
        for picture in truth.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
    earth = east_north_up(SAN_FRANCISCO).T
    save(poses / "frame_times", 1000.0 + truth.times_s)
    save(poses / "frame_positions", SAN_FRANCISCO + truth.poses[:, :3, 3] @ earth.T)
    turns = [quaternion(earth @ pose[:3, :3] @ DEVICE_OF_CAMERA.T) for pose in truth.poses]
    save(poses / "frame_orientations", np.array(turns))


def test_poses_come_back(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "c" / "Chunk_1" / "route|a" / "3", truth)
    (recording,) = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    assert (recording.key, recording.group) == ("Chunk_1/route|a/3", "Chunk_1/route|a")
    found = read_back(recording)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-4)
    # up is up, to the earth's curvature over a few metres
    assert np.allclose(found.poses[:, 2, :3], truth.poses[:, 2, :3], atol=1e-4)
    assert np.isfinite(found.intrinsics_px).all() and not len(found.ids)


def test_a_bare_stream_gets_the_data_sets_times(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "c" / "Chunk_1" / "r" / "0", truth)
    (recording,) = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    clip = ClipSpec(frames=6, context=2, fps=5, height=48, width=80)
    index = ingest([recording], domain="comma", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index")
    assert index.table["frames"].to_pylist() == [FRAMES]
    # ten frames a second in the data set's own times, whatever the stream says
    assert index.window("train", 0).frames == (0, 2, 4, 6, 8, 10)


def test_damage(truth: Drive, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no segment"):
        read_comma2k19(str(tmp_path), tmp_path / "notes")
    segment = tmp_path / "c" / "Chunk_1" / "r" / "0"
    write(segment, truth)
    save(segment / "global_pose" / "frame_positions", np.zeros((3, 3)))
    with pytest.raises(DataError, match="3 positions"):
        read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")


def test_unknown_poses_are_null(truth: Drive, tmp_path: Path) -> None:
    segment = tmp_path / "c" / "Chunk_1" / "r" / "0"
    write(segment, truth)
    places = np.load(segment / "global_pose" / "frame_positions")
    places[4] = np.nan
    save(segment / "global_pose" / "frame_positions", places)
    (recording,) = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    found = read_back(recording)
    assert np.isnan(found.poses[4]).all() and np.isfinite(found.poses[5]).all()


@pytest.mark.parametrize("damage", ["empty", "missing"])
def test_a_segment_without_times_has_no_poses_and_stops_no_other(truth: Drive, tmp_path: Path, damage: str) -> None:
    for number in ("0", "1"):
        write(tmp_path / "c" / "Chunk_1" / "r" / number, truth)
    times = tmp_path / "c" / "Chunk_1" / "r" / "0" / "global_pose" / "frame_times"
    save(times, np.zeros(0))
    if damage == "missing":
        times.unlink()
    first, second = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    assert (first.fps, first.timestamps_s, first.annotations) == (20.0, (), None)
    assert second.timestamps_s == pytest.approx(truth.times_s) and second.annotations is not None


@pytest.mark.parametrize("values", [b"", np.zeros((2, 2)), np.float64(3)])
def test_times_that_are_none_are_named(truth: Drive, tmp_path: Path, values: object) -> None:
    segment = tmp_path / "c" / "Chunk_1" / "r" / "0"
    write(segment, truth)
    times = segment / "global_pose" / "frame_times"
    if isinstance(values, bytes):
        times.write_bytes(values)
    else:
        save(times, np.asarray(values))
    with pytest.raises(DataError, match="frame_times"):
        read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")


def test_orientations_that_changed_are_read_again(truth: Drive, tmp_path: Path) -> None:
    segment = tmp_path / "c" / "Chunk_1" / "r" / "0"
    write(segment, truth)
    (first,) = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    os.utime(segment / "global_pose" / "frame_orientations", ns=(0, 1))
    (second,) = read_comma2k19(str(tmp_path / "c"), tmp_path / "notes")
    assert first.annotations != second.annotations
