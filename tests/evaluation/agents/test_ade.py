from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import annotations, make_clip

from drivereplay.evaluation import references
from drivereplay.evaluation.agents.ade import PENALTY, AgentsAde, AgentsFde, displacement
from drivereplay.evaluation.footage import Footage


def _with_tracks(found: np.ndarray) -> tuple[Footage, Footage]:
    true = np.tile(np.array([10.0, 10, 20, 20]), (5, 1, 1))
    real = Footage(np.zeros((5, 30, 40, 3), np.uint8), 2, 8.0, annotations(true))
    made = real.with_frames(real.frames)
    made.estimates["anchored_tracks"] = found[2:]
    return real, made


def test_distances_by_hand_and_a_lost_object_is_an_error() -> None:
    found = np.tile(np.array([13.0, 14, 23, 24]), (5, 1, 1))
    found[4] = np.nan
    real, made = _with_tracks(found)
    np.testing.assert_allclose(displacement(real, made)[:, 0], [0.1, 0.1, PENALTY])
    judge = AgentsAde()
    assert judge.score(judge.curve(real, made)) == pytest.approx((0.1 + 0.1 + PENALTY) / 3)
    final = AgentsFde()
    assert final.score(final.curve(real, made)) == PENALTY


def test_the_final_distance_is_a_mean_over_objects() -> None:
    """Three objects seen to the end and found, one that leaves early and is lost: 0.5 of four, whatever the frame."""
    true = np.tile(np.array([10.0, 10, 20, 20]), (8, 4, 1))
    true[4:, 3] = np.nan
    real = Footage(np.zeros((8, 30, 40, 3), np.uint8), 2, 8.0, annotations(true))
    made = real.with_frames(real.frames)
    made.estimates["anchored_tracks"] = (np.where(np.arange(4)[:, None] == 3, np.nan, true))[2:]
    curve = AgentsFde().curve(real, made)
    assert AgentsFde().score(curve) == PENALTY / 4 and np.isnan(curve[:-1]).all()
    nothing = Footage(real.frames, 2, 8.0, annotations(np.full((8, 1, 4), np.nan)))
    nothing.estimates["anchored_tracks"] = (np.full((8, 1, 4), np.nan))[2:]
    assert np.isnan(AgentsFde().curve(nothing, nothing)).all()


def test_no_found_object_is_worse_than_a_lost_one() -> None:
    real, made = _with_tracks(np.tile(np.array([1000.0, 0, 1010, 10]), (5, 1, 1)))
    assert (displacement(real, made) == PENALTY).all()


def test_the_row_of_frozen_frames_is_the_distance_travelled() -> None:
    real = Footage.of(make_clip(0, velocity=(2.0, 0.0)))
    judge = AgentsAde()
    frozen = judge.curve(real, references.rows(real)["frozen"])
    # places are measured, between pixels too: a twentieth of a pixel
    np.testing.assert_allclose(frozen, 2.0 * np.arange(1, 7) / real.diagonal_px, atol=0.05 / real.diagonal_px)
