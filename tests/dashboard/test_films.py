"""Videos of a trial into event files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.dashboard.helpers import accumulated, candidates, leave_trial, spec

from drivereplay.dashboard.events import EventFiles
from drivereplay.dashboard.films import add_films
from drivereplay.storage import Storage


@pytest.fixture
def directory(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path / "small")


def test_pairs_of_videos_become_animations_and_film_strips(directory: Storage) -> None:
    leave_trial(directory, "t0001", clips=2)
    trial = directory.below("trials", "t0001")
    trial.write("videos/step-60/99-real.mp4", b"without its generated one it is left out")
    first, second = candidates()[1:3]
    box = {"frame": 3, "id": 7, "box": [1.0, 2.0, 9.0, 8.0], "label": "car"}
    trial.write(
        "videos/step-60/00-tracks.json", json.dumps({"real": [box], "generated": [{**box, "frame": 4}]}).encode()
    )
    with EventFiles(directory).run("sweep") as writer:
        clips = add_films(writer, first, trial, spec(directory.root))
        assert clips == {"00", "01"}
        assert add_films(writer, second, trial, spec(directory.root), known=clips) == clips
        assert add_films(writer, second, directory.below("trials", "none"), spec(directory.root)) == set()
        earlier = replace(first, step=30)
        assert add_films(writer, earlier, trial, spec(directory.root)) == set(), "another checkpoint's are not its own"
    local = directory.local
    assert local is not None
    found = accumulated(local / "tensorboard" / "sweep")
    assert set(found.Tags()["images"]) == {f"videos/{c.name}/{clip}" for c in (first, second) for clip in clips}
    assert found.Images(f"videos/{first.name}/00")[0].encoded_image_string.startswith(b"GIF89a")
    strips = [tag for tag in found.Tags()["tensors"] if tag.startswith("pareto/video/")]
    assert sorted(strips) == sorted(
        f"pareto/video/{owner}/{clip}" for owner in ("", first.name, second.name) for clip in clips
    )
    tracks = {tag: json.loads(found.Tensors(tag)[0].tensor_proto.string_val[0])["tracks"] for tag in strips}
    assert tracks["pareto/video//00"] == [[3, 7, 1.0, 2.0, 9.0, 8.0, "car"]]
    assert tracks[f"pareto/video/{first.name}/00"] == [[4, 7, 1.0, 2.0, 9.0, 8.0, "car"]]
    assert tracks[f"pareto/video/{first.name}/01"] == [], "videos of older runs have no tracks beside them"
