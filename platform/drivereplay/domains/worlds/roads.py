"""Road surfaces, markings and rows of things along a path."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.motion import Path
from drivereplay.domains.worlds.solids import Colour, Face, Solid, box, ground
from drivereplay.domains.worlds.textures import PLAIN


def ribbon(
    path: Path, left_m: float, width_m: float, colour: Colour, texture: int = PLAIN, *,
    start_m: float = 0.0, end_m: float | None = None, piece_m: float = 40.0,
) -> list[Face]:  # fmt: skip
    """A strip of ground along a path, in pieces that are straight enough not to show."""
    end = float(path.lengths[-1]) if end_m is None else end_m
    # pieces end where the path bends, so that a straight costs one face and a curve few
    bend = np.abs(np.diff(path.directions))
    turning = np.interp(np.arange(start_m, end, 1.0), path.lengths[1:], np.cumsum(bend))
    cuts = [start_m]
    last = 0
    for n in range(1, len(turning)):
        if turning[n] - turning[last] > 0.06 or n - last >= piece_m:
            cuts.append(start_m + n)
            last = n
    cuts.append(end)
    along = np.array(cuts)
    right_edge, _ = path.at(along, left_m - width_m / 2)
    left_edge, _ = path.at(along, left_m + width_m / 2)
    return [
        ground([tuple(right_edge[n]), tuple(right_edge[n + 1]), tuple(left_edge[n + 1]), tuple(left_edge[n])], colour, texture=texture)
        for n in range(len(along) - 1)
        if along[n + 1] - along[n] > 1e-6
    ]


def dashes(
    path: Path, left_m: float, width_m: float, dash_m: float, period_m: float, colour: Colour, *,
    start_m: float = 0.0, end_m: float | None = None,
) -> list[Face]:  # fmt: skip
    """A broken line along a path."""
    end = float(path.lengths[-1]) if end_m is None else end_m
    faces = []
    for start in np.arange(start_m, end - dash_m, period_m):
        along = np.array([start, start + dash_m])
        right, _ = path.at(along, left_m - width_m / 2)
        left, _ = path.at(along, left_m + width_m / 2)
        faces.append(ground([tuple(right[0]), tuple(right[1]), tuple(left[1]), tuple(left[0])], colour))
    return faces


def strip_of_solids(
    path: Path, left_m: float, piece_m: float, width_m: float, height_m: float, colour: Colour, texture: int = PLAIN
) -> list[Solid]:
    """A wall, kerb or guard rail along a path, in boxes."""
    solids = []
    for start in np.arange(0.0, path.lengths[-1] - piece_m, piece_m):
        (x, y), heading = path.at(np.array(start + piece_m / 2), left_m)
        piece = box(piece_m, width_m, height_m, colour, texture=texture)
        solids.append(piece.moved(float(x), float(y), 0.0, float(heading)))
    return solids


def put(solids: tuple[Solid, ...], path: Path, along_m: float, left_m: float, turn_rad: float = 0.0) -> list[Solid]:
    """Solids beside a path, turned along it."""
    (x, y), heading = path.at(np.array(along_m), left_m)
    return [solid.moved(float(x), float(y), 0.0, float(heading) + turn_rad) for solid in solids]


def zebra(path: Path, along_m: float, span_m: float, depth_m: float) -> list[Face]:
    """A pedestrian crossing over a street of `span_m`: stripes along the path."""
    faces = []
    for left in np.arange(-span_m / 2 + 0.3, span_m / 2 - 0.2, 1.1):
        faces += dashes(
            path, float(left) + 0.25, 0.5, depth_m, 2 * depth_m, (238, 238, 234),
            start_m=along_m - depth_m / 2, end_m=along_m + depth_m / 2 + 0.1,
        )  # fmt: skip
    return faces
