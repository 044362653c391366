"""Each prompt is embedded once; the tiny tokenizer needs no network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.models.helpers import spec_of

from drivereplay.models.text import PromptCache, encoder_fingerprint, tiny_encoder, tiny_tokenizer


def test_each_prompt_is_embedded_once() -> None:
    asked: list[str] = []

    def embed(prompt: str) -> torch.Tensor:
        asked.append(prompt)
        return torch.full((2, 3), float(len(prompt)))

    cache = PromptCache()
    device = torch.device("cpu")
    assert cache.of(["road", "sea", "road"], device, embed)[:, 0, 0].tolist() == [4.0, 3.0, 4.0]
    cache.of(["sea"], device, embed)
    assert asked == ["road", "sea"]
    cache.assume("told", torch.zeros(2, 3))
    cache.of(["told"], device, embed)
    assert asked == ["road", "sea"]


def test_the_tiny_tokenizer_tells_texts_apart() -> None:
    from transformers import T5EncoderModel

    tokenizer = tiny_tokenizer(16)
    first, second = (
        tokenizer(text, padding="max_length", return_tensors="pt").input_ids for text in ("a car", "a bus")
    )
    assert first.shape == second.shape and not torch.equal(first, second)
    encoder = tiny_encoder(T5EncoderModel, 8)
    assert encoder(first).last_hidden_state.shape[-1] == 8


def test_embeddings_are_kept_for_whoever_shares_the_storage(tmp_path: Path) -> None:
    """A second process needs no encoder; another encoder, another prompt or damage means embedding anew."""
    from drivereplay.models import load_model
    from drivereplay.storage import Storage

    load_model(spec_of("random", "ltx", width=64)).save(tmp_path / "base")
    spec = spec_of(tmp_path / "base", "ltx", width=64).model_copy(update={"storage": str(tmp_path / "runs")})
    first = load_model(spec)
    first.embed_prompts(["a road", ""])
    expected = first.text.of(["a road"], first.device, first._embed)
    shutil.rmtree(tmp_path / "base" / "text_encoder")
    (tmp_path / "base" / "text_encoder").mkdir()

    def unable(prompt: str) -> torch.Tensor:
        raise AssertionError(prompt)

    place = Storage.of(tmp_path / "runs").below(".shared", "cache", "text")
    (made,) = [name for name in place.names() if name.endswith("-text")]
    second = PromptCache()
    second.keep(place.below(made))
    assert torch.equal(second.of(["a road"], torch.device("cpu"), unable), expected)
    with pytest.raises(AssertionError, match="a lake"):
        second.of(["a lake"], torch.device("cpu"), unable)
    for path in (tmp_path / "runs" / ".shared" / "cache" / "text" / made).iterdir():
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    third = PromptCache()
    third.keep(place.below(made))
    again = third.of(["a road"], torch.device("cpu"), lambda prompt: expected[0] + 1)
    assert torch.equal(again, expected + 1)


def test_the_fingerprint_is_of_the_encoder_s_files(tmp_path: Path) -> None:
    (tmp_path / "text_encoder").mkdir()
    weights = tmp_path / "text_encoder" / "model.safetensors"
    weights.write_bytes(bytes(3_000_000))
    before = encoder_fingerprint([tmp_path / "text_encoder"])
    weights.write_bytes(bytes(1_500_000) + b"\1" + bytes(1_499_999))
    assert encoder_fingerprint([tmp_path / "text_encoder"]) != before
