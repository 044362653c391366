"""Objects of clips that nobody annotated: pseudo ground truth, made from the real video alone.

Two ways. `motion` needs no weights: regions that move against the dominant motion out of the last given frame, followed
through the real future, and kept only if following them back again ends where they started. `detector` needs installed
weights: detections of which the detector is sure (score ≥ .6), those of the last given frame joined with later ones of
the same class until more than `MOST_MISSED` frames running have none. What is found stands for annotations, is said so
in the report, and fixes part of the protocol.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.errors import DataError
from drivereplay.evaluation import detect, flow, follow
from drivereplay.evaluation.boxes import LEAST_SIDE_PX, assigned, overlaps
from drivereplay.evaluation.footage import Footage

Way = Literal["motion", "detector", "none"]
ESTIMATE = "pseudo_boxes"
MOST_OBJECTS, LEAST_FLOW_PX, OVER_MEDIAN = 8, 0.5, 3.0
"""A region moves where its flow against the dominant motion is over 0.5 px and three times the picture's median."""
MOST_AREA, LEAST_FILLED = 0.15, 0.35
"""Regions larger than this share of the picture, or that fill less of their box, are scenery at another depth."""
BACK_IOU, JOIN_IOU = 0.5, 0.3
MOST_MISSED = 3
"""A detected object's track ends when more frames running than these have no detection to join it with."""

Boxes = NDArray[np.float64]


def settings(way: Way) -> dict[str, Any]:
    """The way's part of the protocol."""
    if way == "detector":
        from drivereplay.evaluation.weights import expected_sha256

        join = {
            "join_iou": JOIN_IOU,
            "join": "sure detections of one class",
            "most_missed": MOST_MISSED,
            "frames": "the source's",
        }
        weights = {"yolov4-tiny": expected_sha256("yolov4-tiny")}
        return {"truth": way, **detect.SETTINGS, **join, "weights": weights}
    regions = {"least_px": LEAST_FLOW_PX, "over_median": OVER_MEDIAN, "most": MOST_OBJECTS, "back_iou": BACK_IOU}
    return {"truth": way, **flow.SETTINGS, **follow.SETTINGS, **regions}


def wanted(clip: Clip, way: Way) -> bool:
    """Whether the clip's objects have to be found: nobody annotated any."""
    return way != "none" and (clip.annotations is None or not np.isfinite(clip.annotations.boxes_px).any())


def footage(clip: Clip, way: Way, estimates: dict[str, Any] | None = None) -> Footage:
    """The real clip as the metrics see it, with pseudo annotations where it has none.

    Args:
        way: How objects are found.
        estimates: What is known of the clip from an earlier evaluation.

    Raises:
        DriveReplayError: The detector's weights are not installed.
    """
    real = Footage.of(clip)
    real.estimates.update(estimates or {})
    if not wanted(clip, way):
        return real
    boxes = real.estimate(ESTIMATE, lambda: _detected(real, clip) if way == "detector" else _moving(real))
    real.annotations = as_annotations(boxes, clip.annotations)
    real.pseudo = True
    return real


def as_annotations(boxes: NDArray[Any], known: ClipAnnotations | None = None) -> ClipAnnotations:
    """Boxes (T, N, 4), NaN where an object is not seen, as annotations; poses and intrinsics as they were known."""
    frames, count = boxes.shape[:2]
    return ClipAnnotations(
        ids=np.arange(count),
        classes=np.full(count, "moving"),
        boxes_px=boxes.astype(np.float32),
        visible=np.isfinite(boxes).all(-1).astype(np.float32),
        poses=np.full((frames, 4, 4), np.nan) if known is None else known.poses,
        intrinsics_px=np.full((frames, 3, 3), np.nan) if known is None else known.intrinsics_px,
        positions_m=np.full((frames, count, 3), np.nan),
        sizes_m=np.full((count, 3), np.nan, np.float32),
        headings_rad=np.full((frames, count), np.nan, np.float32),
    )


def shown(clip: Clip, estimates: dict[str, Any]) -> Clip:
    """The clip with the pseudo annotations that were made of it, for a picture of it."""
    if ESTIMATE not in estimates:
        return clip
    return replace(clip, annotations=as_annotations(estimates[ESTIMATE], clip.annotations))


def _moving(real: Footage) -> NDArray[np.float32]:
    """Boxes (T, N, 4) of moving regions, followed through the real future."""
    last = real.context - 1
    start = moving_regions(flow.residual_flow(real)[0])
    there = _followed(real, start)
    end = np.array([_last_seen(there[:, n], last) for n in range(len(start))], dtype=int)
    kept = [n for n in range(len(start)) if end[n] > last and _comes_back(real, there[:, n], int(end[n]))]
    return there[:, kept].astype(np.float32)


def moving_regions(residual: NDArray[np.float32]) -> Boxes:
    """Boxes (N, 4) of what moves against the dominant motion in residual flow (H, W, 2), the strongest first."""
    magnitude = cv2.GaussianBlur(np.linalg.norm(residual, axis=-1), (0, 0), 1.0)
    moves = magnitude > max(LEAST_FLOW_PX, OVER_MEDIAN * float(np.median(magnitude)))
    mask = cv2.morphologyEx(moves.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels = cv2.connectedComponents(mask)
    found = []
    for label in range(1, count):
        inside = labels == label
        # dense flow leaks out of an object; its edge is where half of its motion is left
        ys, xs = np.nonzero(inside & (magnitude >= 0.5 * np.quantile(magnitude[inside], 0.9)))
        x, y, width, height = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
        fits = min(width, height) >= LEAST_SIDE_PX and width * height <= MOST_AREA * mask.size
        if fits and len(xs) >= LEAST_FILLED * width * height:
            found.append((float(magnitude[inside].sum()), (x, y, x + width, y + height)))
    found.sort(key=lambda region: -region[0])
    return np.array([box for _, box in found[:MOST_OBJECTS]], dtype=np.float64).reshape(-1, 4)


def _followed(real: Footage, start: Boxes) -> Boxes:
    boxes = np.full((len(real.frames), len(start), 4), np.nan)
    boxes[real.context - 1] = start
    video = real.with_frames(real.frames)
    # the same video: its flow need not be made again
    video.estimates = {name: real.estimates[name] for name in ("grey", "future_flow") if name in real.estimates}
    video.annotations = as_annotations(boxes)
    return follow.tracks(video)


def _last_seen(boxes: Boxes, first: int) -> int:
    """The last frame up to which the object was followed without a gap."""
    missing = np.flatnonzero(np.isnan(boxes[first:]).any(-1))
    return first + (int(missing[0]) if len(missing) else len(boxes) - first) - 1


def _comes_back(real: Footage, boxes: Boxes, end: int) -> bool:
    """Whether the object, followed backwards from its last box, ends where it started."""
    first = real.context - 1
    backwards = np.ascontiguousarray(real.frames[first : end + 1][::-1])
    start = np.full((len(backwards), 1, 4), np.nan)
    start[0, 0] = boxes[end]
    found = follow.tracks(Footage(backwards, 1, real.fps, as_annotations(start)))[-1]
    return bool(overlaps(found, boxes[first][None])[0, 0] >= BACK_IOU)


def _detected(real: Footage, clip: Clip) -> NDArray[np.float32]:
    """Boxes (T, N, 4) of sure detections, joined from frame to frame by the best assignment of overlaps in a class.

    They are looked for in the recording's own frames where those can be read: at 96 × 160 a car ahead is a few pixels.
    """
    first = real.context - 1
    frames = real.frames if clip.larger is None else clip.larger()
    if len(frames) != len(real.frames):
        raise DataError(
            f"{clip.name}: its source has {len(frames)} frames now, not {len(real.frames)}.", "Read it again."
        )
    seen = detect.default_detector().detect(np.ascontiguousarray(frames[first:]), detect.SURE)
    height, width = (a / b for a, b in zip(real.frames.shape[1:3], frames.shape[1:3], strict=True))
    for found in seen:
        found[:, :4] *= np.array([width, height, width, height], np.float32)
    start, *later = [found[found[:, 4] >= detect.SURE] for found in seen]
    boxes = np.full((len(real.frames), len(start), 4), np.nan, np.float32)
    boxes[first] = start[:, :4]
    latest, missed = start[:, :4].copy(), np.zeros(len(start), dtype=int)
    for t, found in enumerate(later, start=first + 1):
        alike = (start[:, None, 5] == found[None, :, 5]) & (missed <= MOST_MISSED)[:, None]
        rows, columns = assigned(np.where(alike, overlaps(latest, found[:, :4]), 0.0), JOIN_IOU)
        boxes[t, rows] = latest[rows] = found[columns, :4]
        missed += 1
        missed[rows] = 0
    return boxes
