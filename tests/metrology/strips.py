"""A page with a strip of frames for every cheat: the boxes as found, and what each metric said.

python -m tests.metrology.strips worlds|recordings OUT.md IMAGES_DIRECTORY [METRIC ...]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tests.metrology.cheats import Trial
from tests.metrology.ladder import REAL, versions
from tests.metrology.trials import recording_trials, world_trials

from drivereplay.evaluation.draw import side_by_side
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric, metric
from drivereplay.evaluation.scoring import one_opencv_thread

METRICS = ("agents.ade", "agents.iou", "agents.missing_rate", "ego.motion_error", "motion.amount")
SHOWN = 6
"""Frames of each strip, evenly over the future."""


def strip(real: Footage, video: Footage) -> NDArray[np.uint8]:
    """Six future frames side by side, with the real boxes in green and the found ones in orange."""
    frames = side_by_side(real, video)
    width = (frames.shape[2] - 6) // 2
    chosen = np.linspace(real.context, len(frames) - 1, SHOWN).astype(int)
    halved = [cv2.resize(frames[t, :, -width:], None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA) for t in chosen]
    return np.concatenate(halved, axis=1)


def page(trial: Trial, images: Path, link: str, names: Sequence[str] = METRICS) -> str:
    """Markdown with a strip for each version of the clip; the strips go to `images`."""
    images.mkdir(parents=True, exist_ok=True)
    real = Footage.of(trial.clip)
    lines = [f"## {trial.clip.name}", ""]
    with one_opencv_thread():
        for version, frames in versions(trial).items():
            video = real if version == REAL else real.with_frames(frames)
            name = f"{trial.source}-{version.replace(',', '').replace(' ', '-')}.jpg"
            coloured = cv2.cvtColor(strip(real, video), cv2.COLOR_RGB2BGR)
            (images / name).write_bytes(cv2.imencode(".jpg", coloured, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes())
            said = ", ".join(f"`{n}` {_figure(n, real, video)}" for n in names)
            lines += [f"**{version}**: {said}", "", f"![{version}]({link}/{name})", ""]
    return "\n".join(lines)


def _figure(name: str, real: Footage, video: Footage) -> str:
    one = metric(name)
    assert isinstance(one, ClipMetric)
    value = one.score(one.curve(real, video))
    return f"{value:.3g}" if np.isfinite(value) else "–"


def main(kind: str, out: Path, images: Path, names: Sequence[str] = METRICS) -> None:
    """Write the page of the first clip of the town, or of a dashcam."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        trials = world_trials(place, 1, ["town"]) if kind == "worlds" else recording_trials(place, 1, [DASHCAM])
        out.write_text(page(trials[0], images, images.name, names or METRICS), encoding="utf-8")


DASHCAM = "driving/solidWhiteRight.mp4"

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
