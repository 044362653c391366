from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.errors import DataError
from drivereplay.evaluation import detect, pseudo
from drivereplay.evaluation.boxes import overlaps
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.scoring import cache_key
from drivereplay.storage import Storage

METRICS = ("fidelity.psnr", "agents.ade", "agents.flow_epe")


def test_the_region_that_moves_is_found_where_the_object_is() -> None:
    clip, bare = (make_clip(3, velocity=(3.0, 1.0), annotated=known) for known in (True, False))
    found = pseudo.footage(bare, "motion")
    assert found.pseudo and found.annotations is not None and clip.annotations is not None
    boxes = found.annotations.boxes_px
    best = overlaps(boxes[bare.context - 1], clip.annotations.boxes_px[bare.context - 1])[:, 0]
    assert best.max() > 0.5
    assert overlaps(boxes[-1], clip.annotations.boxes_px[-1])[best.argmax(), 0] > 0.5
    assert np.isnan(boxes[: bare.context - 1]).all()


def test_nothing_is_found_where_nothing_moves_and_annotations_are_left_alone() -> None:
    still = make_clip(3, velocity=(0.0, 0.0), pan=0, annotated=False)
    assert pseudo.footage(still, "motion").annotations.boxes_px.shape == (8, 0, 4)  # type: ignore[union-attr]
    annotated = make_clip(3)
    assert pseudo.footage(annotated, "motion").annotations is annotated.annotations
    assert pseudo.footage(make_clip(3, annotated=False), "none").annotations is None


def test_a_report_says_what_rests_on_pseudo_ground_truth_and_keeps_it_in_the_cache(tmp_path: Path) -> None:
    clips = [make_clip(n, velocity=(3.0, 1.0), annotated=False) for n in range(3)]
    frozen = [(c, np.concatenate([c.frames[:2], np.repeat(c.frames[1:2], 6, axis=0)])) for c in clips]
    reports = [
        evaluate_pairs(frozen, {}, metrics=METRICS, resamples=100, cache=Storage.of(tmp_path), videos=0)
        for _ in range(2)
    ]
    assert reports[0].to_json() == reports[1].to_json()
    assert reports[0].metrics["agents.ade"].mean > 0.05 > reports[0].references["real"]["agents.ade"].mean
    assert reports[0].tables["pseudo"] == {"clips": 3, "truth": "motion", "metrics": ["agents.ade"]}
    assert any(w.startswith("Pseudo ground truth, not annotations, in 3 of 3 clips") for w in reports[0].warnings)
    assert reports[0].protocol.fields["pseudo"]["truth"] == "motion"
    annotated = evaluate_pairs([(make_clip(1), make_clip(1).frames)], {}, metrics=METRICS, resamples=100)
    assert "pseudo" not in annotated.protocol.fields and "pseudo" not in annotated.tables


def test_the_way_is_part_of_the_cache_s_key() -> None:
    assert cache_key(["a"], METRICS, "motion") != cache_key(["a"], METRICS, "detector") != cache_key(["a"], METRICS)


class _Changing:
    """A sure car that is sure again in the frames given, unsure in the others, and a sure person in the same place."""

    def __init__(self, sure: tuple[int, ...]) -> None:
        self.sure = sure

    def detect(self, frames: np.ndarray, threshold: float) -> list[np.ndarray]:
        box = [8.0, 10, 24, 20]
        rows = [[[*box, 0.9 if t in self.sure else 0.3, 2], [*box, 0.95, 0]] for t in range(len(frames))]
        return [np.array(found[:1] if t == 0 else found, np.float32) for t, found in enumerate(rows)]


@pytest.mark.parametrize(("sure", "joined"), [((0, 1, 5), [1, 5]), ((0, 1, 6), [1]), ((0, 4), [4]), ((0, 5, 6), [])])
def test_only_sure_detections_of_the_class_are_joined_and_not_over_any_gap(
    sure: tuple[int, ...], joined: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect, "default_detector", lambda: _Changing(sure))
    found = pseudo.footage(make_clip(0, context=1, annotated=False), "detector").annotations
    assert found is not None and found.boxes_px.shape == (8, 1, 4)
    assert np.flatnonzero(found.visible[:, 0]).tolist() == [0, *joined]


class _Seen:
    """A detector that sees one sure car, 2 px further right in each frame and hidden in the third, and one unsure."""

    def detect(self, frames: np.ndarray, threshold: float) -> list[np.ndarray]:
        rows = []
        for t in range(len(frames)):
            car = [[8.0 + 2 * t, 10, 24 + 2 * t, 20, 0.9, 2]] if t != 2 else []
            rows.append(np.array([*car, [40, 30, 50, 40, 0.3, 0]], np.float32).reshape(-1, 6))
        return rows


def test_detections_are_joined_from_frame_to_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "default_detector", _Seen)
    found = pseudo.footage(make_clip(0, annotated=False), "detector").annotations
    assert found is not None and found.boxes_px.shape == (8, 1, 4)
    assert found.boxes_px[1, 0].tolist() == [8, 10, 24, 20] and found.boxes_px[-1, 0].tolist() == [20, 10, 36, 20]
    assert found.visible[:, 0].tolist() == [0, 1, 1, 0, 1, 1, 1, 1]


class _InLarge:
    """A detector that sees a sure car of 120 × 60 px in frames of 480 × 640, and nothing in smaller ones."""

    def detect(self, frames: np.ndarray, threshold: float) -> list[np.ndarray]:
        car = [[100.0, 50, 220, 110, 0.9, 2]] if frames.shape[1:3] == (480, 640) else []
        return [np.array(car, np.float32).reshape(-1, 6) for _ in frames]


def test_the_detector_looks_in_the_recording_s_own_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "default_detector", _InLarge)
    clip = make_clip(0, annotated=False)
    small = pseudo.footage(clip, "detector").annotations
    assert small is not None and small.boxes_px.shape[1] == 0
    large = np.stack([cv2.resize(frame, (640, 480)) for frame in clip.frames])
    found = pseudo.footage(replace(clip, larger=lambda: large), "detector").annotations
    assert found is not None and found.boxes_px.shape == (8, 1, 4)
    assert found.boxes_px[-1, 0].tolist() == pytest.approx([10, 5, 22, 11])
    with pytest.raises(DataError, match="its source has 7 frames now"):
        pseudo.footage(replace(clip, larger=lambda: large[:7]), "detector")
