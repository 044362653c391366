"""Anyone's video files, matched by name, as pairs of a real clip and its generated counterpart.

The rules, so that nothing is cut, stretched or resampled unless asked for:

- Files are matched by their path below the directory without its ending. A file without a counterpart is refused,
  unless `partial` is given.
- Several samples of a clip are numbered: `a.0.mp4`, `a.1.mp4` are generated for `a.mp4`; each clip has as many.
- Both must have the same number of frames; `frames=N` takes the first N of both.
- Both must have the same rate (within 1 %), and where one of them has no constant rate the same times; `fps=F` takes,
  for each of F frames a second, the frame nearest in time.
- Where sizes differ, the real video is resized to the generated one's size if their aspect ratios agree (within 2 %);
  `size=(height, width)` resizes both, whatever their aspect.
- Exact annotations are used where a directory `<stem>.annotations` lies beside the real video, unless damaged frames
  were left out of it: annotations count these too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.annotations import annotation_directory, read_clip
from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.domains.search import files_below
from drivereplay.domains.videos import EXTENSIONS
from drivereplay.errors import DataError, SpecError
from drivereplay.evaluation import detect
from drivereplay.spec import ClipSpec
from drivereplay.videos import VideoFrames, read_frames, read_video
from drivereplay.videos.geometry import Fit, FrameShape, enlarged


@dataclass(frozen=True)
class PairRules:
    """What may be done to make two videos comparable; see the module's docstring.

    Attributes:
        context: Leading frames that were given.
        frames: Take the first N frames of both; None wants equal lengths.
        fps: Resample both to this rate; None wants equal rates.
        size: Resize both to (height, width); None wants equal aspects.
        partial: Leave out files without a counterpart.
    """

    context: int = 1
    frames: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    partial: bool = False

    def __post_init__(self) -> None:
        if self.context < 1:
            raise SpecError(f"context is {self.context}.", "At least one leading frame is the last known state.")
        if self.frames is not None and self.frames <= self.context:
            raise SpecError(f"frames ({self.frames}) must be more than context ({self.context}).")


Match = tuple[str, tuple[Path, ...], Path]
"""Name, the generated file or files, the real file."""


def matched(generated: Path, real: Path, *, partial: bool = False) -> list[Match]:
    """(name, generated files by number, real file) sorted by name.

    Raises:
        DataError: A directory is missing or empty, two files have one name, a file has no counterpart, or clips have
            unlike numbers of samples.
    """
    files, theirs = _files(generated), _files(real)
    ours: dict[str, tuple[Path, ...]] = {}
    for name, number, path in sorted((*_sample(name, theirs), path) for name, path in files.items()):
        if name in ours and number == ALONE:
            raise DataError(f"{path} and {ours[name][0]} are both for '{name}'.", "Number all samples, or keep one.")
        ours[name] = (*ours.get(name, ()), path)
    alone = [f"{n} (only in {generated})" for n in sorted(ours.keys() - theirs.keys())]
    alone += [f"{n} (only in {real})" for n in sorted(theirs.keys() - ours.keys())]
    both = sorted(ours.keys() & theirs.keys())
    if not both:
        raise DataError(f"No video in {generated} has the name of one in {real}.", "Files are matched by name.")
    if alone and not partial:
        shown = ", ".join(alone[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        raise DataError(
            f"{len(ours)} generated and {len(theirs)} real videos; without counterpart: {shown}.",
            "Add them, or leave them out with --partial.",
        )
    counts = {name: len(ours[name]) for name in both}
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=lambda n: counts[n]), max(counts, key=lambda n: counts[n])
        raise DataError(
            f"There are {counts[few]} samples of '{few}' and {counts[many]} of '{many}'.",
            "Give as many samples of each clip: the best of more is better by chance.",
        )
    return [(name, ours[name], theirs[name]) for name in both]


ALONE = 1 << 62
"""Stands for the number of a file that has none; it sorts behind all numbers."""


def _sample(name: str, real: Collection[str]) -> tuple[str, int]:
    """The clip that a generated file belongs to, and its number among the clip's samples."""
    clip, dot, number = name.rpartition(".")
    if name in real or not dot or not (number.isascii() and number.isdigit()) or clip not in real:
        return name, ALONE
    return clip, int(number)


def read_pairs(files: Sequence[Match], rules: PairRules) -> Iterator[tuple[Clip, NDArray[np.uint8]]]:
    """Decode the matched files one clip at a time.

    Returns:
        The real clip, and the generated frames (T, H, W, 3), or (k, T, H, W, 3) where it has several samples.

    Raises:
        DataError: A file cannot be read, or a pair is not alike in a way the rules do not allow.
    """
    for name, generated, real in files:
        true = read_frames(real, fps=rules.fps, most=rules.frames)
        samples: list[NDArray[np.uint8]] = []
        size = rules.size
        for path in generated:
            shown = name if len(generated) == 1 else f"{name} ({path.name})"
            made = read_frames(path, fps=rules.fps, most=rules.frames)
            if rules.fps is None:
                _check_rates(shown, made, true)
            count = _length(shown, made, true, rules)
            size = size or made.frames.shape[1:3]
            if rules.size is None and not _same_aspect(made.frames.shape, true.frames.shape):
                raise DataError(
                    f"{shown}: generated {_shown(made)}, real {_shown(true)}: unlike shapes.",
                    "Bring both to one size with --size HEIGHTxWIDTH.",
                )
            if rules.size is None and made.frames.shape[1:3] != tuple(size):
                raise DataError(
                    f"{shown}: {_shown(made)}, another sample of the clip has {size[1]}x{size[0]}.",
                    "Bring all to one size with --size HEIGHTxWIDTH.",
                )
            samples.append(_resized(made.frames[:count], size))
        assert size is not None  # a clip has at least one sample
        count = len(samples[0])
        fps = rules.fps or true.fps
        known = None if true.damaged else _annotations(real, true, count, Fit(*size))
        large = enlarged(size, true.size, detect.LARGEST_PX)
        larger = None if large == tuple(size) else partial(read_video, real, Fit(*large), fps=rules.fps, most=count)
        frames = _resized(true.frames[:count], size)
        clip = Clip(name, "videos", frames, rules.context, fps, "", known, larger=larger)
        yield clip, samples[0] if len(samples) == 1 else np.stack(samples)


def _check_rates(name: str, made: VideoFrames, true: VideoFrames) -> None:
    fix = "Compare frames of the same time with --fps."
    both = (("generated", made), ("real", true))
    if made.constant and true.constant:
        if abs(made.fps - true.fps) > 0.01 * true.fps:
            raise DataError(f"{name}: generated at {made.fps:g} fps, real at {true.fps:g} fps.", fix)
        return
    count = min(len(made.frames), len(true.frames))
    apart_s = np.abs(made.times_s[:count] - true.times_s[:count]).max()
    if apart_s > 0.5 / true.fps:
        why = [
            f"{video.damaged} damaged frames of the {kind} video were left out" for kind, video in both if video.damaged
        ]
        why = why or [f"the rate of the {kind} video varies" for kind, video in both if not video.constant]
        raise DataError(f"{name}: {', '.join(why)}; frames of one number are up to {apart_s:.2f} s apart.", fix)


def check_generated(clip: Clip, frames: NDArray[np.uint8], samples: int = 1) -> None:
    """Refuse generated frames (k, T, H, W, 3) that are not like the real clip's (T, H, W, 3) uint8.

    Raises:
        DataError: Another number of samples, length, size, number of channels or type; the message has both.
    """
    if len(frames) != samples:
        raise DataError(
            f"{clip.name} has {len(frames)} samples, the clips before it have {samples}.", "Give as many of each clip."
        )
    if frames.shape[1:] != clip.frames.shape or frames.dtype != np.uint8:
        raise DataError(
            f"{clip.name}: the generated frames are {tuple(frames.shape[1:])} {frames.dtype}, the real ones are "
            f"{clip.frames.shape} {clip.frames.dtype}.",
            "Give uint8 RGB frames of the real clip's length and size.",
        )


def read_clip_file(path: Path, shape: ClipSpec) -> Clip:
    """The start of a video as a clip of the given shape; only its context frames need to be there.

    Frames beyond the video's end repeat its last one: they are a place for what is generated.

    Raises:
        DataError: The file cannot be read or has fewer than `shape.context` frames at `shape.fps`.
    """
    video = read_frames(path, shape, fps=shape.fps, most=shape.frames)
    if len(video.frames) < shape.context:
        raise DataError(
            f"{path} has {len(video.frames)} frames at {shape.fps:g} fps, {shape.context} are needed as context.",
            "Give a longer video.",
        )
    missing = shape.frames - len(video.frames)
    frames = np.concatenate([video.frames, np.repeat(video.frames[-1:], missing, axis=0)])
    return Clip(path.stem, "videos", frames, shape.context, shape.fps)


def _files(directory: Path) -> dict[str, Path]:
    if not directory.is_dir():
        raise DataError(f"{directory} is not a directory.", "Give a directory of video files.")
    found: dict[str, Path] = {}
    for path in files_below(directory, EXTENSIONS):
        name = path.relative_to(directory).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{found[name]} and {path} have the same name '{name}'.", "Keep one of them.")
        found[name] = path
    if not found:
        raise DataError(
            f"There is no video in {directory}.", f"Endings that are looked for: {', '.join(sorted(EXTENSIONS))}."
        )
    return found


def _length(name: str, made: VideoFrames, true: VideoFrames, rules: PairRules) -> int:
    counts = f"{name}: {len(made.frames)} generated and {len(true.frames)} real frames"
    shorter = min(len(made.frames), len(true.frames))
    if rules.frames is None:
        if len(made.frames) != len(true.frames):
            raise DataError(f"{counts}.", f"Compare the first {shorter} of both with --frames {shorter}.")
        return shorter
    if shorter < rules.frames:
        raise DataError(f"{counts}, {rules.frames} were asked for.", f"Ask for at most {shorter}.")
    return rules.frames


def _same_aspect(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return abs((a[2] / a[1]) / (b[2] / b[1]) - 1) <= 0.02


def _shown(video: VideoFrames) -> str:
    return f"{video.size[0]}x{video.size[1]}"


def _resized(frames: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    import cv2

    if frames.shape[1:3] == tuple(size):
        return frames
    smaller = size[0] < frames.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([np.asarray(cv2.resize(f, (size[1], size[0]), interpolation=method)) for f in frames])


def _annotations(real: Path, video: VideoFrames, count: int, shape: FrameShape) -> ClipAnnotations | None:
    directory = annotation_directory(real)
    if not directory.is_dir():
        return None
    return read_clip(str(directory), video.numbers[:count].tolist(), video.size, shape)
