"""Held-out clips for evaluation, with what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from drivereplay.spec import ClipSpec, Spec
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


@dataclass(frozen=True)
class ClipSets:
    """Held-out clips, and which evaluation sets each of them is in.

    A clip that several sets hold is there once, so that it is decoded, generated and scored once.

    Attributes:
        clips: In an order in which those of one domain follow each other.
        sets: Set → names of its clips; None for all clips, of the set without a name.
    """

    clips: Iterable[Clip]
    sets: Mapping[str, frozenset[str] | None]

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)


def evaluation_sets(spec: Spec, indexes: Mapping[str, ClipIndex]) -> ClipSets:
    """The clips on which checkpoints of an experiment are evaluated; the same ones for the same `evaluation` section.

    Args:
        spec: The experiment.
        indexes: Domain → index; that of each domain which a set names, and of the target.

    Raises:
        DataError: A set has no clip, or none can be read.
    """
    wanted = spec.evaluation
    if not wanted.sets:
        index = indexes[spec.target.name]
        how = {"count": wanted.clips, "seed": wanted.seed, "subset": wanted.split}
        return ClipSets(evaluation_clips(index, spec.clip, **how), {"": None})  # type: ignore[arg-type]
    clips: dict[str, dict[str, Clip]] = {}
    sets: dict[str, frozenset[str]] = {}
    for name, one in wanted.sets.items():
        chosen = [indexes[domain] for domain in one.domains or (spec.target.name,)]
        # some domains have no such part: simulated objects, somebody's videos; if none has, that is a mistake
        has = [index.count("evaluation", one.split) > 0 for index in chosen]
        splits = [one.split if there or not any(has) else "all" for there in has]
        counts = [index.count("evaluation", split) for index, split in zip(chosen, splits, strict=True)]
        members: list[str] = []
        shares = evenly(one.clips or wanted.clips, counts)
        for index, split, share in zip(chosen, splits, shares, strict=True):
            if not share and any(shares):
                continue
            held = clips.setdefault(index.name, {})
            for clip in evaluation_clips(index, spec.clip, count=share, seed=wanted.seed, subset=split):
                members.append(held.setdefault(clip.name, clip).name)
        sets[name] = frozenset(members)
    return ClipSets([clip for held in clips.values() for clip in held.values()], sets)


def evenly(total: int, most: Sequence[int]) -> list[int]:
    """`total` spread over parts as evenly as their sizes `most` allow; the first ones get what is left over."""
    shares = [0] * len(most)
    left = min(total, sum(most))
    while left:
        room = [n for n, size in enumerate(most) if shares[n] < size]
        step = max(1, left // len(room))
        for n in room:
            given = min(step, most[n] - shares[n], left)
            shares[n] += given
            left -= given
    return shares


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
            f"Domain '{index.name}' has no held-out clip of split '{subset}' (it has {held}).",
            "Add recordings, or choose another split.",
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
