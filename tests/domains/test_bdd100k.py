"""BDD100K videos and tracking labels written from a world."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.domains.miniature import FPS, FRAMES, HEIGHT, WIDTH, Drive, read_back, turn_left

from drivereplay.domains.annotations import read_clip
from drivereplay.domains.bdd100k import read_bdd100k
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec


def write(root: Path, truth: Drive) -> Path:
    """The video has 10 frames a second, labels come five times a second."""
    frames = []
    for index, n in enumerate(range(0, FRAMES, 2)):
        labels = [
            {"id": str(row["id"]), "category": "car", "attributes": {"occluded": False},
             "box2d": {"x1": row["x1_px"], "y1": row["y1_px"], "x2": row["x2_px"] - 1, "y2": row["y2_px"] - 1}}
            for row in truth.objects[n]
            if row["x1_px"] is not None
        ]  # fmt: skip
        frames.append({"videoName": "b1", "frameIndex": index, "name": f"b1-{index:07d}.jpg", "labels": labels})
    label = root / "labels" / "box_track_20" / "val" / "b1.json"
    for path in (root / "videos" / "val" / "b1.mp4", root / "videos" / "train" / "a1.mp4"):
        path.parent.mkdir(parents=True)
        shutil.copy(truth.video, path)
    label.parent.mkdir(parents=True)
    label.write_text(json.dumps(frames))
    return label


def test_exact_boxes_come_back(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "bdd", truth)
    train, val = read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")
    assert (train.key, train.split, train.annotations) == ("train/a1.mp4", "train", None)
    assert (val.key, val.split) == ("val/b1.mp4", "evaluation")
    found = read_back(val)
    labelled = np.isfinite(truth.known.boxes_px[0::2]).any(axis=(0, 2))
    assert found.ids.tolist() == truth.known.ids[labelled].tolist()
    expected = truth.known.boxes_px[0::2][:, labelled]
    assert np.allclose(found.boxes_px[0::2], expected, atol=1e-3, equal_nan=True)
    assert np.isnan(found.boxes_px[1::2]).all()
    assert np.isnan(found.positions_m).all() and np.isnan(found.poses).all() and np.isnan(found.sizes_m).all()


def test_damage(truth: Drive, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no directory `videos`"):
        read_bdd100k(str(tmp_path), tmp_path / "notes")
    label = write(tmp_path / "bdd", truth)
    label.write_text('[{"frameIndex": 0, "labels": [{"category": "car", "box2d": {"x1": 1}}]}]')
    with pytest.raises(DataError, match="no BDD100K tracking label"):
        read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")


def test_boxes_of_a_video_that_is_shown_on_its_side(truth: Drive, tmp_path: Path) -> None:
    label = write(tmp_path / "bdd", truth)
    turn_left(tmp_path / "bdd" / "videos" / "val" / "b1.mp4")
    box = {"x1": 10, "y1": 100, "x2": 29, "y2": 139}
    label.write_text(json.dumps([{"frameIndex": 0, "labels": [{"id": "1", "category": "car", "box2d": box}]}]))
    recording = read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")[1]
    clip = ClipSpec(frames=2, context=1, fps=FPS, height=WIDTH, width=HEIGHT)
    assert recording.annotations is not None
    found = read_clip(recording.annotations, range(2), (HEIGHT, WIDTH), clip)
    assert found.boxes_px[0].tolist() == [[10, 100, 30, 140]]


def test_videos_without_labels_are_left_out(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "bdd", truth)
    for name in ("test/c1.mp4", "train/._a1.mp4"):
        path = tmp_path / "bdd" / "videos" / name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(truth.video, path)
    found = read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")
    assert [(r.key, r.split) for r in found] == [("train/a1.mp4", "train"), ("val/b1.mp4", "evaluation")]


def _without(entries: list[dict[str, object]], form: str) -> list[dict[str, object]]:
    """The same labels as other tools write them."""
    for entry in entries:
        index = entry.pop("frameIndex")
        if form == "snake_case":
            entry["frame_index"] = index
        if form == "old":
            entry["index"] = index
        if form == "names from 1":
            entry["name"] = f"b1-{int(str(index)) + 1:07d}.jpg"
    if form == "some":
        entries[0]["frameIndex"] = 0  # says that this file's names count from 0
    return entries


@pytest.mark.parametrize("form", ["snake_case", "old", "names from 1", "some"])
def test_labels_without_frame_index(truth: Drive, tmp_path: Path, form: str) -> None:
    label = write(tmp_path / "bdd", truth)
    known = read_back(read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")[1])
    label.write_text(json.dumps(_without(json.loads(label.read_text()), form)))
    found = read_back(read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")[1])
    assert np.array_equal(found.boxes_px, known.boxes_px, equal_nan=True)


def test_labels_of_no_known_frame_are_refused(truth: Drive, tmp_path: Path) -> None:
    label = write(tmp_path / "bdd", truth)
    label.write_text('[{"name": "b.jpg", "labels": []}]')
    with pytest.raises(DataError, match="entry 0 has no frameIndex, nor a name that ends with a number"):
        read_bdd100k(str(tmp_path / "bdd"), tmp_path / "notes")
