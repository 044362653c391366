"""Anyone's video files, matched by name, as pairs of a real clip and its generated counterpart.

The rules, so that nothing is cut, stretched or resampled unless asked for:

- Files are matched by their path below the directory without its ending. A file without a counterpart is refused,
  unless `partial` is given.
- Several samples of a clip are numbered: `a.0.mp4`, `a.1.mp4` are generated for `a.mp4`; each clip has as many.
- Both must have the same number of frames; `frames=N` takes the first N of both.
- Both must have the same rate (within 1 %); `fps=F` takes, for each of F frames a second, the frame nearest in time.
- Where sizes differ, the real video is resized to the generated one's size if their aspect ratios agree (within 2 %);
  `size=(height, width)` resizes both, whatever their aspect.
- Exact annotations are used where a directory `<stem>.annotations` lies beside the real video.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.annotations import annotation_directory, read_clip
from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec

ENDINGS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".gif"})


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
        true, true_fps = _decoded(real)
        numbers = _resampled(len(true), true_fps, rules.fps)
        source_size = (true.shape[2], true.shape[1])
        true = true[numbers]
        samples: list[NDArray[np.uint8]] = []
        size = rules.size
        for path in generated:
            shown = name if len(generated) == 1 else f"{name} ({path.name})"
            made, made_fps = _decoded(path)
            if rules.fps is None and abs(made_fps - true_fps) > 0.01 * true_fps:
                raise DataError(
                    f"{shown}: generated at {made_fps:g} fps, real at {true_fps:g} fps.",
                    "Resample both by time with --fps.",
                )
            made = made[_resampled(len(made), made_fps, rules.fps)]
            count = _length(shown, len(made), len(true), rules)
            if rules.size is None and not _same_aspect(made.shape, true.shape):
                raise DataError(
                    f"{shown}: generated {_shown(made)}, real {_shown(true)}: unlike shapes.",
                    "Bring both to one size with --size HEIGHTxWIDTH.",
                )
            size = size or made.shape[1:3]
            if rules.size is None and made.shape[1:3] != tuple(size):
                raise DataError(
                    f"{shown}: {_shown(made)}, another sample of the clip has {size[1]}x{size[0]}.",
                    "Bring all to one size with --size HEIGHTxWIDTH.",
                )
            samples.append(_resized(made[:count], size))
        assert size is not None  # a clip has at least one sample
        fps = rules.fps or true_fps
        count = len(samples[0])
        known = _annotations(real, numbers[:count], source_size, size, fps, rules.context)
        clip = Clip(name, "videos", _resized(true[:count], size), rules.context, fps, "", known)
        yield clip, samples[0] if len(samples) == 1 else np.stack(samples)


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
    frames, fps = _decoded(path)
    frames = frames[_resampled(len(frames), fps, shape.fps)][: shape.frames]
    if len(frames) < shape.context:
        raise DataError(
            f"{path} has {len(frames)} frames at {shape.fps:g} fps, {shape.context} are needed as context.",
            "Give a longer video.",
        )
    if shape.resize == "crop":
        frames = _centre_cut(frames, shape.width / shape.height)
    frames = _resized(frames, (shape.height, shape.width))
    missing = shape.frames - len(frames)
    frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
    return Clip(path.stem, "videos", frames, shape.context, shape.fps)


def _centre_cut(frames: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    height, width = frames.shape[1:3]
    if width / height > aspect:
        keep = max(1, round(height * aspect))
        left = (width - keep) // 2
        return frames[:, :, left : left + keep]
    keep = max(1, round(width / aspect))
    top = (height - keep) // 2
    return frames[:, top : top + keep]


def _files(directory: Path) -> dict[str, Path]:
    if not directory.is_dir():
        raise DataError(f"{directory} is not a directory.", "Give a directory of video files.")
    found: dict[str, Path] = {}
    for path in sorted(p for p in directory.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()):
        name = path.relative_to(directory).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{found[name]} and {path} have the same name '{name}'.", "Keep one of them.")
        found[name] = path
    if not found:
        raise DataError(
            f"There is no video in {directory}.", f"Endings that are looked for: {', '.join(sorted(ENDINGS))}."
        )
    return found


def _decoded(path: Path) -> tuple[NDArray[np.uint8], float]:
    """All frames (T, H, W, 3) uint8 RGB at the file's own size, and its frames per second."""
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} has no video stream.", "Replace or remove the file.")
            stream = container.streams.video[0]
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            rate = stream.average_rate or stream.base_rate
    except (av.FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be decoded: {error}.", "Replace or remove the file.") from error
    if not frames or not rate:
        raise DataError(f"{path} has no frames.", "Replace or remove the file.")
    return np.stack(frames), float(rate)


def _resampled(count: int, fps: float, wanted: float | None) -> NDArray[np.int64]:
    """Numbers of the frames nearest in time to each tick of the wanted rate, as long as the video lasts."""
    if wanted is None:
        return np.arange(count)
    ticks = np.arange(int(np.floor((count - 1) / fps * wanted + 1e-6)) + 1) / wanted
    return np.minimum(np.round(ticks * fps).astype(np.int64), count - 1)


def _length(name: str, made: int, true: int, rules: PairRules) -> int:
    if rules.frames is None:
        if made != true:
            raise DataError(
                f"{name}: {made} generated and {true} real frames.",
                f"Compare the first {min(made, true)} of both with --frames {min(made, true)}.",
            )
        return true
    if min(made, true) < rules.frames:
        raise DataError(
            f"{name}: {made} generated and {true} real frames, {rules.frames} were asked for.",
            f"Ask for at most {min(made, true)}.",
        )
    return rules.frames


def _same_aspect(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return abs((a[2] / a[1]) / (b[2] / b[1]) - 1) <= 0.02


def _shown(frames: NDArray[np.uint8]) -> str:
    return f"{frames.shape[2]}x{frames.shape[1]}"


def _resized(frames: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    import cv2

    if frames.shape[1:3] == tuple(size):
        return frames
    smaller = size[0] < frames.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.stack([np.asarray(cv2.resize(f, (size[1], size[0]), interpolation=method)) for f in frames])


def _annotations(
    real: Path, numbers: NDArray[np.int64], source: tuple[int, int], size: tuple[int, ...], fps: float, context: int
) -> ClipAnnotations | None:
    directory = annotation_directory(real)
    if not directory.is_dir():
        return None
    shape = ClipSpec(frames=len(numbers), context=context, fps=fps, height=size[0], width=size[1], resize="stretch")
    return read_clip(str(directory), [int(n) for n in numbers], source, shape)
