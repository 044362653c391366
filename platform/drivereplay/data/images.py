"""Image sequences: looked at without decoding every picture twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.looks import Looks
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.videos.samples import THUMBNAIL
from drivereplay.videos.timeline import Timeline

if TYPE_CHECKING:
    from drivereplay.data.probe import Probe


def probe_images(recording: Recording) -> Probe:
    """Look at every picture of a sequence.

    Raises:
        DataError: A picture is missing, cannot be decoded or has another size; the message is the reason.
    """
    import cv2

    from drivereplay.data.probe import Probe

    root = Path(recording.path)
    times = image_times(recording)
    size: tuple[int, int] | None = None
    looks = Looks()
    thumbnails: list[tuple[NDArray[Any], float]] = []
    largest = -1
    content = hashlib.blake2b(digest_size=16)
    total = 0
    for name, time_s in zip(recording.images, times.tolist(), strict=True):
        image, data = _decoded(root / name)
        shape = (image.shape[1], image.shape[0])
        if size is None:
            size = shape
        elif shape != size:
            raise DataError(f"image {name} is {shape[0]}×{shape[1]}, others are {size[0]}×{size[1]}")
        if image.dtype == np.uint16:
            largest = max(largest, int(image.max()))
        small = cv2.resize(image, (THUMBNAIL.width, THUMBNAIL.height), interpolation=cv2.INTER_AREA)[..., ::-1]
        thumbnails.append((small, time_s))
        content.update(data)
        total += len(data)
    if size is None or len(times) < 2:
        raise DataError(f"has {len(times)} image(s); a clip needs at least two")
    bits, note = _bits(largest, recording.bits) if largest >= 0 else (8, "")
    for small, time_s in thumbnails:
        looks.add(small if small.dtype == np.uint8 else np.minimum(small >> (bits - 8), 255).astype(np.uint8), time_s)
    return Probe(
        timeline=Timeline.of(times, [0, *looks.cuts]),
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
        look=looks.look(),
        bits=bits,
        notes=(note,) if note else (),
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


def read_image(path: Path, bits: int) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of an image file.

    Args:
        path: The file.
        bits: Of a colour that it uses: 8, or up to 16 of 16-bit images.

    Raises:
        DataError: It cannot be read; the message is the reason.
    """
    image, _ = _decoded(path)
    if image.dtype != np.uint8:
        image = np.minimum(image >> (bits - 8), 255).astype(np.uint8)
    return image


def _decoded(path: Path) -> tuple[NDArray[Any], bytes]:
    """(H, W, 3) BGR of 8 or 16 bits, and the file's bytes."""
    import cv2

    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"image {path.name} cannot be read: {error.strerror}") from error
    image = None
    try:
        for mode in (cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, cv2.IMREAD_COLOR):
            image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode) if data else None
            # numbers of other types have no known range: OpenCV makes 8 bits of them
            if image is None or image.dtype in (np.uint8, np.uint16):
                break
    except cv2.error as error:
        raise DataError(f"image {path.name} cannot be decoded: {error.err}") from error
    if image is None:
        raise DataError(f"image {path.name} cannot be decoded")
    return image, data


def _bits(largest: int, given: int | None) -> tuple[int, str]:
    """Bits that 16-bit images use, and a note where their values say it.

    A camera of 12 bits whose values were not scaled gives a nearly black video. Where the brightest pixel has exactly
    the largest value of 10, 12 or 14 bits, as an overexposed one has, that is what they use.

    Args:
        largest: Largest value in all images.
        given: What the experiment says.
    """
    used = max(8, largest.bit_length())
    if given is not None or used > 14:
        return given or 16, ""
    if largest in (1023, 4095, 16383):
        return used, f"16-bit images that use {used} bits: no value is above {largest}"
    raise DataError(
        f"has 16-bit images without a value above {largest}: set the source's `bits` to {used} if that is all that "
        "its camera gives, or to 16 if the scene is so dark"
    )
