"""Held-out clips for evaluation, with what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, Window
from drivereplay.data.permutation import permuted
from drivereplay.data.rendered import rendered_annotations
from drivereplay.domains.annotations import read_clip
from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.videos.geometry import enlarged

_TOGETHER = 16


def annotations_of(window: Window, clip: ClipSpec) -> ClipAnnotations | None:
    """What is known about a clip, in pixels of its own size; None where nothing is.

    Raises:
        DataError: Its annotations cannot be read.
    """
    if window.rendered is not None:
        return rendered_annotations(window, clip)
    if window.annotations is None:
        return None
    return read_clip(window.annotations, window.frames, window.source_size, clip)


LARGEST_PX = 832
"""Longer side, in pixels, of the frames of `Clip.larger` at most."""


def _larger(window: Window, clip: ClipSpec) -> Callable[[], NDArray[np.uint8]] | None:
    """Reads the window at up to its source's size; None where that is no larger than the clip, or is rendered."""
    height, width = enlarged((clip.height, clip.width), window.source_size, LARGEST_PX)
    if window.rendered is not None or (height, width) == (clip.height, clip.width):
        return None
    return partial(_read_larger, window, clip.model_copy(update={"height": height, "width": width}))


def _read_larger(window: Window, clip: ClipSpec) -> NDArray[np.uint8]:
    decoder = Decoder(clip)
    try:
        frames, errors = decoder.decode([window])
    finally:
        decoder.close()
    if errors:
        raise DataError(f"{window.name} cannot be read any more: {errors[0]}.", "Ingest its domain again.")
    return frames[0]


def evaluation_clips(index: ClipIndex, clip: ClipSpec, *, count: int, seed: int, subset: str = "all") -> Iterator[Clip]:
    """`count` held-out clips, or all there are if there are fewer; the same ones for the same seed.

    They are drawn without repetition; a clip that cannot be read any more is passed over for the next one drawn.

    Args:
        index: The domain's index.
        clip: Size, frames and rate, as in the index.
        count: How many.
        seed: Key of the draw.
        subset: `all`, `regular` or `rare-motion`.

    Raises:
        DataError: There is no such clip, or none can be read.
    """
    total = index.count("evaluation", subset)
    if not total:
        held = ", ".join(f"{index.count('evaluation', s)} {s}" for s in ("all", "regular", "rare-motion"))
        raise DataError(
            f"Domain '{index.name}' has no held-out clip of subset '{subset}' (it has {held}).",
            "Add recordings, or choose another evaluation.split.",
        )
    order = permuted(np.arange(total), total, "evaluation", seed)
    decoder = Decoder(clip)
    given = 0
    failed: dict[str, str] = {}
    try:
        for start in range(0, total, _TOGETHER):
            if given >= count:
                break
            missing = count - given
            numbers = order[start : start + (_TOGETHER if missing > _TOGETHER else min(missing, _TOGETHER))]
            windows = [index.window("evaluation", int(n), subset) for n in numbers]
            frames, errors = decoder.decode(windows)
            for n, window in enumerate(windows):
                if n in errors:
                    failed[window.name] = errors[n]
                elif given < count:
                    how = (clip.context, clip.fps, window.subset, annotations_of(window, clip), window.group)
                    yield Clip(window.name, index.name, frames[n], *how, larger=_larger(window, clip))
                    given += 1
    finally:
        decoder.close()
    if not given:
        raise DataError(
            f"None of the {total} held-out clips of '{index.name}' can be read: {failed}.", "Ingest it again."
        )
