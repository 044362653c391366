"""What is exactly known about a short drive of a simulated world, to be written in other data sets' layouts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from drivereplay.domains.annotations import read_clip
from drivereplay.domains.recording import ClipAnnotations, Recording
from drivereplay.domains.worlds import write_world
from drivereplay.spec import ClipSpec
from drivereplay.videos import read_video

HEIGHT, WIDTH, FRAMES, FPS = 96, 160, 12, 10.0
CLIP = ClipSpec(frames=FRAMES, context=2, fps=FPS, height=HEIGHT, width=WIDTH)


@dataclass
class Drive:
    """One clip: pictures, cameras, and the objects of each frame as rows of the annotation schema."""

    video: Path
    frames: np.ndarray
    times_s: np.ndarray
    camera: np.ndarray
    poses: np.ndarray
    objects: list[list[dict[str, Any]]]
    known: ClipAnnotations


def drive(directory: Path, seed: int = 3) -> Drive:
    """Write a highway clip and read back what is known about it."""
    (recording,) = write_world(
        directory, "highway", clips=1, seed=seed, frames=FRAMES, fps=FPS, height=HEIGHT, width=WIDTH
    )
    assert recording.annotations is not None
    known = read_clip(recording.annotations, range(FRAMES), (WIDTH, HEIGHT), CLIP)
    rows = pq.read_table(Path(recording.annotations) / "objects.parquet").to_pylist()
    return Drive(
        video=Path(recording.path),
        frames=read_video(recording.path),
        times_s=np.arange(FRAMES) / FPS,
        camera=known.intrinsics_px[0],
        poses=known.poses,
        objects=[[row for row in rows if row["frame"] == n] for n in range(FRAMES)],
        known=known,
    )


def write_pictures(directory: Path, frames: np.ndarray, names: list[str]) -> None:
    """Write frames as picture files."""
    for frame, name in zip(frames, names, strict=True):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), np.ascontiguousarray(frame[..., ::-1]))


def turn_left(video: Path) -> None:
    """Have an mp4 file of HEIGHT rows shown on its side, by the matrix in the header of its track."""
    data = bytearray(video.read_bytes())
    start = data.index(b"tkhd") + 4
    # version and flags; two times, track, reserved and duration; reserved, layer, group, volume, reserved
    start += 4 + (20 if data[start] == 0 else 32) + 16
    one = 1 << 16
    data[start : start + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    video.write_bytes(data)


def read_back(recording: Recording, frames: range = range(FRAMES)) -> ClipAnnotations:
    """What a reader's recording says about its frames."""
    assert recording.annotations is not None
    return read_clip(recording.annotations, frames, (WIDTH, HEIGHT), CLIP)


def quaternion(matrix: np.ndarray) -> list[float]:
    """w, x, y, z of a rotation (3, 3)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(matrix).as_quat()
    return [float(w), float(x), float(y), float(z)]


def about_z(heading: float) -> np.ndarray:
    """(3, 3) rotation about the up axis."""
    c, s = np.cos(heading), np.sin(heading)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def relative(poses: np.ndarray) -> np.ndarray:
    """Poses as seen from the first one: what does not depend on where a data set's world has its origin."""
    return np.linalg.inv(poses[0]) @ poses


def assert_same_things(found: ClipAnnotations, true: ClipAnnotations, identity: Any) -> None:
    """Every object of `found` is one of `true`: places as seen from the camera, headings, sizes, and boxes nearly."""
    assert len(found.ids)
    numbers = {identity(int(n)): k for k, n in enumerate(true.ids)}
    for n, name in enumerate(found.ids.tolist()):
        k = numbers[name]
        there = np.isfinite(found.positions_m[:, n, 0])
        assert there.any()
        for t in np.flatnonzero(there):
            seen, expected = (
                np.linalg.inv(notes.poses[t]) @ [*notes.positions_m[t, m], 1.0] for notes, m in ((found, n), (true, k))
            )
            assert np.abs(seen - expected).max() < 2e-3
            ahead = [
                notes.poses[t][:3, :3].T @ [np.cos(notes.headings_rad[t, m]), np.sin(notes.headings_rad[t, m]), 0]
                for notes, m in ((found, n), (true, k))
            ]
            assert np.abs(ahead[0] - ahead[1]).max() < 2e-3
        assert np.allclose(found.sizes_m[n], true.sizes_m[k], atol=1e-3)
