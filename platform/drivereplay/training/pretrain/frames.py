"""Clips of an experiment's domains in memory, with what is known of them: what the small recipes learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.clips import annotations_of
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex
from drivereplay.data.permutation import permuted
from drivereplay.data.prepare import prepare
from drivereplay.domains.recording import Clip
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec, Spec


def world_clips(spec: Spec, split: str, count: int, *, annotated: bool = False) -> list[Clip]:
    """At most `count` clips of each domain, drawn with the experiment's seed.

    Args:
        split: `train` or `evaluation`.
        count: Of each domain.
        annotated: Whether annotations are read, where there are any.

    Raises:
        DataError: A clip cannot be decoded.
    """
    return [
        clip
        for index in prepare(spec).values()
        for clip in _drawn(index, spec.clip, split, count, spec.seed, annotated=annotated)
    ]


def world_frames(spec: Spec, split: str, count: int) -> NDArray[np.uint8]:
    """The frames of `world_clips`, (N, T, H, W, 3)."""
    return np.stack([clip.frames for clip in world_clips(spec, split, count)])


def _drawn(index: ClipIndex, clip: ClipSpec, split: str, count: int, seed: int, *, annotated: bool) -> list[Clip]:
    total = index.count(split)
    if not total:
        return []
    numbers = permuted(np.arange(min(count, total)), total, "recipe", seed)
    windows = [index.window(split, int(n)) for n in numbers]
    decoder = Decoder(clip)
    try:
        frames, failed = decoder.decode(windows)
    finally:
        decoder.close()
    if failed:
        n, reason = next(iter(failed.items()))
        raise DataError(f"{windows[n].name} {reason}.", "Ingest the domain again.")
    clips = []
    for window, pictures in zip(windows, frames, strict=True):
        notes = annotations_of(window, clip) if annotated else None
        clips.append(Clip(window.name, index.name, pictures, clip.context, clip.fps, window.subset, notes))
    return clips
