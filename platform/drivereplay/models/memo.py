"""Encodes each clip once: on a CPU the autoencoder costs more than a training step, and trials share their clips."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

BUDGET_BYTES = 512 << 20
"""Of one process; the latents used longest ago go first."""


class LatentMemo:
    """Latents by the content of the video and the codec that made them. Safe for threads."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._rows: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, video: Tensor, codec: str, make: Callable[[Tensor], Tensor]) -> Tensor:
        """`make(video)`, each sample looked up first.

        Samples are made one at a time, so that latents do not depend on what else was missing.

        Args:
            video: (B, 3, T, H, W) on the CPU.
            codec: Fingerprint of the codec.
            make: The codec.
        """
        rows = []
        for sample in video.split(1):
            digest = hashlib.blake2b(f"{codec}{tuple(sample.shape)}".encode(), digest_size=16)
            digest.update(sample.float().contiguous().numpy())
            key = digest.digest()
            found = self._get(key)
            rows.append(self._put(key, make(sample)) if found is None else found)
        return torch.cat(rows)

    def _get(self, key: bytes) -> Tensor | None:
        with self._lock:
            found = self._rows.get(key)
            if found is not None:
                self._rows.move_to_end(key)
            return found

    def _put(self, key: bytes, row: Tensor) -> Tensor:
        with self._lock:
            if key not in self._rows:
                self._rows[key] = row
                self._bytes += row.nbytes
            while self._bytes > self._budget and len(self._rows) > 1:
                self._bytes -= self._rows.popitem(last=False)[1].nbytes
        return row

    def __len__(self) -> int:
        return len(self._rows)


SHARED = LatentMemo()
"""Of this process: models come and go with the trials, the clips stay."""
