"""KITTI's tracklets alone: one cuboid straight ahead, whose box and place can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivereplay.domains.conversion import FORWARD_LEFT_UP, Rows, rigid
from drivereplay.domains.kitti_tracklets import add_tracklets
from drivereplay.errors import DataError

CAMERA = np.asarray([[100.0, 0, 80], [0, 100.0, 48], [0, 0, 1]])
SCANNER = rigid(FORWARD_LEFT_UP.T, (0, 0, 0))
"""From the scanner's axes to a camera in the same place."""


def state(**values: float) -> str:
    full = {"tx": 10.0, "ty": 0.0, "tz": -1.0, "rx": 0, "ry": 0, "rz": 0.0, "occlusion": 0, **values}
    return "<item>" + "".join(f"<{key}>{value}</{key}>" for key, value in full.items()) + "</item>"


def rows_of(folder: Path, *states: str, first: int = 0, pose: np.ndarray | None = None, numbered: int = 0) -> Rows:
    """A car 2 m high and wide and 4 m long, by default 10 m ahead with its middle at the camera's height.

    There are three pictures, the first of which has the number `numbered`.
    """
    file = folder / "tracklet_labels.xml"
    file.write_text(
        "<boost_serialization><tracklets><item><objectType>Car</objectType><h>2</h><w>2</w><l>4</l>"
        f"<first_frame>{first}</first_frame><poses>{''.join(states)}</poses></item></tracklets></boost_serialization>"
    )
    rows = Rows()
    places = {numbered + n: n for n in range(3)}
    add_tracklets(file, rows, poses=[pose] * 3, places=places, to_camera=SCANNER, camera=CAMERA, picture=(160, 96))
    return rows


def test_box_and_place_are_those_of_the_cuboid(tmp_path: Path) -> None:
    pose = rigid(FORWARD_LEFT_UP, (5.0, 6.0, 7.0))
    found = rows_of(tmp_path, state(), pose=pose).objects
    # the near face is 8 m ahead and 2 m wide and high: 25 px
    box = [found[name][0] for name in ("x1_px", "y1_px", "x2_px", "y2_px")]
    assert box == pytest.approx([80 - 12.5, 48 - 12.5, 80 + 12.5, 48 + 12.5])
    assert [found[name][0] for name in ("x_m", "y_m", "z_m")] == pytest.approx([15.0, 6.0, 7.0])
    assert [found[name][0] for name in ("length_m", "width_m", "height_m")] == [4.0, 2.0, 2.0]
    assert (found["class"], found["frame"], found["visible"]) == (["car"], [0], [1.0])
    assert found["heading_rad"][0] == pytest.approx(0.0)


def test_frames_count_from_the_first_one_and_end_with_the_video(tmp_path: Path) -> None:
    assert rows_of(tmp_path, state(), state(), state(), first=1).objects["frame"] == [1, 2]


def test_what_is_not_known_is_null_and_what_is_not_seen_has_no_row(tmp_path: Path) -> None:
    found = rows_of(tmp_path, state(occlusion=255)).objects
    assert np.isnan(found["x_m"][0]) and np.isnan(found["heading_rad"][0]) and np.isnan(found["visible"][0])
    assert rows_of(tmp_path, state(occlusion=1)).objects["visible"] == [0.5]
    assert not rows_of(tmp_path, state(tx=-10.0), state(ty=200.0)).objects


@pytest.mark.parametrize("text", ["", "<boost_serialization>", "<a><tracklets><item/></tracklets></a>"])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tracklet_labels.xml"
    file.write_text(text)
    with pytest.raises(DataError, match=r"tracklet_labels\.xml is no list of tracklets"):
        add_tracklets(file, Rows(), poses=[], places={}, to_camera=SCANNER, camera=CAMERA, picture=(160, 96))


def test_pictures_that_do_not_begin_at_0_get_the_objects_of_their_numbers(tmp_path: Path) -> None:
    found = rows_of(tmp_path, *(state(tx=10.0 + n) for n in range(8)), numbered=5, pose=np.eye(4)).objects
    assert found["frame"] == [0, 1, 2]
    assert found["z_m"] == pytest.approx([15.0, 16.0, 17.0])
