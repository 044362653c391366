"""The latent cache: found by content, verified on read, bounded, and never in the way."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from drivereplay.data import latents as module
from drivereplay.data.latents import LatentCache
from drivereplay.errors import DataError


def frames(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def arrays(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "latents": generator.standard_normal((6, 2, 4, 4)).astype(np.float32),
        "image": generator.standard_normal((3,)).astype(np.float32),
    }


def same(a: dict | None, b: dict) -> bool:
    return a is not None and set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


def test_what_was_put_comes_back_in_another_process(tmp_path: Path) -> None:
    cache = LatentCache(tmp_path, "vae")
    for n in range(3):
        cache.put(cache.key(frames(n)), arrays(n))
    again = LatentCache(tmp_path, "vae")
    assert all(same(again.get(again.key(frames(n))), arrays(n)) for n in range(3))
    assert again.get(again.key(frames(3))) is None


def test_another_maker_and_another_shape_have_other_entries(tmp_path: Path) -> None:
    cache = LatentCache(tmp_path, "vae")
    cache.put(cache.key(frames(0)), arrays(0))
    other = LatentCache(tmp_path, "other vae")
    assert other.get(other.key(frames(0))) is None
    assert cache.key(frames(0)) != cache.key(frames(0).reshape(8, 4, 8, 3))


@pytest.mark.parametrize("damage", ["first byte", "a value", "checksum", "cut", "empty"])
def test_a_damaged_entry_is_none(tmp_path: Path, damage: str) -> None:
    cache = LatentCache(tmp_path, "vae")
    key = cache.key(frames(0))
    cache.put(key, arrays(0))
    path = next(tmp_path.rglob("*.latents"))
    data = bytearray(path.read_bytes())
    if damage in ("cut", "empty"):
        data = data[: {"cut": len(data) // 2, "empty": 0}[damage]]
    else:
        data[{"first byte": 0, "a value": len(data) - 60, "checksum": len(data) - 1}[damage]] ^= 1
    path.write_bytes(bytes(data))
    assert cache.get(key) is None
    cache.put(key, arrays(0))
    assert same(cache.get(key), arrays(0))


def test_the_oldest_entries_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = LatentCache(tmp_path, "vae")
    keys = [cache.key(frames(n)) for n in range(4)]
    for age, key in enumerate(keys):
        cache.put(key, arrays(0))
        os.utime(next(tmp_path.rglob(f"{key}.latents")), ns=(0, (10 + age) * 10**9))
    size = next(tmp_path.rglob("*.latents")).stat().st_blocks * 512
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=size))
    assert cache.make_room() == 2  # five entries' worth of room, of which half may be taken
    assert [cache.get(key) is not None for key in keys] == [False, False, True, True]


def test_a_full_disk_stops_writing_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = LatentCache(tmp_path, "vae")
    cache.put(cache.key(frames(0)), arrays(0))

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    cache.put(cache.key(frames(1)), arrays(1))
    assert cache.full and cache.get(cache.key(frames(1))) is None
    assert same(cache.get(cache.key(frames(0))), arrays(0))
    assert not list(tmp_path.rglob(".*"))


def test_another_error_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = LatentCache(tmp_path, "vae")

    def refused(self: Path, data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "write_bytes", refused)
    with pytest.raises(DataError, match="cannot be written"):
        cache.put(cache.key(frames(1)), arrays(1))
