"""comma2k19: one-minute highway segments with global poses.

H. Schafer et al., "A commute in data: the comma2k19 dataset", arXiv 1812.05752.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import Made, Rows, converted, rigid, rotation
from drivereplay.domains.recording import Recording
from drivereplay.domains.search import files_below
from drivereplay.errors import DataError, SpecError

_FOCAL_PX = 910.0
_SIZE = (1164, 874)
_FPS = 20.0
_POSES = ("frame_times", "frame_positions", "frame_orientations")
_DEVICE_OF_CAMERA = np.asarray([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Camera axes (right, down, forward) to device axes (forward, right, down)."""


def read_comma2k19(path: str, out: Path) -> list[Recording]:
    """One recording per segment (`Chunk_*/<route>/<number>/video.hevc`); a route is never divided between splits.

    The file is a bare stream without times, so they come from `global_pose/frame_times`. Where that is missing or empty
    there are 20 a second, and nothing is said about poses, which hold at those times.

    Raises:
        SpecError: There is no segment.
        DataError: The poses of a segment cannot be read.
    """
    root = Path(path).expanduser()
    videos = [file for file in files_below(root, frozenset({".hevc"})) if file.name == "video.hevc"]
    if not videos:
        raise SpecError(f"{path} has no segment with a video.hevc.", "Unpack a chunk of comma2k19 there.")
    found = []
    for video in videos:
        segment = video.parent
        poses = segment / "global_pose"
        stamps = _times(poses / "frame_times")
        annotations = None
        if len(stamps):
            annotations = converted(out, str(segment), [poses / name for name in _POSES], partial(_rows, poses))
        found.append(
            Recording(
                key=segment.relative_to(root).as_posix(),
                path=str(video.absolute()),
                fps=_FPS,
                timestamps_s=tuple((stamps - stamps[:1]).tolist()),
                stated_frames=len(stamps) or None,
                group=segment.parent.relative_to(root).as_posix(),
                annotations=annotations,
            )
        )
    return found


def _rows(directory: Path) -> Made:
    times, positions, orientations = (_array(directory / name) for name in _POSES)
    if not len(times) == len(positions) == len(orientations):
        lengths = f"{len(times)} times, {len(positions)} positions, {len(orientations)} orientations"
        raise DataError(f"{directory} has {lengths}.", "Unpack the segment again.")
    camera = np.asarray([[_FOCAL_PX, 0, _SIZE[0] / 2], [0, _FOCAL_PX, _SIZE[1] / 2], [0, 0, 1]])
    rows = Rows()
    known = np.isfinite(np.concatenate([positions, orientations], axis=1)).all(axis=1)
    origin = positions[known][0] if known.any() else np.zeros(3)
    local = east_north_up(origin) if known.any() else np.eye(3)
    for number in range(len(times)):
        pose = None
        if known[number]:
            turn = local @ rotation(*orientations[number]) @ _DEVICE_OF_CAMERA
            pose = rigid(turn, local @ (positions[number] - origin))
        rows.frame(number, time_s=float(times[number] - times[0]), camera=camera, pose=pose)
    return rows, _SIZE


def east_north_up(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) rotation from earth-centred axes to east, north, up at a place (earth-centred, metres)."""
    longitude = np.arctan2(place[1], place[0])
    # the geodetic latitude on WGS 84 by Bowring's formula, exact to far less than the poses are
    a, b = 6378137.0, 6356752.314245
    p = np.hypot(place[0], place[1])
    angle = np.arctan2(place[2] * a, p * b)
    latitude = np.arctan2(
        place[2] + (a * a - b * b) / b * np.sin(angle) ** 3, p - (a * a - b * b) / a * np.cos(angle) ** 3
    )
    so, co, sa, ca = np.sin(longitude), np.cos(longitude), np.sin(latitude), np.cos(latitude)
    return np.asarray([[-so, co, 0.0], [-sa * co, -sa * so, ca], [ca * co, ca * so, sa]])


def _times(file: Path) -> NDArray[np.float64]:
    if not file.exists():
        return np.zeros(0)
    times = _array(file)
    if times.ndim != 1:
        raise DataError(f"{file} holds an array of shape {times.shape}.", "Unpack the segment again.")
    return times


def _array(file: Path) -> NDArray[np.float64]:
    try:
        # numpy's format without its suffix
        return np.load(file, allow_pickle=False).astype(np.float64)  # type: ignore[no-any-return]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}.", "Unpack the segment again.") from error
