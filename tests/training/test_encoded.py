"""Training on cached latents is training on latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.helpers import frames_of, small_spec

from drivereplay.models import load_model
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import Spec, with_values
from drivereplay.training.encoded import Encoder

VAE = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 1], "num_res_blocks": 1, "temperal_downsample": [False]}
FAMILIES = {"wan": {"vae": {**VAE, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}}, "svd": {}}


def spec_of(family: str, storage: Path, **training: object) -> Spec:
    base = small_spec(str(storage), clip={"frames": 5, "context": 1, "height": 32, "width": 32}, training=training)
    config = {**(base.model.config if family == "wan" else {}), **FAMILIES[family]}
    return with_values(base, {"model.family": family, "model.config": config})


def clips(spec: Spec, numbers: Sequence[int]) -> np.ndarray:
    return np.stack([frames_of(n, spec) for n in numbers])


class Counted:
    """A model whose encodings are counted."""

    def __init__(self, model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        inner = model.encode

        def encode(frames: torch.Tensor) -> torch.Tensor:
            self.count += len(frames)
            return inner(frames)

        monkeypatch.setattr(model, "encode", encode)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_clip_is_encoded_once_and_comes_back_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    spec = spec_of(family, tmp_path)
    model = load_model(spec)
    frames, prompts = clips(spec, [0, 1, 2]), ["", "", ""]
    plain = Encoder(model, with_values(spec, {"training.cache": False}))(frames, prompts)
    counted = Counted(model, monkeypatch)
    first = Encoder(model, spec)(frames, prompts)
    # another trial, another order, one clip more
    again = Encoder(model, spec)(clips(spec, [2, 0, 3]), prompts)
    assert counted.count == 4

    def close(a: tuple[torch.Tensor, Conditions], b: tuple[torch.Tensor, Conditions]) -> None:
        torch.testing.assert_close(a[0], b[0], rtol=0, atol=1e-5)
        assert set(a[1].given) == set(b[1].given)
        for name, tensor in a[1].given.items():
            torch.testing.assert_close(tensor, b[1].given[name], rtol=0, atol=1e-5)

    close(plain, first)
    assert torch.equal(again[0][:2], first[0][[2, 0]])
    for name, tensor in again[1].given.items():
        assert torch.equal(tensor[:2], first[1].given[name][[2, 0]])


@pytest.mark.parametrize("off", [{"cache": False}, {"augment": {"flip": 0.5}}])
def test_nothing_is_kept_where_it_would_not_help(tmp_path: Path, off: dict[str, object]) -> None:
    spec = spec_of("wan", tmp_path, **off)
    Encoder(load_model(spec), spec)(clips(spec, [0]), [""])
    assert not list(tmp_path.rglob("*.latents"))


def test_a_model_without_an_autoencoder_keeps_nothing(tmp_path: Path) -> None:
    spec = small_spec(str(tmp_path))
    Encoder(load_model(spec), spec)(clips(spec, [0]), [""])
    assert not list(tmp_path.rglob("*.latents"))
