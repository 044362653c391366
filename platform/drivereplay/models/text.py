"""Text conditions: each prompt is embedded once, for all runs of a storage; and a tiny encoder for `base: random`."""

from __future__ import annotations

import hashlib
import string
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from drivereplay.models import layout

if TYPE_CHECKING:
    from drivereplay.storage import Storage


class PromptCache:
    """Embeds each prompt the first time it is asked for, and keeps the result on disk where it is told a place."""

    def __init__(self) -> None:
        self._known: dict[str, Tensor] = {}
        self._place: Storage | None = None

    def keep(self, place: Storage) -> None:
        """Look embeddings up in `place`, and keep new ones there; it belongs to one text encoder."""
        self._place = place

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
                found = self._read(prompt)
                self._known[prompt] = (self._write(prompt, embed(prompt)) if found is None else found).to(device)
        return torch.stack([self._known[prompt] for prompt in prompts])

    def _read(self, prompt: str) -> Tensor | None:
        from safetensors.torch import load

        if self._place is None:
            return None
        try:
            stored = self._place.read(_file_of(prompt))
            content = stored[:-_SUM]
            if zlib.crc32(content).to_bytes(_SUM, "little") != stored[-_SUM:]:
                return None  # damaged: embedded and written anew
            return load(content)["embedding"]
        except FileNotFoundError:
            return None

    def _write(self, prompt: str, embedding: Tensor) -> Tensor:
        from safetensors.torch import save

        if self._place is not None:
            content = save({"embedding": embedding.detach().cpu().contiguous()})
            self._place.write(_file_of(prompt), content + zlib.crc32(content).to_bytes(_SUM, "little"))
        return embedding


_SUM = 4


def _file_of(prompt: str) -> str:
    return f"{hashlib.sha256(prompt.encode()).hexdigest()[:32]}.text"


def encoder_fingerprint(folders: Sequence[Path]) -> str:
    """Hash of a text encoder's and its tokenizer's files.

    Of weights, which are up to 22 GB, the header, which lists every tensor, a megabyte from the middle, and the size.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            size = path.stat().st_size
            digest.update(f"{path.relative_to(folder.parent).as_posix()} {size} ".encode())
            with path.open("rb") as file:
                digest.update(file.read(_PROBE_BYTES))
                file.seek(max(0, size // 2))
                digest.update(file.read(_PROBE_BYTES))
    return digest.hexdigest()[:16]


_PROBE_BYTES = 1 << 20


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
