"""Every kind of source gives recordings; worlds are written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.domains.miniature import write_pictures
from tests.footage import moving_square

from drivereplay import domains
from drivereplay.domains import local_directory, recordings
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import SpecError
from drivereplay.spec import ClipSpec, DomainSpec
from drivereplay.storage import Storage

CLIP = ClipSpec(frames=4, context=1, fps=5, height=32, width=48)


def found(tmp_path: Path, **source: object) -> list:
    domain = DomainSpec.model_validate({"name": "d", "source": source})
    return recordings(domain, CLIP, Storage.of(tmp_path / ".shared"))


def test_a_world_is_written_once(tmp_path: Path) -> None:
    first = found(tmp_path, kind="world", world="shapes", clips=2)
    assert len(first) == 2
    stamps = [Path(r.path).stat().st_mtime_ns for r in first]
    again = found(tmp_path, kind="world", world="shapes", clips=2)
    assert [Path(r.path).stat().st_mtime_ns for r in again] == stamps
    assert first[0].path.startswith(str(tmp_path / ".shared" / "worlds"))
    other = found(tmp_path, kind="world", world="shapes", clips=2, seed=1)
    assert other[0].path != first[0].path


def test_named_evaluation_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "a" / "x.mp4", moving_square(0, 8), 5.0)
    write_video(tmp_path / "b" / "x.mp4", moving_square(1, 8), 5.0)
    both = found(tmp_path, kind="videos", path=str(tmp_path / "a"), evaluation=str(tmp_path / "b"))
    assert [(r.key, r.split) for r in both] == [("x.mp4", "train"), ("evaluation/x.mp4", "evaluation")]


@pytest.mark.parametrize("part", ["val", "evaluation"])
@pytest.mark.parametrize("form", ["drive/{}", "drive/{}/*.mp4", "link", "drive/{}/y.mp4"])
def test_evaluation_videos_below_the_others_are_not_trained_on(tmp_path: Path, part: str, form: str) -> None:
    for seed, name in enumerate(("x.mp4", f"{part}/y.mp4")):
        write_video(tmp_path / "drive" / name, moving_square(seed, 8), 5.0)
    (tmp_path / "link").symlink_to(tmp_path / "drive" / part, target_is_directory=True)
    evaluation = str(tmp_path / form.format(part))
    both = found(tmp_path, kind="videos", path=str(tmp_path / "drive"), evaluation=evaluation)
    assert [(r.key, r.split) for r in both] == [("x.mp4", "train"), ("evaluation/y.mp4", "evaluation")]


def test_recordings_of_both_parts_never_have_the_same_name(tmp_path: Path) -> None:
    for seed, name in enumerate(("a/evaluation/x.mp4", "b/x.mp4")):
        write_video(tmp_path / name, moving_square(seed, 8), 5.0)
    both = found(tmp_path, kind="videos", path=str(tmp_path / "a"), evaluation=str(tmp_path / "b"))
    assert [(r.key, r.split) for r in both] == [("evaluation/x.mp4", "train"), ("_evaluation/x.mp4", "evaluation")]
    assert len({r.group for r in both}) == 2


def test_nothing_left_to_train_on_or_to_judge(tmp_path: Path) -> None:
    write_video(tmp_path / "a" / "x.mp4", moving_square(0, 8), 5.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="is held out by `evaluation"):
        found(tmp_path, kind="videos", path=str(tmp_path / "a"), evaluation=str(tmp_path))
    with pytest.raises(SpecError, match="there is no video in .*empty"):
        found(tmp_path, kind="videos", path=str(tmp_path / "a"), evaluation=str(tmp_path / "empty"))


def test_images_by_kind(tmp_path: Path) -> None:
    write_pictures(tmp_path / "i", np.zeros((3, 16, 16, 3), np.uint8), ["0.png", "1.png", "2.png"])
    (recording,) = found(tmp_path, kind="images", path=str(tmp_path / "i"), fps=5.0)
    assert len(recording.images) == 3


@pytest.mark.parametrize("kind", ["kitti", "nuscenes", "bdd100k", "argoverse2", "comma2k19", "lerobot", "images"])
def test_every_reader_refuses_what_is_not_there(tmp_path: Path, kind: str) -> None:
    with pytest.raises(SpecError):
        found(tmp_path, kind=kind, path=str(tmp_path / "nowhere"))


def test_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="there is no video"):
        found(tmp_path, kind="videos", path=str(tmp_path / "empty"))


def test_remote_storage_keeps_files_on_this_machine(tmp_path: Path) -> None:
    assert local_directory(Storage.of(tmp_path)) == tmp_path
    remote = Storage.of("mock://bucket/runs")
    assert local_directory(remote).is_absolute()
    assert local_directory(remote) != local_directory(Storage.of("mock://bucket/other"))


def test_files_that_only_one_node_would_see_are_refused(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos by themselves lie where every node reads them; worlds and converted annotations would not."""
    remote = Storage.of("mock://bucket/runs")
    write_video(tmp_path / "v" / "x.mp4", moving_square(0, 8), 5.0)
    world = DomainSpec.model_validate({"name": "d", "source": {"kind": "world", "world": "shapes", "clips": 2}})
    videos = DomainSpec.model_validate({"name": "d", "source": {"kind": "videos", "path": str(tmp_path / "v")}})
    monkeypatch.setattr(domains, "cluster_nodes", lambda: [{"CPU": 1.0}] * 2)
    with pytest.raises(SpecError, match=r"World shapes .*others could not read it"):
        recordings(world, CLIP, remote)
    assert len(recordings(videos, CLIP, remote)) == 1
    (tmp_path / "v" / "x.mot.txt").write_text("1,1,2,2,8,8,1,1,1\n")
    with pytest.raises(SpecError, match="Annotations of"):
        recordings(videos, CLIP, remote)
