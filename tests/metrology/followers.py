"""Ways to follow an object, measured against exact boxes before one was chosen. Prints a markdown table.

    python -m tests.metrology.followers CLIPS [VIDEO ...]

Without videos on the worlds' exact boxes; else on that many clips of each video, against the boxes of a detector
(installed weights: yolov4-tiny), of which it is sure at the start and which it finds again.

The error of a clip is the mean distance of box centres over the image diagonal, a lost object counted as 0.5.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tests.metrology.response import video_clips

from drivereplay.domains.worlds import write_world
from drivereplay.evaluation import follow, pseudo
from drivereplay.evaluation.boxes import centres, known_at_start, real_tracks
from drivereplay.evaluation.flow import future_flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.videos import PairRules, read_pairs

Box = NDArray[np.float64]
Grey = NDArray[np.uint8]
Step = Callable[[Footage, int, Box], Box]
"""(video, frame, box in the frame before) → box in the frame."""
SCALES = (0.94, 1.0, 1.06, 1.15)


def still(video: Footage, t: int, box: Box) -> Box:
    """It stays where it is."""
    return box


def template(video: Footage, t: int, box: Box) -> Box:
    """The place and scale near by with the highest normalised correlation with what was in the box before."""
    patch = _cut(video.grey[t - 1], box, box)
    best, place = -2.0, box
    for scale in SCALES:
        size = np.maximum(np.rint(_sides(box) * scale), 3).astype(int)
        wide = centres(box)[[0, 1, 0, 1]] + np.concatenate([-size, size]) * 1.0 + np.array([-6, -6, 6, 6])
        area = _cut(video.grey[t], wide, wide, whole=True)
        small = cv2.resize(patch, (int(size[0]), int(size[1])))
        found = cv2.matchTemplate(area, small, cv2.TM_CCOEFF_NORMED)
        _, value, _, (x, y) = cv2.minMaxLoc(found)
        if value > best:
            corner = wide[:2] + np.array([x, y])
            best, place = value, np.concatenate([corner, corner + size])
    return place


def correlation_filter(video: Footage, t: int, box: Box) -> Box:
    """A MOSSE filter (Bolme et al., CVPR 2010) of the box and as much around it, with a search over scales."""
    around = _grown(box, 2.0)
    window = np.outer(np.hanning(32), np.hanning(32))
    ys, xs = np.mgrid[:32, :32] - 16
    target = np.fft.fft2(np.fft.ifftshift(np.exp(-(xs**2 + ys**2) / 8)))
    first = np.fft.fft2(_whitened(_cut(video.grey[t - 1], around, np.array([0, 0, 32, 32]))) * window)
    filtered = target * np.conj(first) / (first * np.conj(first) + 0.1 * np.abs(first).max())
    best, place = -np.inf, box
    for scale in SCALES:
        scaled = _grown(around, scale)
        second = np.fft.fft2(_whitened(_cut(video.grey[t], scaled, np.array([0, 0, 32, 32]))) * window)
        answer = np.fft.fftshift(np.real(np.fft.ifft2(second * filtered)))
        y, x = np.unravel_index(answer.argmax(), answer.shape)
        if answer[y, x] > best:
            shift = (np.array([x, y]) - 16) / 32 * _sides(scaled)
            best, place = float(answer[y, x]), _grown(box, scale) + np.tile(shift, 2)
    return place


def flow_voting(video: Footage, t: int, box: Box) -> Box:
    """Dense DIS flow inside the box: median shift, median ratio of distances."""
    points = _grid(video, box)
    at = (points - 0.5).astype(np.float32)
    moved = points + cv2.remap(future_flow(video)[t - video.context], at[:, :1], at[:, 1:], cv2.INTER_LINEAR)[:, 0]
    return _median_move(box, points, moved)


def point_tracks(video: Footage, t: int, box: Box) -> Box:
    """Median flow (Kalal et al., ICPR 2010): Lucas-Kanade with a forward-backward check, the better half votes."""
    points = (_grid(video, box) - 0.5).astype(np.float32)[:, None]
    options: dict[str, Any] = {"winSize": (9, 9), "maxLevel": 3}
    moved, found, _ = cv2.calcOpticalFlowPyrLK(video.grey[t - 1], video.grey[t], points, points.copy(), **options)
    back, again, _ = cv2.calcOpticalFlowPyrLK(video.grey[t], video.grey[t - 1], moved, moved.copy(), **options)
    error = np.where((found & again).ravel() == 1, np.linalg.norm(back - points, axis=-1).ravel(), np.inf)
    kept = error <= max(float(np.median(error)), 1e-3)
    return _median_move(box, points[kept, 0] + 0.5, moved[kept, 0] + 0.5) if kept.sum() >= 4 else box


WAYS: dict[str, Step] = {
    "box stays where it is": still,
    "template, normalised correlation": template,
    "correlation filter (MOSSE, with scales)": correlation_filter,
    "flow voting (dense DIS)": flow_voting,
    "point tracks (median flow)": point_tracks,
}


def stepped(step: Step) -> Callable[[Footage], NDArray[np.float64]]:
    """A follower that goes from frame to frame."""

    def tracks(video: Footage) -> NDArray[np.float64]:
        assert video.annotations is not None
        height, width = video.frames.shape[1:3]
        last = video.context - 1
        start = video.annotations.boxes_px[last].astype(np.float64)
        boxes = np.full((len(video.frames), len(start), 4), np.nan)
        for n in np.flatnonzero(known_at_start(video)):
            box = start[n]
            for t in range(video.context, len(boxes)):
                box = step(video, t, box)
                inside = np.clip(box, 0, (width, height, width, height))
                if np.maximum(_sides(inside), 0).prod() < 0.25 * _sides(box).prod() or len(_grid(video, box)) < 4:
                    break
                boxes[t, n] = inside
        return boxes

    return tracks


def error(video: Footage, tracks: NDArray[np.float64]) -> float:
    """Mean distance of centres in image diagonals; NaN where no object is asked for."""
    true, found = real_tracks(video), tracks[video.context :]
    distance = np.linalg.norm(centres(true) - centres(found), axis=-1) / video.diagonal_px
    distance = np.where(np.isnan(found).any(-1), 0.5, np.minimum(distance, 0.5))
    asked = np.isfinite(true).all(-1)
    return float(distance[asked].mean()) if asked.any() else float("nan")


def _sides(box: Box) -> NDArray[np.float64]:
    return box[2:] - box[:2]


def _grown(box: Box, factor: float) -> Box:
    half = _sides(box) / 2 * factor
    return np.concatenate([centres(box) - half, centres(box) + half])


def _cut(grey: Grey, box: Box, size: Box, whole: bool = False) -> NDArray[np.float32]:
    """What a box shows, in as many samples as `size` has pixels."""
    across, down = (np.maximum(np.rint(size[2:] - size[:2]), 3)).astype(int)
    step = np.ones(2) if whole else _sides(box) / (across, down)
    xs = box[0] + (np.arange(across) + 0.5) * step[0] - 0.5
    ys = box[1] + (np.arange(down) + 0.5) * step[1] - 0.5
    grid = np.meshgrid(xs.astype(np.float32), ys.astype(np.float32))
    cut = cv2.remap(grey, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.float32)


def _whitened(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((patch - patch.mean()) / (patch.std() + 1e-3))


def _grid(video: Footage, box: Box) -> NDArray[np.float64]:
    height, width = video.frames.shape[1:3]
    xs, ys = (box[axis] + _sides(box)[axis] * (np.arange(8) + 0.5) / 8 for axis in (0, 1))
    points = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    return np.asarray(points[((points >= 0.5) & (points <= (width - 0.5, height - 0.5))).all(1)])


def _median_move(box: Box, before: NDArray[np.float64], after: NDArray[np.float64]) -> Box:
    rows, columns = np.triu_indices(len(before), 1)
    spans = np.linalg.norm(before[rows] - before[columns], axis=1)
    ratio = np.linalg.norm(after[rows] - after[columns], axis=1) / np.maximum(spans, 1e-3)
    scale = float(np.clip(np.median(ratio), 0.8, 1.6))
    middle = centres(box)
    moved = middle + np.median(after - before, axis=0) + (scale - 1) * (middle - np.median(before, axis=0))
    return np.concatenate([moved - _sides(box) / 2 * scale, moved + _sides(box) / 2 * scale])


def world_sets(count: int) -> dict[str, list[Footage]]:
    """Both splits of two worlds."""
    sets: dict[str, list[Footage]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for world in ("highway", "town"):
            for split in ("regular", "rare-motion"):
                place = Path(scratch) / world / split
                options: dict[str, Any] = {
                    "clips": count,
                    "seed": 23,
                    "frames": 16,
                    "fps": 8.0,
                    "height": 96,
                    "width": 160,
                }
                write_world(place, world, split=split, **options)
                files = [(path.stem, (path,), path) for path in sorted(place.glob("*.mp4"))]
                sets[f"{world}, {split}"] = [Footage.of(c) for c, _ in read_pairs(files, PairRules(context=2))]
    return sets


def main(count: int, videos: Sequence[Path]) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    if not videos:
        sets = world_sets(count)
    else:
        clips = video_clips(videos, count, frames=16)
        sets = {", ".join(v.name for v in videos): [pseudo.footage(clip, "detector") for clip in clips]}
    for shown in sets.values():
        for video in shown:
            future_flow(video)
    print("| follower | " + " | ".join(sets) + " | CPU s per clip |\n| --- |" + " --- |" * (len(sets) + 1))
    ways = {**{name: stepped(step) for name, step in WAYS.items()}, "**as shipped**": follow.tracks}
    for name, tracks in ways.items():
        started = time.process_time()
        errors = {key: np.array([error(v, tracks(v)) for v in shown]) for key, shown in sets.items()}
        seconds = (time.process_time() - started) / sum(map(len, errors.values()))
        cells = [f"{100 * np.nanmedian(e):.2f} % ({100 * np.nanmean(e):.2f} %)" for e in errors.values()]
        print(f"| {name} | " + " | ".join(cells) + f" | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24, [Path(video) for video in sys.argv[2:]])
