"""The stream: the plan's clips, in the plan's order, whatever happens to files and workers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.conftest import frames_differ
from tests.footage import moving_square

from drivereplay.data.batch import Batch
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.stream import Work, batches
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import Spec

pytestmark = pytest.mark.usefixtures("ray_session")


def prepared(spec: Spec) -> tuple[list[ClipIndex], SamplingPlan]:
    indexes = list(prepare(spec).values())
    return indexes, SamplingPlan.of(spec, [index.count("train") for index in indexes])


def streamed(spec: Spec, first: int = 0, last: int = 6, rank: int = 0, world_size: int = 1) -> list[Batch]:
    indexes, plan = prepared(spec)
    steps = {"first_step": first, "last_step": last}
    return list(batches(spec, indexes, plan, **steps, rank=rank, world_size=world_size))


def test_batches_are_the_plan(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(training={"cache": False})
    indexes, plan = prepared(spec)
    decoder = Decoder(spec.clip)
    found = streamed(spec)
    assert [batch.step for batch in found] == list(range(6))
    for batch in found:
        rows = plan.step(batch.step)
        for name in ("sample", "slot", "domain", "clip"):
            assert np.array_equal(getattr(batch, name), getattr(rows, name))
        windows = [indexes[d].window("train", c) for d, c in zip(rows.domain, rows.clip, strict=True)]
        assert np.array_equal(batch.frames, decoder.decode(windows)[0])
        assert not batch.replaced.any()
        assert len(batch) == 8


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_together_have_what_one_has(make_spec: Callable[..., Spec], world_size: int) -> None:
    spec = make_spec()
    whole = streamed(spec, 0, 3)
    parts = [streamed(spec, 0, 3, rank, world_size) for rank in range(world_size)]
    for step in range(3):
        samples = np.concatenate([part[step].sample for part in parts])
        frames = np.concatenate([part[step].frames for part in parts])
        order, expected = np.argsort(samples), np.argsort(whole[step].sample)
        assert np.array_equal(samples[order], whole[step].sample[expected])
        assert np.array_equal(frames[order], whole[step].frames[expected])


def test_a_resume_goes_on_at_its_step(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(training={"cache": False})
    whole, rest = streamed(spec), streamed(spec, 4)
    assert [batch.step for batch in rest] == [4, 5]
    for a, b in zip(whole[4:], rest, strict=True):
        assert np.array_equal(a.frames, b.frames)
    assert streamed(spec, 6) == []


def test_a_second_trial_decodes_nothing(make_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec()
    first = streamed(spec)
    monkeypatch.setattr("drivereplay.data.stream.decoded_dataset", None)
    second = streamed(spec)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.frames, b.frames)
        assert np.array_equal(a.clip, b.clip)


def test_flipped_bits_in_the_cache_reach_no_batch(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    first = streamed(spec, 0, 2)
    hurt = 0
    for path in Path(spec.storage, ".shared", "cache", "pixels").glob("*.clips"):
        data = np.memmap(path, dtype=np.uint8, mode="r+")
        size = spec.clip.frames * spec.clip.height * spec.clip.width * 3
        clips = data.reshape(-1, size)
        written = np.flatnonzero(clips.any(axis=1))
        clips[written, 1234] ^= 16
        hurt += len(written)
    assert hurt
    for before, after in zip(first, streamed(spec, 0, 2), strict=True):
        assert np.array_equal(before.frames, after.frames) and not after.replaced.any()


def test_bad_clips_are_replaced_by_the_next_of_their_domain(
    make_spec: Callable[..., Spec], footage: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(footage["street"], tmp_path / "street")
    write_video(tmp_path / "street" / "2.mp4", moving_square(55, 40), 8.0)
    domains = [{"name": "street", "source": {"kind": "videos", "path": str(tmp_path / "street")}}]
    spec = make_spec(replay={"domains": domains}, training={"cache": False, "bad_clips": 1.0})
    indexes, plan = prepared(spec)
    broken = Path(indexes[1].window("train", 0).path)
    assert len(indexes[1].videos("train")) == 2
    write_video(broken, moving_square(99, 12), 8.0)
    found = list(batches(spec, indexes, plan, first_step=0, last_step=6))
    replaced = 0
    for batch in found:
        rows = plan.step(batch.step)
        assert np.array_equal(batch.domain, rows.domain)
        for n in range(8):
            window = indexes[batch.domain[n]].window("train", int(batch.clip[n]))
            assert window.path != str(broken)
            assert batch.replaced[n] == (batch.clip[n] != rows.clip[n])
            replaced += int(batch.replaced[n])
            assert frames_differ(batch.frames[n], Decoder(spec.clip).decode([window])[0][0]) == 0
    assert replaced
    few = spec.model_copy(update={"training": spec.training.model_copy(update={"bad_clips": 0.01})})
    with pytest.raises(DataError, match=r"could not be read, more than training.bad_clips .*has changed since"):
        list(batches(few, indexes, plan, first_step=0, last_step=6))


def test_a_domain_that_is_all_bad_ends_the_run(
    make_spec: Callable[..., Spec], footage: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(footage["objects"], tmp_path / "objects")
    domains = [{"name": "objects", "source": {"kind": "videos", "path": str(tmp_path / "objects")}}]
    spec = make_spec(replay={"domains": domains}, training={"cache": False, "bad_clips": 1.0})
    indexes, plan = prepared(spec)
    shutil.rmtree(tmp_path / "objects")
    with pytest.raises(DataError, match=r"'objects': .* clips in a row cannot be read: .*vanished"):
        list(batches(spec, indexes, plan, first_step=0, last_step=6))


def test_augmentation_depends_on_the_sample_alone(make_spec: Callable[..., Spec]) -> None:
    settings = {"augment": {"flip": 0.5, "crop": 0.2, "colour": 0.5}}
    spec = make_spec(training=settings)
    decoded = streamed(spec, 0, 3)
    cached = streamed(spec, 0, 3)
    halves = [streamed(spec, 0, 3, rank, 2) for rank in (0, 1)]
    plain = streamed(make_spec(), 0, 3)
    for step in range(3):
        assert np.array_equal(decoded[step].frames, cached[step].frames)
        assert not np.array_equal(decoded[step].frames, plain[step].frames)
        for half in halves:
            mine = np.isin(decoded[step].sample, half[step].sample)
            assert np.array_equal(decoded[step].frames[mine], half[step].frames)


def test_blocks_grow_and_cover_the_plan(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(training={"steps": 1000})
    indexes, plan = prepared(spec)
    work = Work(spec, tuple(indexes), plan, range(1000), 1, 2)
    assert sum(work.block_rows) == 4000
    assert work.block_rows[0] == 1 and max(work.block_rows) > 100
    # no decoder is left with a large one alone
    assert max(work.block_rows[-3:]) <= 16
    joined = np.concatenate([work.rows(n).sample for n in range(work.blocks)])
    assert np.array_equal(joined, plan.rows(0, 1000, 1, 2).sample)


def test_wrong_calls(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    indexes, plan = prepared(spec)
    with pytest.raises(SpecError, match="3 workers"):
        next(batches(spec, indexes, plan, first_step=0, last_step=2, world_size=3))
    with pytest.raises(SpecError, match="1 indexes for a plan of 3"):
        next(
            batches(
                spec.model_copy(update={"training": spec.training.model_copy(update={"cache": False})}),
                indexes[:1],
                plan,
                first_step=0,
                last_step=2,
            )
        )
