"""Laws over mixes: found back from their own figures, and honest about their error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.search.problems import experiment

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.predictor import MixingLaw, Predictor, critical_frequency, fit_law, shares_of
from drivereplay.spec import with_values

LAW = MixingLaw(1.0, 0.5, 0.3, np.array([0.2, -2.0, -0.5, 0.1]), 0.0, 1.0)


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(4), count), generator.choice([0.25, 0.5, 1.0], count)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_law_is_found_back_from_its_own_figures(sign: float) -> None:
    truth = MixingLaw(sign, 0.5, 0.3, LAW.pulls, 0.0, 1.0)
    shares, progress = drawn(40)
    law = fit_law(shares, progress, truth.predict(shares, progress))
    new, later = drawn(200, 1)
    assert law.predict(new, later) == pytest.approx(truth.predict(new, later), abs=0.05)
    assert law.error < 0.05 * law.spread


def test_the_error_tells_noise(tmp_path: Path) -> None:
    shares, progress = drawn(60)
    noise = np.random.default_rng(2).normal(0, 0.2, 60)
    law = fit_law(shares, progress, LAW.predict(shares, progress) + noise)
    assert 0.15 < law.error < 0.35
    with pytest.raises(SpecError, match="needs 4 finished candidates, there are 3"):
        fit_law(shares[:3], progress[:3], noise[:3])


def test_the_critical_frequency_is_where_the_tolerance_is_used_up() -> None:
    rising = MixingLaw(1.0, 0.0, 0.0, np.array([0.0, 1.0, 1.0, 1.0]), 0.0, 1.0)  # L = exp(ρ)
    mix = (1 / 3, 1 / 3, 1 / 3)
    assert critical_frequency(rising, "min", mix, np.exp(0.4) - 1) == pytest.approx(0.4, abs=0.002)
    assert critical_frequency(rising, "max", mix, 0.0) == 1.0  # it only gets better
    assert critical_frequency(rising, "min", mix, 0.0) == 0.0


def test_shares_are_those_of_the_whole_run(tmp_path: Path) -> None:
    spec = with_values(experiment(tmp_path), {"replay.frequency": 0.2, "replay.weights": [2, 1, 1]})
    assert shares_of(spec) == pytest.approx([0.8, 0.1, 0.05, 0.05])
    assert shares_of(with_values(spec, {"replay.frequency_end": 0.4}))[0] == pytest.approx(0.7)


def test_a_predicted_front_is_near_the_true_one(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    other = MixingLaw(1.0, 0.1, 0.2, np.array([-1.5, 0.5, 0.3, 0.0]), 0.0, 1.0)
    generator = np.random.default_rng(0)
    rows = []
    for i in range(30):
        setting = {
            "replay.frequency": float(generator.random()),
            "replay.weights": generator.dirichlet(np.ones(3)).tolist(),
        }
        q = shares_of(with_values(spec, setting))[None]
        figures = [float(law.predict(q, np.ones(1))[0]) for law in (LAW, other)]
        metrics = {n: Estimate(v, v, v, 1) for n, v in zip(spec.search.objectives, figures, strict=True)}
        rows.append(Candidate(f"t{i}", 30, 0, "trial", setting, metrics, protocol="p", status="finished"))
    predictor = Predictor.of(spec, ("min", "min"), rows)
    found = predictor.predicted_front(spec, points=128)
    assert len(found) >= 3
    for setting, figures in found:
        q = shares_of(with_values(spec, setting))[None]
        truth = [float(law.predict(q, np.ones(1))[0]) for law in (LAW, other)]
        assert figures == pytest.approx(truth, abs=0.1)
    assert set(predictor.to_json(spec)["laws"]) == set(spec.search.objectives)
