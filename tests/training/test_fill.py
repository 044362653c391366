"""What a fill leaves is what training would have made, and training then makes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.footage import moving_square
from tests.training.test_encoded import spec_of

from drivereplay.data.cache import pixel_caches
from drivereplay.data.prepare import prepare
from drivereplay.data.rendered import FIRST_TRAINING
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import SpecError
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.curve import read_curve
from drivereplay.training.fill import _Filler, fill
from drivereplay.training.ledger import read_ledger
from drivereplay.training.trainer import CheckpointEvent, StopTraining, train

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


def test_everything_is_decoded_and_encoded_once_and_what_cannot_be_read_is_named(spec: Spec, tmp_path: Path) -> None:
    by_name = prepare(spec)
    indexes = list(by_name.values())
    bad = Path(indexes[1].window("train", 0).path)
    whole = bad.read_bytes()
    bad.write_bytes(whole[:900])
    first = fill(spec, indexes)
    assert first.clips == {index.name: index.count("train") for index in indexes}
    assert first.bad and all("street" in name and "changed" in reason for name, reason in first.bad.items())
    assert first.decoded == {"driving": first.clips["driving"], "street": first.clips["street"] - len(first.bad)}
    caches = pixel_caches(spec, indexes)
    assert caches is not None
    assert [cache.written() for cache in caches] == list(first.decoded.values())
    assert len(latents(spec)) == sum(first.decoded.values())
    # the file is whole again: only what is missing is made, as in another call
    stat = indexes[1].window("train", 0)
    bad.write_bytes(whole)
    os.utime(bad, ns=(stat.modified_ns, stat.modified_ns))
    filler = _Filler(spec, tuple(indexes))
    for place, index in enumerate(indexes):
        made = filler({"domain": [place], "first": [0], "last": [index.count("train")]})
        assert made["decoded"] == [len(first.bad) if place else 0] and made["bad"] == [[]]
    kept = latents(spec)
    assert len(kept) == sum(first.clips.values())
    train(spec, Storage.of(tmp_path / "run"), indexes=by_name, show_progress=False)
    assert latents(spec) == kept


def test_rendered_clips_are_neither_filled_nor_kept_and_a_resume_takes_the_same_ones(
    spec: Spec, tmp_path: Path
) -> None:
    world = {"kind": "world", "world": "shapes", "clips": "fresh"}
    fresh = with_values(spec, {"target.source": world, "training.checkpoint_every": 1, "replay.frequency": 0.5})
    by_name = prepare(fresh)
    filled = fill(fresh, list(by_name.values()))
    assert filled.rendered == ["driving"]
    assert [row["domain"] for row in filled.rows()] == ["street"]
    kept = latents(fresh)
    assert len(kept) == by_name["street"].count("train")

    whole, broken = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "broken")
    train(fresh, whole, indexes=by_name, show_progress=False)
    assert latents(fresh) == kept
    assert not list(Path(fresh.storage).rglob("driving*.clips"))

    def stop(event: CheckpointEvent) -> None:
        if event.step == 2:
            raise StopTraining

    train(fresh, broken, indexes=prepare(fresh), on_checkpoint=stop, show_progress=False)
    train(fresh, broken, indexes=prepare(fresh), resume=True, show_progress=False)
    ledger = read_ledger(whole)
    assert read_ledger(broken).equals(ledger)
    assert [p.loss for p in read_curve(broken)] == [p.loss for p in read_curve(whole)]
    rows = [row for row in ledger.to_pylist() if row["domain"] == "driving"]
    assert len(rows) == 6
    assert [row["key"] for row in rows] == [f"shapes-{FIRST_TRAINING + row['clip']}" for row in rows]


def test_without_a_cache_there_is_nothing_to_fill(spec: Spec) -> None:
    with pytest.raises(SpecError, match=r"training\.cache"):
        fill(with_values(spec, {"training.cache": False}), [])
