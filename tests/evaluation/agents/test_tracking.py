from __future__ import annotations

import motmetrics
import numpy as np
import pytest
from tests.evaluation.clips import annotations

from drivereplay.evaluation.agents.tracking import AgentsHota, AgentsIdf1, AgentsIou, hota, idf1, mean_iou
from drivereplay.evaluation.boxes import overlaps
from drivereplay.evaluation.footage import Footage


def _random(seed: int, frames: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Tracks that drift apart, swap and vanish."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (4, 2))[None] + np.cumsum(rng.normal(0, 1, (frames, 4, 2)), 0)
    true = np.concatenate([corner, corner + 12], -1)
    found = true[:, :3] + np.repeat(rng.normal(0, 2.0, (frames, 3, 1)), 4, -1)
    found[frames // 2 :, [0, 1]] = found[frames // 2 :, [1, 0]]
    for tracks in (true, found):
        tracks[rng.random(tracks.shape[:2]) < 0.15] = np.nan
    return true, found


@pytest.mark.parametrize("seed", range(5))
def test_idf1_is_motmetrics_s(seed: int) -> None:
    true, found = _random(seed)
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for a, b in zip(true, found, strict=True):
        rows, columns = (np.flatnonzero(np.isfinite(x).all(-1)) for x in (a, b))
        gain = overlaps(a[rows], b[columns])
        accumulator.update(rows.tolist(), columns.tolist(), np.where(gain >= 0.5, 1 - gain, np.nan))
    theirs = motmetrics.metrics.create().compute(accumulator, metrics=["idf1"])["idf1"].iloc[0]
    assert idf1(true, found) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("seed", "theirs"),
    enumerate((0.2635018070475751, 0.30874503646470297, 0.33056634054631867, 0.30554472531255056, 0.2855828638526367)),
)
def test_hota_is_trackeval_s(seed: int, theirs: float) -> None:
    """Mean of `trackeval.metrics.HOTA().eval_sequence(...)["HOTA"]` of trackeval 1.3.0 (MIT) over the same boxes.

    It ran once in an environment of its own (2026-12-01): it needs `opencv-python`, whose files overwrite those of
    `opencv-python-headless`.
    """
    assert hota(*_random(seed)) == pytest.approx(theirs, abs=1e-12)


def test_known_answers() -> None:
    true, _ = _random(9)
    for figure in (idf1, hota):
        assert figure(true, true) == pytest.approx(1.0)
        assert figure(true, np.full_like(true, np.nan)) == 0.0
        assert np.isnan(figure(np.full_like(true, np.nan), np.full_like(true, np.nan)))
    assert np.nanmean(mean_iou(true, true)) == pytest.approx(1.0)


def test_hota_of_a_swap_by_hand() -> None:
    """Perfect boxes, one identity exchanged half-way: DetA = 1, AssA = 1/2 for every α."""
    box = np.array([0.0, 0, 10, 10])
    true = np.tile(box, (4, 1, 1))
    found = np.full((4, 2, 4), np.nan)
    found[:2, 0], found[2:, 1] = box, box
    # each half: TPA 2, FNA 2, FPA 0 → 1/2
    assert hota(true, found) == pytest.approx(np.sqrt(0.5))


def test_hota_of_a_shift_by_hand() -> None:
    """One object at IoU 0.6 throughout: found for α ≤ .6 with full association, so 12 of 19."""
    true = np.tile(np.array([0.0, 0, 10, 10]), (3, 1, 1))
    found = np.tile(np.array([2.5, 0, 12.5, 10]), (3, 1, 1))
    assert hota(true, found) == pytest.approx(12 / 19)
    assert idf1(true, found) == 1.0 and mean_iou(true, found) == pytest.approx([0.6] * 3)


def test_what_is_followed_where_the_object_is_half_hidden_is_not_false() -> None:
    """Four frames seen, two half hidden, two out of the picture; the box is followed through all of them."""
    true = np.tile(np.array([5.0, 5, 15, 15]), (10, 1, 1))
    true[8:] = np.nan
    visible = np.array([1, 1, 1, 1, 1, 1, 0.4, 0, 0, 0], np.float32)[:, None]
    real = Footage(np.zeros((10, 30, 40, 3), np.uint8), 2, 8.0, annotations(true, visible=visible))
    made = real.with_frames(real.frames)
    made.estimates["anchored_tracks"] = (np.tile(np.array([5.0, 5, 15, 15]), (10, 1, 1)))[2:]
    assert AgentsIdf1().score(AgentsIdf1().curve(real, made)) == pytest.approx(4 / (4 + 0.5 * 2))
    # for every α four hits of six: DetA = AssA = 4 / 6
    assert AgentsHota().score(AgentsHota().curve(real, made)) == pytest.approx(4 / 6)
    assert AgentsIou().score(AgentsIou().curve(real, made)) == pytest.approx(1)
