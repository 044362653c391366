"""Image sequences: looked at without decoding every picture twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.videos.timeline import Timeline

if TYPE_CHECKING:
    from drivereplay.data.probe import Probe


def probe_images(recording: Recording) -> Probe:
    """Look at every picture of a sequence.

    Raises:
        DataError: A picture is missing, cannot be decoded or has another size; the message is the reason.
    """
    from drivereplay.data.probe import Probe, cuts, difference_hash

    root = Path(recording.path)
    times = image_times(recording)
    size: tuple[int, int] | None = None
    last: NDArray[np.uint8] | None = None
    changes: list[float] = []
    hashes: list[np.uint64] = []
    hashed_s = -np.inf
    content = hashlib.blake2b(digest_size=16)
    total = 0
    for name, time_s in zip(recording.images, times.tolist(), strict=True):
        picture, shape, data = _thumbnail(root / name)
        if size is None:
            size = shape
        elif shape != size:
            raise DataError(f"image {name} is {shape[0]}×{shape[1]}, others are {size[0]}×{size[1]}")
        if last is not None:
            changes.append(float(np.abs(picture.astype(np.int16) - last).mean()))
        if time_s >= hashed_s + 1.0:
            hashes.append(difference_hash(picture))
            hashed_s = time_s
        last = picture
        content.update(data)
        total += len(data)
    if size is None or len(times) < 2:
        raise DataError(f"has {len(times)} image(s); a clip needs at least two")
    return Probe(
        timeline=Timeline.of(times, [0, *cuts(np.asarray(changes))]),
        width=size[0],
        height=size[1],
        rotation_deg=0,
        mirrored=False,
        offset_s=0.0,
        reader="images",
        codec=Path(recording.images[0]).suffix.lstrip(".").lower(),
        pixel_format="rgb24",
        gop=1,
        bytes=total,
        modified_ns=0,
        digest=content.hexdigest(),
        look=np.asarray(hashes, dtype=np.uint64),
    )


def image_times(recording: Recording) -> NDArray[np.float64]:
    """Seconds of each image from the first.

    Raises:
        DataError: They are neither given nor follow from a frame rate, or do not increase.
    """
    count = len(recording.images)
    if recording.timestamps_s:
        times = np.asarray(recording.timestamps_s, dtype=np.float64)
        if len(times) != count:
            raise DataError(f"has {count} images and {len(times)} timestamps")
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
            raise DataError("its timestamps do not increase")
        return times - times[0]
    if not recording.fps or recording.fps <= 0:
        raise DataError("has neither timestamps nor a frame rate")
    return np.arange(count, dtype=np.float64) / recording.fps


def _thumbnail(path: Path) -> tuple[NDArray[np.uint8], tuple[int, int], bytes]:
    """(18, 32, 3) RGB, (width, height), and the file's bytes."""
    import cv2

    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"image {path.name} cannot be read: {error.strerror}") from error
    try:
        picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise DataError(f"image {path.name} cannot be decoded: {error.err}") from error
    if picture is None:
        raise DataError(f"image {path.name} cannot be decoded")
    small = cv2.resize(picture, (32, 18), interpolation=cv2.INTER_AREA)
    return small[..., ::-1], (picture.shape[1], picture.shape[0]), data
