"""What the stream hands to training: one batch for each step and rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Batch:
    """One rank's samples of one step, in the order of their slots.

    Attributes:
        step: Optimiser step, from 0.
        micro: Number of the micro-batch within the step; 0 where the whole share of the rank is in one batch.
        sample: (b,) int64, global sample numbers; noise and timestep hang on them.
        slot: (b,) int64, places in the global batch.
        domain: (b,) int64, numbers into `Spec.domains`.
        clip: (b,) int64, number of the clip that is in `frames`, within its domain's training split.
        frames: (b, T, H, W, 3) uint8 RGB; may be read-only.
        replaced: (b,) bool, whether the clip stands in for a planned one that could not be read.
    """

    step: int
    micro: int
    sample: NDArray[np.int64]
    slot: NDArray[np.int64]
    domain: NDArray[np.int64]
    clip: NDArray[np.int64]
    frames: NDArray[np.uint8]
    replaced: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sample)
