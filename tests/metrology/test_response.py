"""Metrics as instruments: they rise with the damage they are meant to see, and estimators hold their stated errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.metrology.response import monotonicity, responses, world_clips

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.agents.ade import displacement
from drivereplay.evaluation.camera import camera_motion
from drivereplay.evaluation.ego.truth import angle_deg, between_deg, real_motion
from drivereplay.evaluation.footage import Footage

pytestmark = pytest.mark.metrology

SEEN = {
    ("blur", "fidelity.psnr"): -1,
    ("blur", "fidelity.sharpness"): 1,
    ("noise", "fidelity.psnr"): -1,
    ("noise", "fidelity.ssim"): -1,
    ("jpeg", "fidelity.ssim"): -1,
    ("colour", "fidelity.psnr"): -1,
    ("time warp", "agents.ade"): 1,
    ("frozen", "agents.flow_epe"): 1,
    ("object shifted", "agents.ade"): 1,
    ("object removed", "agents.flow_epe"): 1,
    ("camera yaw", "ego.rpe_rotation"): 1,
}
"""(damage, metric) → the sign of the response that is asked for."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return world_clips(tmp_path_factory.mktemp("worlds"), 8)


def test_metrics_rise_with_the_damage_they_are_meant_to_see(clips: list[Clip]) -> None:
    table = responses(clips)
    found = {key: sign * monotonicity(table[key[0]][key[1]]) for key, sign in SEEN.items()}
    assert {key: value for key, value in found.items() if value < 0.95} == {}


def test_objects_are_followed_on_the_regular_split(clips: list[Clip]) -> None:
    errors = [np.nanmean(d) for d in (displacement(f, f) for f in map(Footage.of, clips)) if np.isfinite(d).any()]
    assert np.median(errors) <= 0.006


def test_the_camera_is_told_in_town(clips: list[Clip]) -> None:
    turns, directions = [], []
    for footage in map(Footage.of, clips[8:]):
        true, made = real_motion(footage), camera_motion(footage)
        turns.append(angle_deg(np.swapaxes(true.rotations, 1, 2) @ made.rotations))
        directions.append(between_deg(true.directions, made.directions))
    assert np.median(np.concatenate(turns)) <= 0.15
    assert np.nanmedian(np.concatenate(directions)) <= 3.0


def test_the_table_is_written(tmp_path: Path, clips: list[Clip]) -> None:
    from tests.metrology.response import markdown

    text = markdown(responses(clips[:1], ("fidelity.psnr",)), 1)
    assert text.count("\n| ") == 11 and "camera yaw" in text
