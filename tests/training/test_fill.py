"""What a fill leaves is what training would have made, and training then makes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.footage import moving_square
from tests.training.test_encoded import spec_of

from drivereplay.data.cache import pixel_caches
from drivereplay.data.prepare import prepare
from drivereplay.data.video import write_video
from drivereplay.errors import SpecError
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.fill import fill
from drivereplay.training.trainer import train

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """Two domains of real mp4 files, and a model with an autoencoder."""
    for place, domain in enumerate(("driving", "street")):
        for n in range(3):
            write_video(tmp_path / domain / f"{n}.mp4", moving_square(10 * place + n, 24), 8.0)
    videos = {name: {"kind": "videos", "path": str(tmp_path / name)} for name in ("driving", "street")}
    return with_values(
        spec_of("wan", tmp_path / "runs"),
        {
            "target.source": videos["driving"],
            "replay.domains": [{"name": "street", "source": videos["street"]}],
            "training.steps": 3,
            "training.batch_size": 4,
        },
    )


def latents(spec: Spec) -> dict[str, int]:
    """Files of the latent cache, and when each was written."""
    return {p.name: p.stat().st_mtime_ns for p in Path(spec.storage).rglob("*.latents")}


def test_everything_is_decoded_and_encoded_once(spec: Spec, tmp_path: Path) -> None:
    by_name = prepare(spec)
    indexes = list(by_name.values())
    count = sum(index.count("train") for index in indexes)
    first = fill(spec, indexes)
    assert first.clips == first.decoded == {index.name: index.count("train") for index in indexes}
    assert not first.bad
    caches = pixel_caches(spec, indexes)
    assert caches is not None
    for cache, index in zip(caches, indexes, strict=True):
        assert cache.has(index.numbers(np.arange(index.count("train"))))
    kept = latents(spec)
    assert len(kept) == count
    again = fill(spec, indexes)
    assert set(again.decoded.values()) == {0}
    train(spec, Storage.of(tmp_path / "run"), indexes=by_name, show_progress=False)
    assert latents(spec) == kept


def test_a_clip_that_cannot_be_read_is_named(spec: Spec, tmp_path: Path) -> None:
    indexes = list(prepare(spec).values())
    path = Path(indexes[0].window("train", 0).path)
    path.write_bytes(path.read_bytes()[:900])
    filled = fill(spec, indexes)
    assert filled.bad and all("driving" in name and "changed" in reason for name, reason in filled.bad.items())
    assert filled.decoded["driving"] == filled.clips["driving"] - len(filled.bad)


def test_without_a_cache_there_is_nothing_to_fill(spec: Spec) -> None:
    with pytest.raises(SpecError, match=r"training\.cache"):
        fill(with_values(spec, {"training.cache": False}), [])
