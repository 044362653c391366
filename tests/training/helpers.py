"""Batches from memory, so that loop tests need neither videos nor Ray."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivereplay.data.batch import Batch
from drivereplay.spec import Spec, parse_spec

SMALL = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "ffn_dim": 32,
    "num_layers": 2,
    "freq_dim": 16,
    "text_dim": 8,
}


def small_spec(storage: str = "runs", **sections: Any) -> Spec:
    """An experiment small enough for hundreds of steps a second, with one replay domain at ρ = 0.5."""
    data: dict[str, Any] = {
        "name": "small",
        "storage": storage,
        "clip": {"frames": 4, "context": 1, "height": 16, "width": 16},
        "model": {"config": SMALL},
        "target": {"name": "driving", "source": {"kind": "world", "world": "highway"}},
        "replay": {
            "frequency": 0.5,
            "domains": [{"name": "street", "source": {"kind": "world", "world": "shapes"}}],
        },
        "training": {"steps": 6, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2, "checkpoint_every": 2},
        "evaluation": {"every": 2},
    }
    for name, values in sections.items():
        data[name] = {**data[name], **values} if isinstance(data.get(name), dict) else values
    return parse_spec(data)


def frames_of(sample: int, spec: Spec) -> np.ndarray:
    """A moving gradient that depends on the sample's number alone, (T, H, W, 3) uint8."""
    clip = spec.clip
    t, y, x = np.meshgrid(np.arange(clip.frames), np.arange(clip.height), np.arange(clip.width), indexing="ij")
    phase = (sample * 37) % 101
    planes = [(x * 7 + t * 11 + phase * k) % 256 if k < 3 else y for k in (1, 2)] + [(y * 5 + t * 3 + phase) % 256]
    return np.stack(planes, axis=-1).astype(np.uint8)


def memory_batches(
    spec: Spec, first: int = 0, last: int | None = None, *, rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    """One batch a step for one rank: every second sample is replay; slots are dealt out in blocks."""
    size = spec.training.batch_size
    local = size // world_size
    for step in range(first, spec.training.steps if last is None else last):
        slots = np.arange(rank * local, (rank + 1) * local)
        samples = step * size + slots
        yield Batch(
            step=step,
            micro=0,
            sample=samples,
            slot=slots,
            domain=(samples // 2 % 2) * bool(spec.replay.domains),
            clip=samples % 5,
            frames=np.stack([frames_of(int(s), spec) for s in samples]),
            replaced=np.zeros(len(slots), dtype=bool),
        )


@dataclass(frozen=True)
class MemoryWindow:
    """The two things that a ledger asks of a window."""

    key: str
    start_s: float


@dataclass
class MemoryIndex:
    """Stands for a clip index where no video is read."""

    name: str
    clips: int = 5
    asked: list[int] = field(default_factory=list)
    endless = False

    def count(self, split: str, subset: str = "all") -> int:
        """Clips in a split."""
        return self.clips

    def window(self, split: str, number: int, subset: str = "all") -> MemoryWindow:
        """A window whose key tells its number."""
        self.asked.append(number)
        return MemoryWindow(f"{self.name}-{number}.mp4", number * 0.5)
