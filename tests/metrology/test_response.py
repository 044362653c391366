"""Metrics as instruments: they rise with the damage they are meant to see, and estimators hold their stated errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.metrology.damage import DAMAGES
from tests.metrology.response import LOOKS_AND_MOTION, markdown, monotonicity, responses, video_clips, world_clips

from drivereplay.domains.recording import Clip
from drivereplay.evaluation import follow
from drivereplay.evaluation.boxes import centres, real_tracks
from drivereplay.evaluation.camera import camera_motion
from drivereplay.evaluation.ego.truth import angle_deg, between_deg, real_motion
from drivereplay.evaluation.footage import Footage

Table = dict[str, dict[str, list[float]]]
Found = dict[tuple[str, str], float]
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
    ("object swapped", "agents.ade"): 1,
    ("camera yaw", "ego.motion_error"): 1,
    ("frozen", "ego.motion_error"): 1,
    ("time warp", "ego.motion_error"): 1,
}
"""(damage, metric) → the sign of the response that is asked for."""
SEEN_ON_VIDEOS = {
    ("blur", "fidelity.psnr"): -1,
    ("blur", "fidelity.sharpness"): 1,
    ("noise", "fidelity.psnr"): -1,
    ("noise", "fidelity.ssim"): -1,
    ("jpeg", "fidelity.ssim"): -1,
    ("colour", "fidelity.psnr"): -1,
    ("time warp", "agents.flow_epe"): 1,
    ("frozen", "agents.flow_epe"): 1,
    ("camera yaw", "ego.motion_error"): 1,
    ("frozen", "ego.motion_error"): 1,
    ("time warp", "ego.motion_error"): 1,
}
"""The same for clips of which nothing is known."""
TABLES = Path(__file__).parents[2] / "build" / "metrology"
"""Where the tables for the docs are left."""
DRIVING = Path(__file__).parents[3] / "shared" / "data" / "driving"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return world_clips(tmp_path_factory.mktemp("worlds"), 8)


def _unseen(table: Table, seen: dict[tuple[str, str], int], name: str, clips: list[Clip], source: str) -> Found:
    """What does not rise as it should; the table goes to `build/metrology`."""
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / name).write_text(markdown(table, len(clips), source), encoding="utf-8")
    found = {key: sign * monotonicity(table[key[0]][key[1]]) for key, sign in seen.items()}
    return {key: value for key, value in found.items() if value < 0.95}


def test_metrics_rise_with_the_damage_they_are_meant_to_see(clips: list[Clip]) -> None:
    assert _unseen(responses(clips), SEEN, "worlds.md", clips, "the worlds highway and town") == {}


@pytest.mark.skipif(not DRIVING.is_dir(), reason="the recordings in ../shared/data are not there")
def test_metrics_rise_with_damage_to_real_recordings() -> None:
    videos = sorted(DRIVING.glob("*.mp4"))
    clips = video_clips(videos, 6)
    source = " and ".join(video.name for video in videos)
    assert _unseen(responses(clips, LOOKS_AND_MOTION), SEEN_ON_VIDEOS, "recordings.md", clips, source) == {}


def test_objects_are_followed_on_the_regular_split(clips: list[Clip]) -> None:
    """The follower that makes pseudo boxes out of moving regions, against exact boxes; a lost object counts as half a
    diagonal."""
    errors = []
    for footage in map(Footage.of, clips):
        true, found = real_tracks(footage), follow.tracks(footage)[footage.context :]
        off = np.linalg.norm(centres(true) - centres(found), axis=-1) / footage.diagonal_px
        off = np.where(np.isnan(true).any(-1), np.nan, np.where(np.isnan(off), 0.5, off))
        if np.isfinite(off).any():
            errors.append(np.nanmean(off))
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
    text = markdown(responses(clips[:1], ("fidelity.psnr",)), 1)
    assert text.count("\n| ") == 2 + len(DAMAGES) and all(name in text for name in DAMAGES)
