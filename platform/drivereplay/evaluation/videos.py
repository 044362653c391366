"""Anyone's video files, matched by name, as pairs of a real clip and its generated counterpart.

The rules, so that nothing is cut, stretched or resampled unless asked for:

- Files are matched by their path below the directory without its ending. A file without a counterpart is refused,
  unless `partial` is given.
- Both must have the same number of frames; `frames=N` takes the first N of both.
- Both must have the same rate (within 1 %), and where one of them has no constant rate the same times; `fps=F` takes,
  for each of F frames a second, the frame nearest in time.
- Where sizes differ, the real video is resized to the generated one's size if their aspect ratios agree (within 2 %);
  `size=(height, width)` resizes both, whatever their aspect.
- Exact annotations are used where a directory `<stem>.annotations` lies beside the real video, unless damaged frames
  were left out of it: annotations count these too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def matched(generated: Path, real: Path, *, partial: bool = False) -> list[tuple[str, Path, Path]]:
    """(name, generated file, real file) sorted by name.

    Raises:
        DataError: A directory is missing or empty, two files have one name, or a file has no counterpart.
    """
    ours, theirs = _files(generated), _files(real)
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
    return [(name, ours[name], theirs[name]) for name in both]


def read_pairs(files: Sequence[tuple[str, Path, Path]], rules: PairRules) -> Iterator[tuple[Clip, NDArray[np.uint8]]]:
    """Decode the matched files one pair at a time.

    Raises:
        DataError: A file cannot be read, or a pair is not alike in a way the rules do not allow.
    """
    for name, generated, real in files:
        made, true = (read_frames(path, fps=rules.fps, most=rules.frames) for path in (generated, real))
        if rules.fps is None:
            _check_rates(name, made, true)
        count = _length(name, made, true, rules)
        size = rules.size or made.frames.shape[1:3]
        if rules.size is None and not _same_aspect(made.frames.shape, true.frames.shape):
            raise DataError(
                f"{name}: generated {_shown(made)}, real {_shown(true)}: unlike shapes.",
                "Bring both to one size with --size HEIGHTxWIDTH.",
            )
        fps = rules.fps or true.fps
        known = None if true.damaged else _annotations(real, true, count, Fit(*size))
        large = enlarged(size, true.size, detect.LARGEST_PX)
        larger = None if large == size else partial(read_video, real, Fit(*large), fps=rules.fps, most=count)
        frames = _resized(true.frames[:count], size)
        clip = Clip(name, "videos", frames, rules.context, fps, "", known, larger=larger)
        yield clip, _resized(made.frames[:count], size)


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


def check_generated(clip: Clip, frames: NDArray[np.uint8]) -> None:
    """Refuse generated frames that are not like the real clip's (T, H, W, 3) uint8.

    Raises:
        DataError: Another length, size, number of channels or type; the message has both.
    """
    if frames.shape != clip.frames.shape or frames.dtype != np.uint8:
        raise DataError(
            f"{clip.name}: the generated frames are {tuple(frames.shape)} {frames.dtype}, the real ones are "
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
