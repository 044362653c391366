"""How a stored frame is shown: turned, mirrored, in square pixels, and fitted to a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

_ASPECTS = (0.1, 10.0)
"""A pixel of another shape is a damaged header's."""


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways in which a stored frame may be shown.

    Attributes:
        mirrored: Left and right are swapped, before the frame is turned.
        turns: Quarter turns, counterclockwise, 0 to 3.
    """

    mirrored: bool = False
    turns: int = 0

    @classmethod
    def of_matrix(cls, matrix: Sequence[int]) -> Orientation:
        """From a display matrix of ISO/IEC 14496-12 (tkhd), row by row, in any fixed-point scale.

        A stored pixel (p, q) is shown at (a·p + c·q + x, b·p + d·q + y), the matrix being a b u, c d v, x y w. Other
        angles than right ones, which no camera writes, are taken as the nearest right one.
        """
        a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(mirrored=(a < 0) != (d < 0), turns=2 if d < 0 else 0)
        # without mirroring the quarter turns have b and c of unlike signs
        return cls(mirrored=(b < 0) == (c < 0), turns=1 if c > 0 else 3)

    @property
    def on_its_side(self) -> bool:
        """Whether width and height change places."""
        return self.turns % 2 == 1

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) as shown of a stored frame, and the other way round."""
        return (height, width) if self.on_its_side else (width, height)

    def upright(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A stored frame (H, W, 3) as it is shown."""
        if self.mirrored:
            frame = frame[:, ::-1]
        return np.ascontiguousarray(np.rot90(frame, self.turns) if self.turns else frame)


def square_width(width: int, pixel_aspect: float) -> int:
    """Width in square pixels of a stored frame whose pixels have this width by height."""
    return round(width * pixel_aspect) if _ASPECTS[0] <= pixel_aspect <= _ASPECTS[1] else width


class FrameShape(Protocol):
    """The size that frames are brought to, such as a `ClipSpec`'s."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def resize(self) -> Literal["crop", "stretch"]:
        """`crop` keeps the aspect ratio and cuts the centre; `stretch` fills the size."""


def enlarged(size: tuple[int, int], source: tuple[int, int], longest: int) -> tuple[int, int]:
    """The largest (height, width) of `size`'s aspect within the source's (width, height), its longer side ≤ `longest`.

    Never smaller than `size`.
    """
    height, width = size
    factor = max(1.0, min(source[0] / width, source[1] / height, longest / max(size)))
    return round(height * factor), round(width * factor)


@dataclass(frozen=True)
class Fit:
    """A `FrameShape` by itself."""

    height: int
    width: int
    resize: Literal["crop", "stretch"] = "stretch"


def scaled_size(source: tuple[int, int], shape: FrameShape) -> tuple[int, int]:
    """(width, height) to which a frame is scaled before its centre is cut out (`crop`) or as it is (`stretch`)."""
    if shape.resize == "stretch":
        return shape.width, shape.height
    scale = max(shape.width / source[0], shape.height / source[1])
    return max(shape.width, round(source[0] * scale)), max(shape.height, round(source[1] * scale))


def centre_cut(frames: NDArray[np.uint8], shape: FrameShape) -> NDArray[np.uint8]:
    """The centre (…, height, width, 3) of scaled frames."""
    top = (frames.shape[-3] - shape.height) // 2
    left = (frames.shape[-2] - shape.width) // 2
    return frames[..., top : top + shape.height, left : left + shape.width, :]
