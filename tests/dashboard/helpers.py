"""Fronts and runs for the tests of the dashboards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drivereplay.domains.mp4 import write_video
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, front_of, reference_of
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage
from drivereplay.training.curve import CurvePoint, write_curve

OBJECTIVES = ("fidelity.psnr", "agents.ade")
DIRECTIONS = ("max", "min")
STEP = 60
KINDS = ("base", "naive", "replay-only", "equal")


def spec(storage: Path | str) -> Spec:
    """A small sweep with two replay domains."""
    return parse_spec(
        {
            "name": "small",
            "storage": str(storage),
            "clip": {"frames": 6, "context": 2, "fps": 8, "height": 16, "width": 24},
            "target": {"name": "driving", "source": {"kind": "world", "world": "highway", "clips": 8}},
            "replay": {
                "frequency": 0.25,
                "domains": [
                    {"name": name, "source": {"kind": "world", "world": "shapes", "clips": 8}} for name in ("a", "b")
                ],
            },
            "search": {
                "objectives": list(OBJECTIVES),
                "space": {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"},
            },
        }
    )


def candidates(count: int = 10) -> list[Candidate]:
    """Anchors and trials that trade one objective for the other, one failed."""
    random = np.random.default_rng(1)
    made = []
    for i in range(count):
        rho = [0.0, 0.0, 1.0, 0.25][i] if i < 4 else float(random.uniform(0, 0.6))
        psnr, ade = 20 + 4 * (1 - rho) * (i > 0) + float(random.normal()) / 3, 0.35 - 0.25 * rho**0.5
        metrics = {
            "fidelity.psnr": Estimate(psnr, psnr - 0.2, psnr + 0.2, 8),
            "agents.ade": Estimate(ade, ade - 0.01, ade + 0.02, 8),
            "ego.ate": Estimate(rho + 0.1, float("nan"), float("nan"), 8),
        }
        made.append(
            Candidate(
                trial=f"t{i:04d}",
                step=STEP,
                seed=0,
                kind=KINDS[i] if i < 4 else "trial",
                parameters={"replay.frequency": rho, "replay.weights": [0.3, 0.7]},
                metrics=metrics,
                cost={"device_hours": 0.01},
                protocol="p",
                status="finished",
            )
        )
    if count > 7:
        made[7] = replace(made[7], status="failed", reason="loss is NaN")
    return made


def front(
    found: list[Candidate], objectives: tuple[str, ...] = OBJECTIVES, directions: tuple[str, ...] = DIRECTIONS
) -> Front:
    """The front of candidates, with the usual reference point."""
    return front_of(found, objectives, directions, reference_of(found, objectives, directions))


def leave_trial(directory: Storage, trial: str, *, clips: int = 1, steps: int = 5) -> None:
    """What a trial leaves behind: a curve and videos."""
    storage = directory.below("trials", trial)
    points = [
        CurvePoint(step, 1 / (1 + step), 1e-3, 0.5, {"driving": 0.9, "a": 1.1}, {0: 0.2, 4: 0.8}, 0.25, 0.05)
        for step in range(steps)
    ]
    write_curve(storage, points, ["driving", "a", "b"])
    local = storage.local
    assert local is not None
    videos = local / "videos" / f"step-{STEP}"
    videos.mkdir(parents=True, exist_ok=True)
    for clip in range(clips):
        for shade, kind in ((90, "real"), (160, "generated")):
            frames = np.full((6, 16, 24, 3), shade, np.uint8)
            write_video(videos / f"{clip:02d}-{kind}.mp4", frames, 8)


def accumulated(run: Path) -> Any:
    """What TensorBoard reads in one run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run), size_guidance={"images": 0, "tensors": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator
