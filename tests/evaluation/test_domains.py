from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.clips import make_clip

from drivereplay.domains.recording import Clip
from drivereplay.errors import SpecError
from drivereplay.evaluation import domains
from drivereplay.evaluation.judge import evaluate_model
from drivereplay.models import load_model
from drivereplay.models.base import VideoModel
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage

CLIPS = {"driving": 2, "street": 2}


def _spec(replay_clips: int) -> Spec:
    source = {"kind": "videos", "path": "/nowhere"}
    return parse_spec(
        {
            "name": "judged",
            "clip": {"frames": 5, "context": 1, "height": 16, "width": 16},
            "target": {"name": "driving", "source": source},
            "replay": {"domains": [{"name": "street", "source": source}]},
            "evaluation": {
                "videos": 0,
                "clips": 2,
                "denoising_steps": 1,
                "resamples": 100,
                "metrics": ["fidelity.psnr", "agents.ade"],
                "pseudo": "none",
                "replay_clips": replay_clips,
            },
            "search": {"objectives": ["fidelity.psnr", "fidelity.sharpness"]},
        }
    )


def _clips(spec: Spec, index: str) -> list[Clip]:
    first = {"driving": 0, "street": 20}[index]
    boxed = index == "driving"
    made = [make_clip(first + n, frames=5, context=1, height=48, width=48, annotated=boxed) for n in range(2)]
    return [Clip(c.name, index, c.frames[:, ::3, ::3].copy(), 1, 8.0, "", c.annotations) for c in made]


def test_gains_of_every_domain_and_losses_by_noise_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "_clips", _clips)
    spec, cache = _spec(2), Storage.of(tmp_path)
    base, tuned = load_model(spec), load_model(spec)
    with torch.no_grad():
        for weights in tuned.module.parameters():
            weights.add_(0.05 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0)))
    indexes = {name: name for name in CLIPS}
    judged: list[int] = []
    table = domains.forgetting_table(tuned, spec, indexes, base=base, cache=cache)  # type: ignore[arg-type]
    assert table["target"] == "driving" and set(table["gains"]) == {"driving", "street"}
    # the replay clips have no boxes: what cannot be told of them is left out, not refused
    assert "fidelity.psnr" in table["gains"]["street"] and "agents.ade" not in table["gains"]["street"]
    for figures in table["gains"].values():
        for gain in figures.values():
            assert gain["forgotten"] == max(-gain["gain"], 0.0)
    assert any(gain["gain"] for gain in table["gains"]["street"].values())
    street = table["gains"]["street"]["fidelity.psnr"]["gain"]
    assert table["mean_transfer"]["fidelity.psnr"] == pytest.approx(street)
    losses = [value for levels in table["loss"].values() for level in levels.values() for value in level.values()]
    assert set(table["loss"]) == {"driving", "street"} and np.isfinite(losses).all()
    assert len(domains.rows(table)) == sum(len(figures) for figures in table["gains"].values())

    def counted(*arguments: object, **options: object) -> object:
        judged.append(1)
        return evaluate_model(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("drivereplay.evaluation.judge.evaluate_model", counted)
    again = domains.forgetting_table(tuned, spec, indexes, base=base, cache=cache)  # type: ignore[arg-type]
    assert again == table and len(judged) == 2


def test_without_replay_clips_there_is_nothing_to_tell() -> None:
    with pytest.raises(SpecError, match=r"evaluation\.replay_clips"):
        domains.forgetting_table(None, _spec(0), {})  # type: ignore[arg-type]


def test_the_base_is_judged_where_the_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Begun(Exception):
        pass

    def judged(base: VideoModel, *_: object) -> None:
        devices.append(base.device.type)
        raise Begun

    devices: list[str] = []
    monkeypatch.setattr(domains, "_clips", _clips)
    monkeypatch.setattr(domains, "_base_report", judged)
    spec = _spec(2)
    with pytest.raises(Begun):
        domains.forgetting_table(load_model(spec, device="meta"), spec, dict.fromkeys(CLIPS, "driving"))  # type: ignore[arg-type]
    assert devices == ["meta"]
