"""Whether a set of videos moves like the real set does, without pairing any two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.flow import SETTINGS as FLOW
from drivereplay.evaluation.flow import future_flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance
from drivereplay.evaluation.metric import SetMetric

GRID = 12
"""Point tracks across and down; each is carried along by the flow and ends where it leaves the frame."""
DIRECTIONS = 8
LENGTHS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Edges of the bins of length, in diagonals per step; shorter vectors have no direction."""
HISTOGRAM = 1 + DIRECTIONS * len(LENGTHS)


class MotionDistribution(SetMetric):
    """Fréchet distance between histograms of velocity and acceleration of point tracks of the real and generated set.

    In the spirit of FVMD (arXiv 2407.16124), without its network: points on a grid in the last given frame are carried
    along by optical flow; the velocities of their steps, and the differences of neighbouring velocities, are counted in
    bins of direction and length. A clip's feature is the square root of both histograms (Hellinger). It neither pairs
    videos nor asks where a thing moves, and does not see what vanishes.
    """

    name = "motion.distribution"
    unit = "1"
    direction = "min"
    least_clips = 16
    biased = True
    settings: ClassVar = {**FLOW, "grid": GRID, "directions": DIRECTIONS, "lengths": list(LENGTHS)}

    def features(self, videos: Sequence[Footage]) -> NDArray[np.float32]:
        return np.stack([_feature(video)[None] for video in videos]).astype(np.float32)

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return frechet_distance(real, generated)


def _feature(video: Footage) -> NDArray[np.float64]:
    velocity = velocities(video) / video.diagonal_px
    return np.sqrt(np.concatenate([_histogram(velocity), _histogram(np.diff(velocity, axis=0))]))


def velocities(video: Footage) -> NDArray[np.float64]:
    """Velocities (F, K, 2) in pixels per step of points that are carried along; NaN once a point has left the frame."""
    flows = future_flow(video)
    height, width = flows.shape[1:3]
    xs, ys = np.meshgrid((np.arange(GRID) + 0.5) / GRID * width, (np.arange(GRID) + 0.5) / GRID * height)
    points = np.stack([xs.ravel(), ys.ravel()], axis=1)
    made = np.full((len(flows), len(points), 2), np.nan)
    for t, flow in enumerate(flows):
        inside = ((points >= 0) & (points <= (width - 1, height - 1))).all(1)
        at = points[inside].astype(np.float32)
        if not len(at):
            break
        made[t, inside] = cv2.remap(flow, at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]
        points[inside] += made[t, inside]
        points[~inside] = np.nan
    return made


def _histogram(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (HISTOGRAM,) of vectors (F, K, 2) in bins of direction and length; the first holds those too short."""
    known = vectors[np.isfinite(vectors).all(-1)]
    if not len(known):
        return np.eye(1, HISTOGRAM)[0]
    length = np.linalg.norm(known, axis=1)
    turn = (
        np.floor((np.arctan2(known[:, 1], known[:, 0]) / (2 * np.pi) % 1) * DIRECTIONS + 0.5).astype(int) % DIRECTIONS
    )
    size = np.searchsorted(LENGTHS, length, side="right") - 1
    number = np.where(size < 0, 0, 1 + turn * len(LENGTHS) + np.maximum(size, 0))
    return np.bincount(number, minlength=HISTOGRAM) / len(known)
