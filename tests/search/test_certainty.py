"""Places, hypervolume and differences from one set of paired draws."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.search.test_seeds import NAMES, by_clip

from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, Reference, front_of

WAYS = ("min", "min")
REFERENCE = Reference((12.0, 12.0), "the worse of base and naive")


def found(noise: float = 0.05, reference: Reference = REFERENCE) -> Front:
    generator = np.random.default_rng(0)
    difficulty = generator.gamma(2.0, 5.0, (2, 64))

    def made(trial: str, looks: float, motion: float, kind: str = "trial") -> Candidate:
        figures = difficulty + np.array([[looks], [motion]]) + generator.normal(0, noise, (2, 64))
        return replace(by_clip(trial, *figures), kind=kind)

    rows = [
        made("base", 1.0, 0.0, "base"), made("naive", 0.0, 1.0, "naive"),
        made("mixed", 0.2, 0.2), made("bad", 2.0, 2.0),
    ]  # fmt: skip
    return front_of(rows, NAMES, WAYS, reference)


def test_differences_to_the_anchors_are_paired() -> None:
    sure = found().certainty
    against = sure.differences["mixed@10"]
    assert set(against) == {"base", "naive"} and set(sure.differences["naive@10"]) == {"base"}
    looks = against["naive"]["loss.looks"]
    assert looks.mean == pytest.approx(0.2, abs=0.02) and 0.15 < looks.low < looks.mean < looks.high < 0.25
    # each figure's own interval is a hundred times as wide
    own = found().front[0].metrics["loss.looks"]
    assert own.high - own.low > 50 * (looks.high - looks.low)


def test_places_and_the_hypervolume_are_as_sure_as_the_pairs() -> None:
    front = found()
    sure = front.certainty
    assert sure.probabilities == {"base@10": 1.0, "mixed@10": 1.0, "naive@10": 1.0, "bad@10": 0.0}
    assert front.probabilities() == (1.0, 1.0, 1.0)
    volume = sure.hypervolume
    assert volume is not None and volume.mean == front.hypervolume and volume.low < volume.mean < volume.high
    # clips that are hard for all move the anchors' reference point as well; a given one stays where it is
    given = found(reference=Reference(REFERENCE.point, "`search.reference` of the experiment file")).certainty
    assert given.hypervolume is not None
    assert given.hypervolume.high - given.hypervolume.low > 10 * (volume.high - volume.low)


def test_what_sets_candidates_apart_is_known_better_than_each_figure() -> None:
    front = found()
    for candidate in front.candidates:
        for name in NAMES:
            apart, own = front.certainty.apart[candidate.name][name], candidate.metrics[name]
            assert apart.mean == own.mean and apart.low < apart.mean < apart.high
            assert own.high - own.low > 50 * (apart.high - apart.low)
    blind = [replace(candidate, figures={}) for candidate in front.candidates]
    assert front_of(blind, NAMES, WAYS, REFERENCE).certainty.apart == {}


def test_records_hold_the_contenders_and_who_is_asked_for() -> None:
    sure = found().certainty
    data = json.loads(json.dumps(sure.to_json(), allow_nan=False))
    assert set(data["candidates"]) == {"base@10", "naive@10", "mixed@10"}
    assert len(data["candidates"]["mixed@10"]["differences"]["naive"]["loss.motion"]) == 3
    assert "bad@10" in sure.to_json(["bad@10"])["candidates"]
    shown = found().to_json()
    assert shown["hypervolume_interval"]["low"] < shown["hypervolume"]
    assert all("differences" in row and 0 <= row["probability_non_dominated"] <= 1 for row in shown["front"])


def test_without_candidates_or_intervals_nothing_is_claimed() -> None:
    assert front_of([], NAMES, WAYS, REFERENCE).certainty.to_json() == {"hypervolume": None, "candidates": {}}
    still = [replace(c, figures={}, metrics={n: replace(e, low=e.mean, high=e.mean) for n, e in c.metrics.items()})
             for c in found().candidates]  # fmt: skip
    sure = front_of(still, NAMES, WAYS, REFERENCE).certainty
    assert sure.hypervolume is not None and np.isnan(sure.hypervolume.low)
    assert np.isnan(sure.differences["mixed@10"]["naive"]["loss.looks"].low)
