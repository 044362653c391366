"""The clip cache: what was written comes back, what was damaged does not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drivereplay.data import cache as cache_module
from drivereplay.data.cache import ClipCache, fingerprint, make_room, pixel_caches
from drivereplay.data.index import ClipIndex
from drivereplay.data.prepare import prepare
from drivereplay.errors import DataError
from drivereplay.spec import Spec

SHAPE = (4, 8, 8, 3)


def clips(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    values = clips(5)
    ClipCache(tmp_path, "a", 100, SHAPE).put(np.array([3, 99, 0, 7, 50]), values)
    again = ClipCache(tmp_path, "a", 100, SHAPE)
    got, found = again.get(np.array([7, 8, 3, 99]))
    assert found.tolist() == [True, False, True, True]
    assert np.array_equal(got[[0, 2, 3]], values[[3, 0, 1]])
    assert again.has(np.array([0, 50])) and not again.has(np.array([0, 1]))
    assert again.written() == 5


def test_a_black_clip_is_told_from_none(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "a", 3, SHAPE)
    cache.put(np.array([1]), np.zeros((1, *SHAPE), np.uint8))
    assert cache.get(np.array([0, 1]))[1].tolist() == [False, True]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "a", 4, SHAPE)
    cache.put(np.arange(4), clips(4))
    path = next(tmp_path.glob("*.clips"))
    data = bytearray(path.read_bytes())
    size = int(np.prod(SHAPE))
    for bit in (0, 8 * size - 1, 3000):
        damaged = bytearray(data)
        damaged[2 * size + bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        assert ClipCache(tmp_path, "a", 4, SHAPE).get(np.arange(4))[1].tolist() == [True, True, False, True]
    sums = next(tmp_path.glob("*.sums"))
    path.write_bytes(bytes(data))
    wrong = bytearray(sums.read_bytes())
    wrong[8] ^= 4
    sums.write_bytes(bytes(wrong))
    assert ClipCache(tmp_path, "a", 4, SHAPE).get(np.arange(4))[1].tolist() == [True, False, True, True]


def test_only_what_is_written_takes_room(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "a", 1_000_000, SHAPE)
    cache.put(np.array([999_999]), clips(1))
    path = next(tmp_path.glob("*.clips"))
    assert path.stat().st_size == 768_000_000
    assert path.stat().st_blocks * 512 < 1_000_000


def test_a_full_disk_stops_writing_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ClipCache(tmp_path, "a", 4, SHAPE)
    values = clips(2)
    cache.put(np.array([0]), values[:1])

    def full(path: Path, offset: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "_written", full)
    cache.put(np.array([1]), values[1:])
    assert cache.full
    got, found = cache.get(np.array([0, 1]))
    assert found.tolist() == [True, False]
    assert np.array_equal(got[0], values[0])


def test_another_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ClipCache(tmp_path, "a", 4, SHAPE)

    def refused(path: Path, offset: int, data: bytes) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cache_module, "_written", refused)
    with pytest.raises(DataError, match="cannot be written"):
        cache.put(np.array([1]), clips(1))


def test_the_oldest_cache_makes_room(tmp_path: Path) -> None:
    import os

    for age, name in enumerate(("young", "old", "oldest")):
        ClipCache(tmp_path, name, 64, SHAPE).put(np.arange(64), clips(64))
        path = tmp_path / f"{name}.clips"
        os.utime(path, ns=(0, (10 - age) * 10**9))
    used = (tmp_path / "old.clips").stat().st_blocks * 512
    assert make_room(tmp_path, needed=0, share=1.0) == []
    disk = cache_module.shutil.disk_usage(tmp_path).free + 3 * used
    assert make_room(tmp_path, needed=0, share=1.5 * used / disk) == ["oldest", "old"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["young.clips", "young.sums"]
    assert make_room(tmp_path, needed=10**15, keep=["young"]) == []


def test_caches_of_one_experiment_make_no_room_for_each_other(
    make_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    indexes = list(prepare(spec).values())
    names = {fingerprint(index) for index in indexes}
    directory = Path(spec.storage) / ".shared" / "cache" / "pixels"
    old = ClipCache(directory, "old", 4, SHAPE)
    old.put(np.arange(4), clips(4))
    monkeypatch.setattr(cache_module.make_room, "__defaults__", ((), 0.0))
    for written in (False, True):
        # as each process opens them
        cache_module._opened.cache_clear()
        caches = pixel_caches(spec, indexes)
        assert caches is not None
        assert {path.stem for path in directory.iterdir()} == names
        for cache, index in zip(caches, indexes, strict=True):
            assert cache.has(np.array([0])) == written
            cache.put(np.array([0]), np.zeros((1, *pixels(index)), np.uint8))
            assert cache.has(np.array([0])) and not cache.full


def pixels(index: ClipIndex) -> tuple[int, ...]:
    return index.clip.frames, index.clip.height, index.clip.width, 3


def test_only_what_is_not_there_yet_needs_room(make_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec()
    indexes = list(prepare(spec).values())
    asked: list[int] = []
    monkeypatch.setattr(cache_module, "make_room", lambda directory, needed, keep: asked.append(needed))
    monkeypatch.setattr(cache_module, "_opened", cache_module._opened.__wrapped__)
    caches = pixel_caches(spec, indexes)
    assert caches is not None
    pixel_caches(spec, indexes)
    for cache, index in zip(caches, indexes, strict=True):
        cache.put(np.arange(index.total), np.ones((index.total, *pixels(index)), np.uint8))
    pixel_caches(spec, indexes)
    whole = sum(index.total * int(np.prod(pixels(index))) for index in indexes)
    assert asked == [whole, 0]


def test_a_cache_that_was_removed_for_another_is_written_no_more(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, "a", 4, SHAPE)
    values = clips(2)
    cache.put(np.array([0]), values[:1])
    assert make_room(tmp_path, needed=10**15) == ["a"]
    cache.put(np.array([1]), values[1:])
    assert cache.full and not list(tmp_path.iterdir())
    got, found = cache.get(np.array([0, 1]))
    assert found.tolist() == [True, False] and np.array_equal(got[0], values[0])


def test_name_follows_content_and_definition(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    driving = prepare(spec)["driving"]
    assert fingerprint(driving) == fingerprint(prepare(spec)["driving"])
    wider = prepare(make_spec(clip={"width": 64}))["driving"]
    assert fingerprint(driving) != fingerprint(wider)


def test_name_follows_the_version_of_decoding(make_spec: Callable[..., Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    driving = prepare(make_spec())["driving"]
    name = fingerprint(driving)
    monkeypatch.setattr(cache_module, "DECODING_VERSION", cache_module.DECODING_VERSION + 1)
    assert fingerprint(driving) != name


def test_bypass(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(training={"cache": False})
    assert pixel_caches(spec, list(prepare(spec).values())) is None
