"""Augmentation of clips: the same for the same sample number, on any number of workers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.permutation import unit_interval
from drivereplay.domains.recording import ClipAnnotations
from drivereplay.spec import AugmentSpec

_GREY = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Augmentation:
    """What is done to all frames of one clip.

    Attributes:
        flip: Whether left and right are exchanged (after the cut).
        keep: Share of the width and height that is kept, in (0, 1].
        left: Place of the cut between the left (0) and the right (1).
        top: Place of the cut between the top (0) and the bottom (1).
        brightness: Factor on all values.
        contrast: Factor on the distance from the mean grey.
        saturation: Factor on the distance from grey.
    """

    flip: bool = False
    keep: float = 1.0
    left: float = 0.5
    top: float = 0.5
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0

    @classmethod
    def of(cls, settings: AugmentSpec, seed: int, sample: int) -> Augmentation:
        """The augmentation of a sample, from (seed, sample number) alone."""

        def uniform(name: str, low: float, high: float) -> float:
            return low + (high - low) * unit_interval("augment", name, seed, sample)

        strength = 0.4 * settings.colour
        return cls(
            flip=uniform("flip", 0, 1) < settings.flip,
            keep=1.0 - uniform("keep", 0, settings.crop),
            left=uniform("left", 0, 1),
            top=uniform("top", 0, 1),
            brightness=uniform("brightness", 1 - strength, 1 + strength),
            contrast=uniform("contrast", 1 - strength, 1 + strength),
            saturation=uniform("saturation", 1 - strength, 1 + strength),
        )

    def frames(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Augmented copy of (T, H, W, 3) uint8 RGB; the size stays."""
        height, width = frames.shape[1:3]
        out = frames
        if self.keep < 1.0:
            import cv2

            x, y, w, h = self._cut(width, height)
            # a cut may lie between pixels: an affine map, not a slice
            matrix = np.asarray([[w / width, 0, x + w / width / 2 - 0.5], [0, h / height, y + h / height / 2 - 0.5]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            out = np.stack(
                [cv2.warpAffine(f, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE) for f in out]
            )
        if self.flip:
            out = out[:, :, ::-1]
        if (self.brightness, self.contrast, self.saturation) != (1.0, 1.0, 1.0):
            values = out.astype(np.float32) * self.brightness
            grey = values @ _GREY
            values = (values - grey[..., None]) * self.saturation + grey[..., None]
            mean = grey.mean()
            out = np.clip((values - mean) * self.contrast + mean + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(out)

    def annotations(self, known: ClipAnnotations, width: int, height: int) -> ClipAnnotations:
        """What is known, in the augmented picture: boxes and intrinsics are cut and flipped, poses and places mirrored.

        A mirrored world is one whose x axis of the first camera is turned round: headings change their sign about it.
        """
        x, y, w, h = self._cut(width, height)
        scale = np.asarray([width / w, height / h])
        boxes = (known.boxes_px - np.asarray([x, y, x, y])) * np.concatenate([scale, scale])
        intrinsics = known.intrinsics_px.copy()
        intrinsics[:, 0] *= scale[0]
        intrinsics[:, 1] *= scale[1]
        intrinsics[:, 0, 2] -= x * scale[0]
        intrinsics[:, 1, 2] -= y * scale[1]
        if not self.flip:
            return replace(known, boxes_px=boxes.astype(np.float32), intrinsics_px=intrinsics)
        boxes = np.stack([width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]], axis=-1)
        intrinsics[:, 0, 2] = width - intrinsics[:, 0, 2]
        # x → −x in the world and in the camera: R' = M R M keeps a rotation a rotation
        mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
        return replace(
            known,
            boxes_px=boxes.astype(np.float32),
            intrinsics_px=intrinsics,
            poses=mirror @ known.poses @ mirror,
            positions_m=known.positions_m * np.asarray([-1.0, 1.0, 1.0]),
            headings_rad=(np.pi - known.headings_rad).astype(np.float32),
        )

    def _cut(self, width: int, height: int) -> tuple[float, float, float, float]:
        """x, y, width and height of what is kept, in pixels."""
        w, h = width * self.keep, height * self.keep
        return (width - w) * self.left, (height - h) * self.top, w, h


def changes_nothing(settings: AugmentSpec) -> bool:
    """Whether these settings leave every clip as it is."""
    return not (settings.flip or settings.crop or settings.colour)


def augmented(
    frames: NDArray[np.uint8], samples: NDArray[np.int64], settings: AugmentSpec, seed: int
) -> NDArray[np.uint8]:
    """(N, T, H, W, 3) with each clip augmented by its sample number; the array itself where nothing is to be done."""
    if changes_nothing(settings):
        return frames
    return np.stack(
        [Augmentation.of(settings, seed, n).frames(clip) for n, clip in zip(samples.tolist(), frames, strict=True)]
    )
