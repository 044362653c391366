"""Road surfaces, markings and rows of things along a path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.motion import Path
from drivereplay.domains.worlds.solids import Colour, Solid, box, patches
from drivereplay.domains.worlds.textures import PLAIN

Array = NDArray[np.float64]


def ribbon(
    path: Path, left_m: float, width_m: float, colour: Colour, texture: int = PLAIN, *,
    start_m: float = 0.0, end_m: float | None = None, piece_m: float = 40.0,
) -> Solid:  # fmt: skip
    """A strip of ground along a path, in pieces that are straight enough not to show."""
    end = float(path.lengths[-1]) if end_m is None else end_m
    # a piece ends after so many metres, or where the path has turned by 0.06 rad: each adds one to a running count
    fine = np.arange(start_m, end, 1.0)
    bends = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(path.directions)))])
    number = np.floor(np.interp(fine, path.lengths, bends) / 0.06 + (fine - start_m) / piece_m)
    cuts = np.concatenate([fine[np.flatnonzero(np.diff(number, prepend=-1.0))], [end]])
    return _between(path, cuts[:-1], cuts[1:], left_m, width_m, colour, texture)


def dashes(
    path: Path, left_m: float, width_m: float, dash_m: float, period_m: float, colour: Colour, *,
    start_m: float = 0.0, end_m: float | None = None,
) -> Solid:  # fmt: skip
    """A broken line along a path."""
    end = float(path.lengths[-1]) if end_m is None else end_m
    start = np.arange(start_m, end - dash_m, period_m)
    return _between(path, start, start + dash_m, left_m, width_m, colour, PLAIN)


def zebra(path: Path, along_m: float, span_m: float, depth_m: float) -> Solid:
    """A pedestrian crossing over a street of `span_m`: stripes along the path."""
    left = np.arange(-span_m / 2 + 0.55, span_m / 2, 1.1)
    ends = np.full(len(left), along_m)
    return _between(path, ends - depth_m / 2, ends + depth_m / 2, left, 0.5, (238, 238, 234), PLAIN)


def _between(
    path: Path, start: Array, stop: Array, left_m: Array | float, width_m: float, colour: Colour, texture: int
) -> Solid:
    along = np.stack([start, stop, stop, start], axis=1)
    sides = np.array([-0.5, -0.5, 0.5, 0.5]) * width_m
    return patches(path.at(along, np.reshape(left_m, (-1, 1)) + sides)[0], colour, texture)


def strip_of_solids(
    path: Path, left_m: float, piece_m: float, width_m: float, height_m: float, colour: Colour, texture: int = PLAIN
) -> list[Solid]:
    """A wall, kerb or guard rail along a path, in boxes."""
    piece = box(piece_m, width_m, height_m, colour, texture=texture)
    spots, headings = path.at(np.arange(piece_m / 2, path.lengths[-1] - piece_m / 2, piece_m), left_m)
    return [piece.moved(x, y, 0.0, turn) for (x, y), turn in zip(spots.tolist(), headings.tolist(), strict=True)]


def put(solids: tuple[Solid, ...], path: Path, along_m: float, left_m: float, turn_rad: float = 0.0) -> list[Solid]:
    """Solids beside a path, turned along it."""
    x, y, heading = path.spot(float(along_m), float(left_m))
    return [solid.moved(x, y, 0.0, heading + turn_rad) for solid in solids]
