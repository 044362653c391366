"""What a reader hands over: recordings, and what is known about the things and the camera in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ANNOTATION_VERSION = 1


@dataclass(frozen=True)
class Recording:
    """One video (or image sequence) of a domain, as a reader found it; nothing has been decoded yet.

    Attributes:
        key: Name that is unique and stable within the domain, such as a relative path. Splits hash it.
        path: Path or URI of the video file, or of the directory of an image sequence.
        images: File names in order where the recording is an image sequence; empty for a video file.
        fps: Frames per second where the container cannot say (image sequences); None means ask the container.
        timestamps_s: Seconds of each image where the data set knows them.
        group: What must not be divided between training and evaluation (a drive, a scene); default is `key`.
        split: `train` or `evaluation` where the data set or the experiment says so; None leaves it to the index.
        subset: `regular` or `rare-motion` where known; None where not.
        annotations: Path of the Parquet annotations (see `domains.annotations`), or None.
        part_s: From and to, in seconds of the file's own times, where the recording is a part of a video file.
        part_frames: First frame of that part, number of its frames, and number of frames that the file must then have,
            where the data set says so; the frames' order is exact where times are rounded.
        stated_frames: Number of frames that the data set says the recording has.
        bits: Bits that 16-bit images use; None leaves it to their values.
        notes: What the reader has to say of it.
    """

    key: str
    path: str
    images: tuple[str, ...] = ()
    fps: float | None = None
    timestamps_s: tuple[float, ...] = ()
    group: str | None = None
    split: Literal["train", "evaluation"] | None = None
    subset: Literal["regular", "rare-motion"] | None = None
    annotations: str | None = None
    part_s: tuple[float, float] | None = None
    part_frames: tuple[int, int, int] | None = None
    stated_frames: int | None = None
    bits: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipAnnotations:
    """What is known about T frames of one clip with N objects, in pixels of the clip's own size.

    Unknown is NaN (numbers) or an empty string (classes), never zero.

    Attributes:
        ids: (N,) int64, identities within the recording.
        classes: (N,) str, such as `car`, `truck`, `pedestrian`.
        boxes_px: (T, N, 4) float32, x1 y1 x2 y2; NaN in frames where the object is not in the picture.
        visible: (T, N) float32 in [0, 1], share of the object that is seen; 0 where it is not in the picture.
        poses: (T, 4, 4) float64, camera to world in metres, camera axes x right, y down, z forward; NaN if unknown.
        intrinsics_px: (T, 3, 3) float64; NaN if unknown.
        positions_m: (T, N, 3) float64, centre of the 3-D box in the world; NaN if unknown.
        sizes_m: (N, 3) float32, length, width, height; NaN if unknown.
        headings_rad: (T, N) float32, rotation about the world's up axis; NaN if unknown.
    """

    ids: NDArray[np.int64]
    classes: NDArray[np.str_]
    boxes_px: NDArray[np.float32]
    visible: NDArray[np.float32]
    poses: NDArray[np.float64]
    intrinsics_px: NDArray[np.float64]
    positions_m: NDArray[np.float64]
    sizes_m: NDArray[np.float32]
    headings_rad: NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """One decoded clip with what is known about it.

    Attributes:
        name: `domain/key@start_s`, unique within an experiment.
        frames: (T, H, W, 3) uint8 RGB.
        context: Leading frames that are given.
        fps: Frames per second.
        subset: `regular`, `rare-motion`, or "" where unknown.
        annotations: None where nothing is known.
        group: Recordings that belong together (`Recording.group`): clips of one group are no independent evidence.
            Empty where unknown; the clip then counts as a recording of its own.
        larger: Reads the same frames, cut alike, at up to the recording's own size: (T, h, w, 3) uint8. A detector
            finds little in frames as small as those models are trained on. None where there is nothing larger.
    """

    name: str
    domain: str
    frames: NDArray[np.uint8]
    context: int
    fps: float
    subset: str = ""
    annotations: ClipAnnotations | None = field(default=None, repr=False)
    group: str = ""
    larger: Callable[[], NDArray[np.uint8]] | None = field(default=None, repr=False)

    @property
    def unit(self) -> tuple[str, str]:
        """(recording, clip), unique within an experiment, as `evaluation.draws` takes them."""
        return (f"{self.domain}/{self.group}" if self.group else self.name, self.name)
