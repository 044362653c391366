"""A change that should not alter numbers does not: the loss curve of each family is that recorded before.

Within 1e-4 relative: processors differ in the order of float sums.
"""

from __future__ import annotations

import json

import pytest
from tests.training.curves import DIRECTORY, FAMILIES, curve


@pytest.mark.parametrize("family", FAMILIES)
def test_the_curve_is_the_recorded_one(family: str) -> None:
    recorded = json.loads((DIRECTORY / f"{family}.json").read_text(encoding="utf-8"))
    found = curve(family)
    assert len(found) == len(recorded) == 5
    for step, (now, before) in enumerate(zip(found, recorded, strict=True)):
        assert now == pytest.approx(before, rel=1e-4), f"step {step}"
