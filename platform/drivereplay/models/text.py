"""Text conditions: each prompt is embedded once; and a tiny encoder with its tokenizer for tests and `base: random`."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from drivereplay.models import layout


class PromptCache:
    """Embeds each prompt the first time it is asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}

    def assume(self, prompt: str, embedded: Tensor) -> None:
        """Take `embedded` for a prompt's embedding (L, D) without asking an encoder."""
        self._known[prompt] = embedded

    def of(self, prompts: Sequence[str], device: torch.device, embed: Callable[[str], Tensor]) -> Tensor:
        """Embeddings (B, L, D) on `device`.

        Args:
            embed: One prompt → its embedding (L, D). Not kept: a model that holds a cache that holds the model's own
                method would live on until Python looks for cycles, hundreds of trials later.
        """
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._known or self._known[prompt].device != device:
                # the encoder may be as large as the denoiser: it is not kept, its results are
                self._known[prompt] = embed(prompt).to(device)
        return torch.stack([self._known[prompt] for prompt in prompts])


def tiny_tokenizer(max_length: int = 64) -> Any:
    """A T5 tokenizer of single characters, made here; nothing is fetched."""
    from transformers import T5Tokenizer

    characters = string.ascii_letters + string.digits + ".,-'"
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in characters)]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=max_length)


def tiny_encoder(cls: Any, width: int) -> Any:
    """A T5 encoder of class `cls` with random weights and embeddings of `width`."""
    size = len(tiny_tokenizer())
    config = cls.config_class(vocab_size=size, d_model=width, d_kv=8, d_ff=2 * width, num_layers=1, num_heads=2)
    with layout.placed():
        return cls(config).eval()
