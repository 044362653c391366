"""Clips that are rendered when they are needed: the plan, the stream and evaluation on a world without files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivereplay.data.batch import Batch
from drivereplay.data.clips import evaluation_clips
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.rendered import FIRST_HELD_OUT, FIRST_TRAINING, HELD_OUT, RenderedIndex
from drivereplay.data.stream import batches
from drivereplay.data.summary import summary
from drivereplay.domains.annotations import annotation_directory, read_clip
from drivereplay.domains.worlds import render_clip
from drivereplay.domains.worlds.writer import Manifest, write_clip
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec, Spec, WorldSource

CLIP = ClipSpec(frames=4, context=1, fps=8, height=32, width=48)
SIZE: dict[str, Any] = {"frames": 4, "fps": 8.0, "height": 32, "width": 48}


def source(world: str = "highway", split: str = "regular", **values: Any) -> dict[str, Any]:
    return {"kind": "world", "world": world, "clips": "fresh", "split": split, **values}


def index_of(world: str = "highway", split: str = "regular", seed: int = 0) -> RenderedIndex:
    return RenderedIndex("driving", CLIP, WorldSource(**source(world, split, seed=seed)))


@pytest.fixture
def fresh_spec(make_spec: Callable[..., Spec]) -> Callable[..., Spec]:
    """A fresh highway as the target, beside the files of `street` and a fresh `shapes`."""

    def made(**sections: Any) -> Spec:
        spec = make_spec(
            clip={"frames": 4, "context": 1},
            target={"name": "driving", "source": source(seed=5)},
            **sections,
        )
        street, objects = spec.replay.domains
        shapes = objects.model_copy(update={"source": WorldSource(**source("shapes"))})
        return spec.model_copy(update={"replay": spec.replay.model_copy(update={"domains": (street, shapes)})})

    return made


def streamed(spec: Spec, first: int, last: int, rank: int = 0, world_size: int = 1) -> list[Batch]:
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    steps = {"first_step": first, "last_step": last}
    return list(batches(spec, indexes, plan, **steps, rank=rank, world_size=world_size))


@pytest.mark.usefixtures("ray_session")
def test_a_batch_shows_what_the_clips_numbers_say_and_nothing_is_written(fresh_spec: Callable[..., Spec]) -> None:
    spec = fresh_spec()
    found = streamed(spec, 0, 4)
    worlds = {0: ("highway", 5), 2: ("shapes", 0)}
    seen = []
    for batch in found:
        for n in np.flatnonzero(batch.domain != 1):
            world, seed = worlds[int(batch.domain[n])]
            number = FIRST_TRAINING + int(batch.clip[n])
            assert number < FIRST_HELD_OUT
            np.testing.assert_array_equal(batch.frames[n], render_clip(world, number, seed=seed, **SIZE))
            seen.append((world, number))
    assert len(seen) == len(set(seen)) > 20
    # the files of `street` are kept, of the worlds there is nothing
    shared = Path(spec.storage, ".shared")
    assert not (shared / "worlds").exists()
    assert [path.name.split("-")[0] for path in (shared / "cache" / "pixels").glob("*.clips")] == ["street"]
    assert [path.name.split("-")[0] for path in (shared / "indexes").iterdir()] == ["street"]


@pytest.mark.usefixtures("ray_session")
def test_a_resume_and_two_ranks_take_the_same_clips(fresh_spec: Callable[..., Spec]) -> None:
    spec = fresh_spec()
    whole, rest = streamed(spec, 0, 4), streamed(spec, 3, 4)
    np.testing.assert_array_equal(whole[3].clip, rest[0].clip)
    np.testing.assert_array_equal(whole[3].frames, rest[0].frames)
    halves = [streamed(spec, 1, 2, rank, 2)[0] for rank in (0, 1)]
    for n, part in enumerate(halves):
        np.testing.assert_array_equal(part.frames, whole[1].frames[n::2])


def test_an_epoch_does_not_end(fresh_spec: Callable[..., Spec], ray_session: None) -> None:
    spec = fresh_spec(training={"steps": 10**6})
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    late = plan.step(10**6 - 1)
    assert (late.epoch[late.domain != 1] == 0).all()
    assert (late.epoch[late.domain == 1] > 0).all()
    rows = summary(fresh_spec(), indexes, plan)
    assert [row.clips is None for row in rows] == [True, False, True]
    assert rows[0].never is None and rows[0].epochs is None and rows[0].cache_bytes == 0
    assert rows[0].decode_s is not None and rows[0].decode_s > 0


@pytest.mark.parametrize("world", ["town", "crowd"])
def test_annotations_are_those_of_the_written_clip(world: str, tmp_path: Path) -> None:
    split = "both" if world == "town" else "regular"
    index = index_of(world, split, seed=2)
    for clip in evaluation_clips(index, CLIP, count=3, seed=1):
        number = int(clip.name.split("@")[0].rsplit("-", 1)[1])
        assert FIRST_HELD_OUT <= number < FIRST_HELD_OUT + HELD_OUT
        manifest = Manifest(world, 2, split, 4, 8.0, 32, 48, 2, 1, "writing")
        write_clip(tmp_path, manifest, number)
        directory = annotation_directory(tmp_path / f"clip-{number:06d}.mp4")
        written = read_clip(str(directory), range(4), (48, 32), CLIP)
        assert clip.annotations is not None and len(written.ids)
        for name, values in vars(written).items():
            np.testing.assert_array_equal(getattr(clip.annotations, name), values)
        np.testing.assert_array_equal(clip.frames, render_clip(world, number, seed=2, split=split, **SIZE))
        assert clip.subset == ("rare-motion" if split == "both" and number % 2 else "regular")


def test_evaluation_has_the_same_clips_each_time_and_none_of_training() -> None:
    index = index_of(split="both")
    first, again, other = (
        [clip.name for clip in evaluation_clips(index, CLIP, count=4, seed=seed)] for seed in (0, 0, 1)
    )
    assert first == again and len(set(first)) == 4 and not set(first) & set(other)
    rare = list(evaluation_clips(index, CLIP, count=3, seed=0, subset="rare-motion"))
    assert {clip.subset for clip in rare} == {"rare-motion"}
    numbers = [
        index.window(split, n).rendered for split in ("train", "evaluation") for n in (0, index.count(split) - 1)
    ]
    worlds = [rendered[1] for rendered in numbers if rendered is not None]
    assert worlds == [FIRST_TRAINING, FIRST_HELD_OUT - 1, FIRST_HELD_OUT, FIRST_HELD_OUT + HELD_OUT - 1]
    assert worlds == sorted(set(worlds))


def test_training_on_a_subset() -> None:
    index = index_of(split="both")
    assert {index.window("train", n).subset for n in range(6)} == {"regular", "rare-motion"}
    rare = index.trained_on("rare-motion")
    assert rare.count("train") == index.count("train") // 2
    last = rare.window("train", rare.count("train") - 1).rendered
    assert last is not None and last[1] == FIRST_HELD_OUT - 1
    assert {rare.window("train", n).subset for n in range(6)} == {"rare-motion"}
    assert len({rare.window("train", n).key for n in range(6)}) == 6
    # what is held out stays as it is
    assert rare.count("evaluation") == index.count("evaluation") == HELD_OUT
    with pytest.raises(DataError, match="its split is regular"):
        index_of().trained_on("rare-motion")


@pytest.mark.parametrize("kind", ["first", "reservoir", "k-centre"])
def test_a_buffer_keeps_some_of_them(fresh_spec: Callable[..., Spec], kind: str, ray_session: None) -> None:
    spec = fresh_spec(training={"steps": 40})
    buffer = spec.replay.buffer.model_copy(update={"kind": kind, "clips": 3})
    spec = spec.model_copy(update={"replay": spec.replay.model_copy(update={"buffer": buffer})})
    index = prepare(spec)["objects"]
    assert index.count("train") == 3 and not index.endless
    keys = {index.window("train", n).key for n in range(3)}
    assert len(keys) == 3
    again = prepare(spec)["objects"]
    assert {again.window("train", n).key for n in range(3)} == keys


def test_what_cannot_be_rendered_is_refused() -> None:
    with pytest.raises(SpecError, match="orbit has no both split"):
        index_of("orbit", "both")
    with pytest.raises(ValueError, match="length of written videos"):
        WorldSource(**source(seconds=3.0))
    with pytest.raises(ValueError, match="clips"):
        WorldSource(**source() | {"clips": "new"})
    with pytest.raises(DataError, match="there is no clip -1"):
        index_of().window("train", -1)
