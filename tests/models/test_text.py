"""Each prompt is embedded once; the tiny tokenizer needs no network."""

from __future__ import annotations

import torch

from drivereplay.models.text import PromptCache, tiny_encoder, tiny_tokenizer


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
