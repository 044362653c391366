"""Cheats: futures that should not win a dynamics metric, and looks that should not lose one.

A `Trial` holds a real clip and the frames that follow it, so that a future at double speed can be made of real frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.boxes import known_at_start
from drivereplay.evaluation.footage import Footage

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """A real clip with what follows it.

    Attributes:
        clip: The clip, with boxes where they are known.
        later: (L, H, W, 3) frames after the clip's last one, at the clip's rate.
        source: Name of the recording or world.
    """

    clip: Clip
    later: Frames
    source: str

    @property
    def all_frames(self) -> Frames:
        """The clip's frames and those after it."""
        return np.concatenate([self.clip.frames, self.later])


@dataclass(frozen=True)
class Cheat:
    """A future that is wrong.

    Attributes:
        families: Metric families that it must not win.
        apply: Trial → frames (T, H, W, 3) with the context untouched, or None where it cannot be made.
        sharp: Whether its frames look as good as the real ones and its motion is wrong: one side of the AUC.
    """

    families: frozenset[str]
    apply: Callable[[Trial], Frames | None]
    sharp: bool = True


BOTH, AGENTS, EGO = frozenset({"agents", "ego"}), frozenset({"agents"}), frozenset({"ego"})


def _future(trial: Trial, future: Frames) -> Frames:
    return np.concatenate([trial.clip.frames[: trial.clip.context], future]).astype(np.uint8)


def _count(trial: Trial) -> int:
    return len(trial.clip.frames) - trial.clip.context


def _grey(trial: Trial) -> Frames:
    return _future(trial, np.full_like(trial.clip.frames[trial.clip.context :], 128))


def _five_then_grey(trial: Trial) -> Frames:
    frames = trial.clip.frames.copy()
    frames[trial.clip.context + 5 :] = 128
    return frames


def _repeated(trial: Trial, frame: Frames) -> Frames:
    return _future(trial, np.repeat(frame[None], _count(trial), axis=0))


def _frozen(trial: Trial) -> Frames:
    return _repeated(trial, trial.clip.frames[trial.clip.context - 1])


def _average(frames: Frames) -> Frames:
    return np.rint(frames.mean(0)).astype(np.uint8)


def _average_given(trial: Trial) -> Frames:
    return _repeated(trial, _average(trial.clip.frames[: trial.clip.context]))


def _average_future(trial: Trial) -> Frames:
    return _repeated(trial, _average(trial.clip.frames[trial.clip.context :]))


def _sampled(step: float, shift: int = 0) -> Callable[[Trial], Frames | None]:
    """The future frame k shows real frame context − 1 + shift + step · k."""

    def apply(trial: Trial) -> Frames | None:
        numbers = trial.clip.context - 1 + shift + np.floor(step * np.arange(1, _count(trial) + 1) + 0.5).astype(int)
        frames = trial.all_frames
        return None if numbers[-1] >= len(frames) else _future(trial, frames[numbers])

    return apply


def _reversed(trial: Trial) -> Frames:
    return _future(trial, trial.clip.frames[trial.clip.context :][::-1])


def _mirrored(trial: Trial) -> Frames:
    return _future(trial, trial.clip.frames[trial.clip.context :, :, ::-1])


def _shaken(trial: Trial) -> Frames:
    """Every future frame is shifted by up to 2 % of the width, at random."""
    height, width = trial.clip.frames.shape[1:3]
    shifts = np.random.default_rng(0).uniform(-0.02 * width, 0.02 * width, (_count(trial), 2))
    moved = []
    for frame, (x, y) in zip(trial.clip.frames[trial.clip.context :], shifts, strict=True):
        matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        moved.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    return _future(trial, np.stack(moved))


def largest(trial: Trial) -> int | None:
    """The object with the largest box among those known in the last given frame."""
    known = trial.clip.annotations
    if known is None:
        return None
    clear = known_at_start(Footage.of(trial.clip))
    boxes = known.boxes_px[trial.clip.context - 1]
    area = np.where(clear, (boxes[:, 2:] - boxes[:, :2]).prod(-1), 0.0)
    return int(area.argmax()) if len(area) and area.max() > 0 else None


def _whole(box: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    x1, y1 = np.floor(box[:2]).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int)
    return max(x1, 0), max(y1, 0), min(x2, shape[1]), min(y2, shape[0])


def _erased(trial: Trial) -> Frames | None:
    """The largest object is painted over in all future frames."""
    one = largest(trial)
    if one is None:
        return None
    assert trial.clip.annotations is not None
    frames = trial.clip.frames.copy()
    for t in range(trial.clip.context, len(frames)):
        box = trial.clip.annotations.boxes_px[t, one]
        if np.isfinite(box).all():
            x1, y1, x2, y2 = _whole(box, frames.shape[1:3])
            mask = np.zeros(frames.shape[1:3], np.uint8)
            mask[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = 255
            frames[t] = cv2.inpaint(frames[t], mask, 3, cv2.INPAINT_TELEA)
    return frames


def _added(trial: Trial) -> Frames | None:
    """A copy of the largest object, mirrored, crosses the frame from the other side."""
    one = largest(trial)
    if one is None:
        return None
    assert trial.clip.annotations is not None
    frames = trial.clip.frames.copy()
    height, width = frames.shape[1:3]
    boxes = trial.clip.annotations.boxes_px
    x1, y1, x2, y2 = _whole(boxes[trial.clip.context - 1, one], (height, width))
    patch = trial.clip.frames[trial.clip.context - 1, y1:y2, x1:x2][:, ::-1]
    wide = x2 - x1
    start, way = (0, 1) if (x1 + x2) / 2 > width / 2 else (width - wide, -1)
    for n, t in enumerate(range(trial.clip.context, len(frames))):
        left = int(np.clip(round(start + way * n * 0.01 * width), 0, width - wide))
        frames[t, y1:y2, left : left + wide] = patch
    return frames


CHEATS: Mapping[str, Cheat] = {
    "all grey": Cheat(BOTH, _grey, sharp=False),
    "five, then grey": Cheat(BOTH, _five_then_grey, sharp=False),
    "frozen": Cheat(BOTH, _frozen),
    "average given": Cheat(BOTH, _average_given),
    "average future": Cheat(BOTH, _average_future),
    "half speed": Cheat(BOTH, _sampled(0.5)),
    "double speed": Cheat(BOTH, _sampled(2.0)),
    "reversed": Cheat(BOTH, _reversed),
    "shifted by 1": Cheat(BOTH, _sampled(1.0, 1)),
    "shifted by 3": Cheat(BOTH, _sampled(1.0, 3)),
    "mirrored": Cheat(BOTH, _mirrored),
    "shaken": Cheat(EGO, _shaken),
    "erased": Cheat(AGENTS, _erased),
    "added": Cheat(AGENTS, _added),
}


def _blur(frame: Frames, t: int) -> Frames:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 2.0), dtype=np.uint8)


def _noise(frame: Frames, t: int) -> Frames:
    noise = np.random.default_rng(t).normal(0, 15, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def _quarter(frame: Frames, t: int) -> Frames:
    height, width = frame.shape[:2]
    small = cv2.resize(frame, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _dark(frame: Frames, t: int) -> Frames:
    return (frame * 0.5).astype(np.uint8)


LOOKS: Mapping[str, Callable[[Frames, int], Frames]] = {
    "blur": _blur,
    "noise": _noise,
    "quarter": _quarter,
    "dark": _dark,
}


def altered(frames: Frames, context: int, looks: str) -> Frames:
    """Frames (T, H, W, 3) with the looks of each future one altered; "" leaves them."""
    if not looks:
        return frames
    made = frames.copy()
    for t in range(context, len(frames)):
        made[t] = LOOKS[looks](frames[t], t)
    return made
