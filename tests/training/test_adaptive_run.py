"""Adaptive replay in a run: the mix moves, every rank agrees, and a resume takes the same steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivereplay.errors import SpecError, TrainingError
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage
from drivereplay.training.adaptive import FILE, AdaptiveMix
from drivereplay.training.ledger import read_ledger
from drivereplay.training.trainer import train

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def spec(filmed_spec: Callable[..., Spec], filmed: Path) -> Spec:
    data: dict[str, Any] = filmed_spec(learning_rate=3e-3).model_dump(mode="json")
    source = {"kind": "videos", "path": str(filmed / "driving" / "*.mp4")}
    data["target"] = {"name": "target", "source": {"kind": "world", "world": "highway", "clips": 8}}
    data["replay"]["domains"].append({"name": "driving", "source": source})
    data["replay"] |= {"adaptive": {"every": 2, "rate": 0.5}, "weights": [0.5, 0.5]}
    return parse_spec(data)


def kept(directory: Storage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(directory.read(FILE))
    return found


def test_the_mix_moves_and_a_resume_is_the_same_run(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = AdaptiveMix._losses

    def forgetting(self: AdaptiveMix) -> list[float]:
        """What is measured, and street forgotten a little more with each step."""
        street, driving = measured(self)
        return [street + self._state.step, driving]

    monkeypatch.setattr(AdaptiveMix, "_losses", forgetting)
    whole, broken = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "broken")
    train(spec, whole, show_progress=False)
    mixes = kept(whole)["mixes"]
    assert sorted(mixes) == ["2", "4"]
    assert len(kept(whole)["reference"]) == 2
    assert all(sum(mix) == pytest.approx(1) for mix in mixes.values())
    assert 0.5 < mixes["2"][0] < mixes["4"][0]
    ledger = read_ledger(whole).to_pylist()
    last = [row["domain"] for row in ledger if row["step"] in (4, 5)]
    due = 16 * 0.5 * mixes["4"][0]
    assert abs(last.count("street") - due) < 1 and last.count("target") == 8

    def die(event: Any) -> None:
        if event.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, broken, on_checkpoint=die, show_progress=False)
    train(spec, broken, resume=True, show_progress=False)
    assert kept(broken) == kept(whole)
    assert read_ledger(broken).equals(read_ledger(whole))


def test_without_its_file_a_resume_is_refused(spec: Spec, tmp_path: Path) -> None:
    directory = Storage.of(tmp_path / "run")
    train(spec, directory, show_progress=False)
    directory.write(FILE, b"{")
    longer = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": 8})})
    with pytest.raises(TrainingError, match="cannot be read"):
        train(longer, directory, resume=True, show_progress=False)


def test_a_domain_without_held_out_clips(spec: Spec, filmed: Path, tmp_path: Path) -> None:
    data = spec.model_dump(mode="json")
    data["replay"]["domains"][1]["source"]["path"] = str(filmed / "driving" / "0.mp4")
    alone = parse_spec(data)
    with pytest.raises(SpecError, match="held-out clips, and it has none"):
        train(alone, Storage.of(tmp_path / "run"), show_progress=False)
