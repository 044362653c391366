"""Errors of the camera's pose and of the optical flow against exact truth. Prints a markdown table.

python -m tests.metrology.estimators CLIPS
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds import write_world
from drivereplay.domains.worlds.writer import render_ground_truth
from drivereplay.evaluation.camera import CameraMotion, camera_motion
from drivereplay.evaluation.ego.truth import angle_deg, between_deg, real_motion
from drivereplay.evaluation.flow import future_flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.pnp import motion_with_depth
from drivereplay.evaluation.videos import PairRules, read_pairs

Errors = dict[str, list[NDArray[np.float64]]]


def measure(world: str, split: str, count: int, directory: Path) -> Errors:
    """Every step's (every pixel's) error."""
    place = directory / world / split
    write_world(place, world, clips=count, seed=31, frames=10, fps=8.0, height=96, width=160, split=split)
    files = [(path.stem, (path,), path) for path in sorted(place.glob("*.mp4"))]
    errors: Errors = {}
    for number, (clip, _) in enumerate(read_pairs(files, PairRules(context=2))):
        video = Footage.of(clip)
        exact = [render_ground_truth(place, number, frame) for frame in range(len(clip.frames))]
        true = real_motion(video)
        _compare(errors, "camera", true, camera_motion(video))
        by_depth = motion_with_depth(video, np.stack([frame.depth_m for frame in exact]))
        _compare(errors, "pnp", true, by_depth)
        moving = true.lengths > 0
        _add(errors, "pnp length", np.abs(by_depth.lengths / np.where(moving, true.lengths, 1) - 1)[moving] * 100)
        for step, found in enumerate(future_flow(video)):
            frame = exact[clip.context - 1 + step]
            error = np.linalg.norm(found - frame.flow_px, axis=-1)
            _add(errors, "flow", error[frame.followed])
            _add(errors, "flow of objects", error[frame.followed & (frame.ids > 0)])
    return errors


def _compare(errors: Errors, name: str, true: CameraMotion, made: CameraMotion) -> None:
    _add(errors, f"{name} rotation", angle_deg(np.swapaxes(true.rotations, 1, 2) @ made.rotations))
    _add(errors, f"{name} direction", between_deg(true.directions, made.directions))
    _add(errors, f"{name} found", made.found.astype(np.float64))


def _add(errors: Errors, name: str, values: NDArray[np.float64]) -> None:
    errors.setdefault(name, []).append(values[np.isfinite(values)])


ROWS = {
    "camera rotation": "camera: rotation, median of steps, deg",
    "camera direction": "camera: direction of translation, median of steps, deg",
    "camera found": "camera: share of steps with a pose",
    "pnp rotation": "PnP with exact depth: rotation, median, deg",
    "pnp direction": "PnP: direction of translation, median, deg",
    "pnp length": "PnP: length of a step, median error, %",
    "pnp found": "PnP: share of steps with a pose",
    "flow": "flow (DIS): end-point error, mean of pixels seen in both frames, px",
    "flow of objects": "flow: the same inside objects, px",
}


def main(count: int) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    sets = [("town", "regular"), ("town", "rare-motion"), ("highway", "regular")]
    with tempfile.TemporaryDirectory() as scratch:
        found = [measure(*one, count, Path(scratch)) for one in sets]
    print(f"| {count} clips each | " + " | ".join(f"{w}, {s}" for w, s in sets) + " |\n| --- |" + " --- |" * len(sets))
    for key, label in ROWS.items():
        of = np.mean if "found" in key or "flow" in key else np.median
        print(f"| {label} | " + " | ".join(f"{of(np.concatenate(errors[key])):.2f}" for errors in found) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
