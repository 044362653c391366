"""Making all domains of an experiment ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.footage import moving_square

from drivereplay.data.prepare import prepare
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import Spec


def videos(path: Path) -> dict[str, object]:
    return {"name": "driving", "source": {"kind": "videos", "path": str(path)}}


def test_domains_come_in_order_and_are_kept(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    spec = make_spec()
    first = prepare(spec)
    assert list(first) == ["driving", "street", "objects"]
    kept = sorted((tmp_path / "runs" / ".shared" / "indexes").iterdir())
    assert len([d for d in kept if (d / "videos.parquet").exists()]) == 3
    again = prepare(spec)
    assert all(again[name].table.equals(index.table) for name, index in first.items())


def test_another_clip_or_seed_is_another_index(make_spec: Callable[..., Spec]) -> None:
    small = prepare(make_spec(clip={"frames": 4}))["driving"]
    assert small.count("train") > prepare(make_spec())["driving"].count("train")


@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_held_out_videos_may_be_named(
    make_spec: Callable[..., Spec], footage: dict[str, Path], split: str, tmp_path: Path
) -> None:
    source = {"kind": "videos", "path": str(footage["driving"]), "evaluation": str(footage["street"])}
    index = prepare(make_spec(target={"name": "driving", "source": source}))["driving"]
    assert all(key.startswith("evaluation/") == (split == "evaluation") for key in index.videos(split))
    assert len(index.videos("train")) == 3


def test_a_target_of_one_recording(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    write_video(tmp_path / "one" / "a.mp4", moving_square(0, 40), 8.0)
    (tmp_path / "one" / "broken.mp4").write_bytes(b"")
    with pytest.raises(
        SpecError, match=r"one usable recording.*broken.mp4 the file is empty.*target.source.evaluation"
    ):
        prepare(make_spec(target=videos(tmp_path / "one")))


def test_a_replay_domain_of_one_recording_is_all_training(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    write_video(tmp_path / "one" / "a.mp4", moving_square(50, 40), 8.0)
    domains = [{"name": "one", "source": {"kind": "videos", "path": str(tmp_path / "one")}}]
    index = prepare(make_spec(replay={"domains": domains}))["one"]
    assert (index.count("train"), index.count("evaluation")) == (9, 0)


def test_missing_and_empty_sources(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no directory or file"):
        prepare(make_spec(target=videos(tmp_path / "nowhere")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="there is no video in"):
        prepare(make_spec(target=videos(tmp_path / "empty")))


def test_a_world_is_written_and_indexed_with_its_annotations(make_spec: Callable[..., Spec]) -> None:
    source = {"kind": "world", "world": "highway", "clips": 4, "split": "both"}
    index = prepare(make_spec(target={"name": "driving", "source": source}))["driving"]
    assert index.report.videos == 4
    assert {index.window("train", n).subset for n in range(index.count("train"))} <= {"regular", "rare-motion"}
    total = sum(
        index.count(split, subset) for split in ("train", "evaluation") for subset in ("regular", "rare-motion")
    )
    assert total == index.count("train") + index.count("evaluation")
    assert index.window("evaluation", 0).annotations is not None


def test_training_on_regular_motion_alone(make_spec: Callable[..., Spec]) -> None:
    source = {"kind": "world", "world": "highway", "clips": 8, "split": "both"}
    whole = prepare(make_spec(target={"name": "driving", "source": source}))["driving"]
    index = prepare(make_spec(target={"name": "driving", "source": source, "split": "regular"}))["driving"]
    assert 0 < index.count("train") < whole.count("train")
    kept = {index.window("train", n).name for n in range(index.count("train"))}
    everything = [whole.window("train", n) for n in range(whole.count("train"))]
    assert kept == {window.name for window in everything if window.subset == "regular"}
    assert index.count("evaluation", "rare-motion") == whole.count("evaluation", "rare-motion") > 0


def test_training_on_a_subset_that_nobody_annotated(make_spec: Callable[..., Spec], footage: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="no training clip of split 'regular'"):
        prepare(make_spec(target={**videos(footage["driving"]), "split": "regular"}))


def test_a_buffer_chooses_within_the_subset(make_spec: Callable[..., Spec]) -> None:
    source = {"kind": "world", "world": "town", "clips": 8, "split": "both"}
    domains = [{"name": "town", "source": source, "split": "rare-motion"}]
    for kind in ("first", "k-centre"):
        index = prepare(make_spec(replay={"domains": domains, "buffer": {"kind": kind, "clips": 2}}))["town"]
        assert [index.window("train", n).subset for n in range(index.count("train"))] == ["rare-motion"] * 2
