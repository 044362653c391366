"""A contact sheet of every world: `python -m drivereplay.domains.worlds.sheet FILE.png [HEIGHTxWIDTH]`."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.world import Shot, render

SEED = 7
FRAMES = (0, 5, 10, 15)


def contact_sheet(height: int, width: int) -> NDArray[np.uint8]:
    """(rows, columns, 3) uint8 RGB: one row per world and split, four moments of one clip in each."""
    rows = []
    for name in WORLDS:
        world = world_named(name)
        for subset in ("regular", "rare-motion") if world.driving else ("regular",):
            take = world.take(Shot(SEED, 3, FRAMES[-1] + 1, 8.0, height, width, subset))
            pictures = [render(take, frame)[0] for frame in FRAMES]
            label = np.full((max(10, height // 8), width * len(FRAMES), 3), 255, np.uint8)
            text = name if not world.driving else f"{name}, {subset}"
            place = (3, label.shape[0] - 3)
            cv2.putText(label, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (20, 20, 20), 1, cv2.LINE_AA)
            rows.append(np.vstack([label, np.hstack(pictures)]))
    # two columns, so that the sheet fits a screen
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    half = len(rows) // 2
    gap = np.full((half * rows[0].shape[0], 6, 3), 255, np.uint8)
    return np.hstack([np.vstack(rows[:half]), gap, np.vstack(rows[half:])])


def main(arguments: list[str]) -> int:
    """Write the sheet; 2 if the call is wrong."""
    try:
        path, size = Path(arguments[0]), (arguments[1] if len(arguments) > 1 else "64x96")
        height, width = (int(value) for value in size.split("x"))
    except (IndexError, ValueError):
        print(__doc__, file=sys.stderr)
        return 2
    path.parent.mkdir(parents=True, exist_ok=True)
    # not by OpenCV: with decord in the same process its PNG writer meets another zlib and gives up
    imsave(path, contact_sheet(height, width), pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
