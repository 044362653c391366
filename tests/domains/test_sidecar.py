"""Annotations beside a video: Parquet, JSON, MOT-challenge text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.domains.miniature import FRAMES, HEIGHT, WIDTH, Drive, read_back

from drivereplay.domains.sidecar import sidecar
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError


@pytest.fixture
def video(truth: Drive, tmp_path: Path) -> Path:
    path = tmp_path / "videos" / "a.mp4"
    path.parent.mkdir()
    shutil.copy(truth.video, path)
    return path


def mot_lines(truth: Drive) -> list[str]:
    return [
        f"{n + 1},{row['id']},{row['x1_px'] + 1:.4f},{row['y1_px'] + 1:.4f},{row['x2_px'] - row['x1_px']:.4f},"
        f"{row['y2_px'] - row['y1_px']:.4f},1,3,{row['visible']:.4f}"
        for n in range(FRAMES)
        for row in truth.objects[n]
        if row["x1_px"] is not None
    ]


def test_nothing_beside_it(video: Path, tmp_path: Path) -> None:
    assert sidecar(video, tmp_path / "notes") is None


def test_parquet(video: Path, truth: Drive, tmp_path: Path) -> None:
    shutil.copytree(truth.video.with_name(f"{truth.video.stem}.annotations"), video.with_name("a.annotations"))
    (recording,) = read_videos(str(video.parent), tmp_path / "notes")
    assert np.array_equal(read_back(recording).boxes_px, truth.known.boxes_px, equal_nan=True)


def test_json(video: Path, truth: Drive, tmp_path: Path) -> None:
    objects = [row for rows in truth.objects for row in rows]
    frames = [{"frame": n, "time_s": float(t)} for n, t in enumerate(truth.times_s)]
    content = {"width": WIDTH, "height": HEIGHT, "frames": frames, "objects": objects}
    video.with_suffix(".json").write_text(json.dumps(content))
    (recording,) = read_videos(str(video.parent), tmp_path / "notes")
    found = read_back(recording)
    assert np.array_equal(found.boxes_px, truth.known.boxes_px, equal_nan=True)
    assert np.allclose(found.positions_m, truth.known.positions_m, equal_nan=True)
    assert np.isnan(found.poses).all()


def test_mot(video: Path, truth: Drive, tmp_path: Path) -> None:
    video.with_name("a.mot.txt").write_text("\n".join([*mot_lines(truth), "1,999,1,1,5,5,0,3,1"]))
    (recording,) = read_videos(str(video), tmp_path / "notes")
    found = read_back(recording)
    assert found.ids.tolist() == truth.known.ids.tolist()
    assert np.allclose(found.boxes_px, truth.known.boxes_px, atol=1e-3, equal_nan=True)
    assert set(found.classes.tolist()) == {"car"}


def test_a_file_that_changed_is_read_again(video: Path, truth: Drive, tmp_path: Path) -> None:
    import os

    file = video.with_name("a.mot.txt")
    file.write_text("\n".join(mot_lines(truth)))
    first = sidecar(video, tmp_path / "notes")
    assert sidecar(video, tmp_path / "notes") == first
    file.write_text("\n".join(mot_lines(truth)[:3]))
    os.utime(file, ns=(0, 1))
    assert sidecar(video, tmp_path / "notes") != first


def test_fewer_frames_than_the_video_and_boxes_of_nan(video: Path, tmp_path: Path) -> None:
    video.with_name("a.mot.txt").write_text("1,5,11,11,10,10,1,3,1\n2,5,nan,11,10,10,1,3,1\n3,5,13,11,10,10,1,3,1\n")
    (recording,) = read_videos(str(video), tmp_path / "notes")
    found = read_back(recording)
    assert found.boxes_px.shape == (FRAMES, 1, 4)
    assert np.isfinite(found.boxes_px[[0, 2]]).all()
    assert np.isnan(found.boxes_px[1]).all() and np.isnan(found.boxes_px[3:]).all()
    assert (found.visible[[1, *range(3, FRAMES)]] == 0).all()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"frames": [', "no annotation file"),
        ("a.json", '{"objects": [{"frame": 0, "id": 1}]}', r"no annotation file: KeyError\('width"),
        ("a.json", '{"width": Infinity, "height": 4, "objects": []}', "no annotation file"),
        ("a.json", '{"width": 0, "height": 4, "objects": []}', "no annotation file"),
        (
            "a.json",
            '{"width": 4, "height": 4, "objects": [{"frame": 0, "id": 1, "colour": 3}]}',
            "columns colour",
        ),
        ("a.json", '{"width": 4, "height": 4, "objects": [{"id": 1}]}', "frame.* missing"),
        *(
            ("a.json", f'{{"width": 4, "height": 4, "objects": [{entry}]}}', rf"a\.json: annotation column {column} ")
            for column, entry in (
                ("id", '{"frame": 0, "id": "car-1"}'),
                ("x1_px", '{"frame": 0, "id": 1, "x1_px": "abc"}'),
                ("x1_px", '{"frame": 0, "id": 1, "x1_px": [1]}'),
                ("frame", '{"frame": null, "id": 1}'),
                ("frame", '{"frame": 1.7, "id": 1}'),
                ("frame", '{"frame": 8589934592, "id": 1}'),
                ("id", '{"frame": 0, "id": 1}, {"frame": 1}'),
                ("id", '{"frame": 0, "id": 1180591620717411303424}'),
                ("class", '{"frame": 0, "id": 1, "class": 3}, {"frame": 1, "id": 1, "class": "car"}'),
            )
        ),
        ("a.mot.txt", "1,1,1,1,2,2,1,inf,1\n", r"a\.mot\.txt, line 1"),
        ("a.mot.txt", "1,99999999999999999999999,1,1,2,2,1,1,1\n", r"a\.mot\.txt: annotation column id "),
        ("a.mot.txt", "1,-1,1,1,2,2,1\n1,-1,5,5,2,2,1\n", r"a\.mot\.txt: annotation rows stand there twice"),
        ("a.mot.txt", "1,2,3\n", "line 1"),
        ("a.mot.txt", "1,1,1,1,2,2,1,1,1\n1,x,1,1,2,2,1,1,1\n", "line 2"),
    ],
)
def test_damage(video: Path, tmp_path: Path, name: str, text: str, message: str) -> None:
    video.with_name(name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_videos(str(video), tmp_path / "notes")


def test_a_file_that_is_no_utf_8_is_named(video: Path, tmp_path: Path) -> None:
    video.with_name("a.mot.txt").write_bytes("1,1,1,1,2,2,1,1,1,é\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.mot\.txt cannot be read: UnicodeDecodeError"):
        sidecar(video, tmp_path / "notes")
    video.with_name("a.json").write_bytes('{"objects": [], "note": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.json is no annotation file: UnicodeDecodeError"):
        sidecar(video, tmp_path / "notes")


@pytest.mark.parametrize(
    "text",
    [
        '{"speed": [1, 2, 3]}',
        '{"width": 640, "height": 360, "fps": 30}',
        '{"width": 640, "height": 360, "frames": 300}',
        '{"frames": [{"speed": 3}]}',
        '{"frames": [[1, 2], "frame"], "objects": null}',
        '[{"frame": 0}, "objects"]',
        '{"gps": ',
        "",
    ],
)
def test_json_of_something_else_is_passed_over(video: Path, tmp_path: Path, text: str) -> None:
    video.with_suffix(".json").write_text(text)
    assert sidecar(video, tmp_path / "notes") is None
    video.with_name("a.mot.txt").write_text("1,5,11,11,10,10,1,3,1\n")
    (recording,) = read_videos(str(video), tmp_path / "notes")
    assert read_back(recording).ids.tolist() == [5]


def test_a_byte_order_mark_is_no_damage(video: Path, tmp_path: Path) -> None:
    video.with_name("a.mot.txt").write_text("1,5,11,11,10,10,1,3,1\n", encoding="utf-8-sig")
    assert sidecar(video, tmp_path / "notes") is not None
    text = json.dumps({"width": WIDTH, "height": HEIGHT, "objects": [{"frame": 0, "id": 1}]})
    video.with_suffix(".json").write_text(text, encoding="utf-8-sig")
    assert sidecar(video, tmp_path / "notes") is not None


def test_mot_that_counts_frames_from_0(video: Path, truth: Drive, tmp_path: Path) -> None:
    lines = [f"{int(number) - 1},{rest}" for number, _, rest in (line.partition(",") for line in mot_lines(truth))]
    video.with_name("a.mot.txt").write_text("\n".join(lines))
    (recording,) = read_videos(str(video), tmp_path / "notes")
    assert np.allclose(read_back(recording).boxes_px, truth.known.boxes_px, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("name", ["a.json", "a.annotations"])
def test_annotations_of_two_videos_are_refused(video: Path, truth: Drive, tmp_path: Path, name: str) -> None:
    shutil.copy(video, video.with_suffix(".mov"))
    assert len(read_videos(str(video.parent), tmp_path / "notes")) == 2
    if name == "a.json":
        video.with_name(name).write_text(json.dumps({"width": 8, "height": 8, "objects": [{"frame": 0, "id": 1}]}))
    else:
        shutil.copytree(truth.video.with_name(f"{truth.video.stem}.annotations"), video.with_name(name))
    with pytest.raises(DataError, match="lie beside the same annotations"):
        read_videos(str(video.parent), tmp_path / "notes")
    # one that is asked for alone has them
    assert read_videos(str(video), tmp_path / "notes")[0].annotations is not None
