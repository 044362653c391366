"""The gates of the shipped base: which clips, and when a row meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from drivereplay.evaluation import references
from drivereplay.evaluation.footage import Footage
from drivereplay.storage import Storage

WORLDS = ["highway", "town", "shapes", "orbit", "drone", "streetcam", "handheld", "crowd"]


def row(psnr: float, ade: float, motion: float = 0.0, sharpness: float = 0.0, n: int = 32) -> dict[str, np.ndarray]:
    jitter = np.random.default_rng(0).normal(0, 1e-4, n)
    return {
        "fidelity.psnr": psnr + jitter, "agents.ade": ade + jitter, "motion.amount": motion + jitter,
        "sharpness": sharpness + jitter,
    }  # fmt: skip


def words(script: Callable[[str], ModuleType], judged: dict[str, np.ndarray]) -> list[str]:
    rows = {references.FROZEN: row(18, 0.05), references.CONSTANT_MOTION: row(21, 0.03)}
    worlds = WORLDS * 4
    return [line.split(":")[0] for line in script("gates").verdicts(judged, rows, np.ones(32, bool), worlds)]


def test_each_gate_by_its_own(script: Callable[[str], ModuleType]) -> None:
    assert words(script, row(21.1, 0.029)) == ["met"] * 5
    assert words(script, row(20.9, 0.029)) == ["missed", "met", "met", "met", "met"]
    assert words(script, row(21.1, 0.0339)) == ["met", "met", "missed", "met", "met"]
    assert words(script, row(21.1, 0.0341)) == ["met", "missed", "missed", "met", "met"]
    assert words(script, row(21.1, 0.029, motion=-0.1)) == ["met", "met", "met", "missed", "met"]
    assert words(script, row(21.1, 0.029, motion=0.1)) == ["met", "met", "met", "missed", "met"]
    assert words(script, row(21.1, 0.029, sharpness=-0.7)) == ["met", "met", "met", "met", "missed"]


def test_a_good_mean_is_not_enough(script: Callable[[str], ModuleType]) -> None:
    few = row(20.9, 0.029)
    # three worlds are far better, five a little worse
    few["fidelity.psnr"][np.isin(np.arange(32) % 8, [0, 1, 2])] = 25.0
    assert words(script, few)[0] == "missed"
    few["fidelity.psnr"][np.isin(np.arange(32) % 8, [3, 4, 5])] = 21.5
    assert words(script, few)[0] == "met"


@pytest.fixture(scope="module")
def clips(script: Callable[[str], ModuleType], tmp_path_factory: pytest.TempPathFactory) -> list:
    settings = script("recipe").load_recipe()
    few = {name: settings.worlds[name] for name in ("highway", "shapes")}
    directory = tmp_path_factory.mktemp("gates")
    made: list = script("gates").gate_clips(directory, settings.model_copy(update={"worlds": few}), 2)
    return made


def test_worlds_splits_and_the_ninth(clips: list) -> None:
    kinds = [(clip.domain, clip.subset) for clip in clips]
    splits = [("highway", "regular"), ("highway", "rare-motion"), ("shapes", "regular")]
    splits += [("night-rain", "regular"), ("night-rain", "rare-motion")]
    assert kinds == [split for split in splits for _ in range(2)]
    assert len({clip.frames.tobytes() for clip in clips}) == len(clips)
    assert all(clip.annotations is not None and clip.frames.shape == (8, 64, 96, 3) for clip in clips)


def test_figures_of_videos_whose_motion_is_known(
    script: Callable[[str], ModuleType], clips: list, tmp_path: Path
) -> None:
    some = clips[:4]
    real = [clip.frames for clip in some]
    frozen = [references.rows(Footage.of(clip))[references.FROZEN].frames for clip in some]
    soft = [np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in clip.frames]) for clip in some]
    figures = {
        name: script("gates").row_figures(some, videos, Storage.of(str(tmp_path)))
        for name, videos in (("real", real), ("frozen", frozen), ("soft", soft))
    }
    assert np.allclose(figures["real"]["motion.amount"], 0)
    assert np.allclose(figures["real"]["sharpness"], 0)
    assert (figures["frozen"]["motion.amount"] < -1).all()
    assert (figures["soft"]["sharpness"] < -1).all()
    assert (np.abs(figures["soft"]["motion.amount"]) < 0.5).all()
