"""Recorded loss curves: `python -m tests.training.curves [FAMILY]` writes tests/training/curves/<family>.json anew.

Run it only for a change that is meant to alter numbers, and say so in the commit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.training.helpers import SMALL, memory_batches, small_spec

from drivereplay.models import load_model
from drivereplay.spec import Spec
from drivereplay.training.curve import CurvePoint
from drivereplay.training.loop import Hooks, fine_tune

DIRECTORY = Path(__file__).parent / "curves"

FAMILIES: dict[str, dict[str, Any]] = {
    "wan": {"clip": {"frames": 4, "context": 1, "height": 16, "width": 16}, "config": SMALL},
    "svd": {"clip": {"frames": 2, "context": 1, "height": 16, "width": 16}, "config": {}},
    "ltx": {"clip": {"frames": 5, "context": 1, "height": 32, "width": 32}, "config": {}},
    "cogvideox": {"clip": {"frames": 5, "context": 1, "height": 16, "width": 16}, "config": {}},
    "cosmos": {"clip": {"frames": 5, "context": 1, "height": 16, "width": 16}, "config": {}},
}


def spec_for(family: str) -> Spec:
    """Five steps of four samples."""
    values = FAMILIES[family]
    return small_spec(
        clip=values["clip"],
        model={"family": family, "config": values["config"]},
        training={"steps": 5, "batch_size": 4, "learning_rate": 1e-3, "warmup": 2},
    )


def curve(family: str) -> list[dict[str, float]]:
    """Loss and gradient norm of each step."""
    points: list[CurvePoint] = []

    class Kept(Hooks):
        def stepped(self, point: CurvePoint, batch: Any) -> None:
            points.append(point)

    spec = spec_for(family)
    fine_tune(load_model(spec), memory_batches(spec), spec, hooks=Kept())
    return [{"loss": p.loss, "gradient_norm": p.gradient_norm, **p.domains} for p in points]


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in sys.argv[1:] or FAMILIES:
        (DIRECTORY / f"{name}.json").write_text(json.dumps(curve(name), indent=2) + "\n", encoding="utf-8")
