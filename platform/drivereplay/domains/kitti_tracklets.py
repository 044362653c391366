"""KITTI raw's `tracklet_labels.xml`: 3-D boxes of objects over runs of frames, in the laser scanner's axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import Rows, cuboid_box, rigid, yaw
from drivereplay.errors import DataError

VISIBLE = {0: 1.0, 1: 0.5, 2: 0.2}
"""Visible share that KITTI's states of occlusion (not, partly, largely) stand for; others say nothing."""


def add_tracklets(
    file: Path,
    rows: Rows,
    *,
    poses: Sequence[NDArray[np.float64] | None],
    places: Mapping[int, int],
    to_camera: NDArray[np.float64],
    camera: NDArray[np.float64],
    picture: tuple[int, int],
) -> None:
    """Add the objects of a recording to its rows; those outside the picture have no row.

    Args:
        file: `tracklet_labels.xml`.
        poses: (4, 4) camera to world of each picture, where it is known.
        places: Which picture has each frame number; objects in other frames are left out.
        to_camera: (4, 4) scanner (forward, left, up) to camera.
        camera: (3, 3) intrinsics.
        picture: (width, height) in pixels.

    Raises:
        DataError: The file is no list of tracklets.
    """
    try:
        tracklets = ElementTree.parse(file).getroot().findall("./tracklets/item")
        for number, tracklet in enumerate(tracklets):
            name = _text(tracklet, "objectType").lower()
            height, width, length = (float(_text(tracklet, key)) for key in "hwl")
            first = int(_text(tracklet, "first_frame"))
            for frame, state in enumerate(tracklet.findall("./poses/item"), start=first):
                n = places.get(frame)
                if n is None:
                    continue
                x, y, z, turn = (float(_text(state, key)) for key in ("tx", "ty", "tz", "rz"))
                # the place given is the centre of the bottom
                body = to_camera @ rigid(_about_up(turn), (x, y, z + height / 2))
                seen = cuboid_box(body, (length, width, height), np.eye(4), camera, picture)
                if seen is None:
                    continue
                box, share = seen
                pose = poses[n]
                world = None if pose is None else pose @ body
                hidden = VISIBLE.get(int(float(_text(state, "occlusion"))))
                rows.object(
                    n,
                    number,
                    name,
                    box=box,
                    visible=None if hidden is None else hidden * share,
                    position=None if world is None else world[:3, 3],
                    size=(length, width, height),
                    heading=None if world is None else yaw(world),
                )
    except (ElementTree.ParseError, ValueError, OverflowError) as error:
        raise DataError(f"{file} is no list of tracklets: {error}.", "Fetch it again, or remove it.") from error


def _text(item: ElementTree.Element, key: str) -> str:
    found = item.findtext(key)
    if found is None:
        raise ValueError(f"<{key}> is missing")
    return found.strip()


def _about_up(angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
