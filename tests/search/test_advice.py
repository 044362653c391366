"""The recommendation says what was found, how far it is determined, and what it changes."""

from __future__ import annotations

from pathlib import Path

from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay.evaluation.report import Estimate
from drivereplay.search.advice import advice
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import front_of, load_front
from drivereplay.storage import Storage

NAMES = ("loss.looks", "loss.motion")


def row(trial: str, looks: float, motion: float, rho: float, weights: list[float], half: float = 0.01) -> Candidate:
    metrics = {n: Estimate(v, v - half, v + half, 9) for n, v in zip(NAMES, (looks, motion), strict=True)}
    setting = {"replay.frequency": rho, "replay.weights": weights}
    kind = "naive" if trial == "naive" else "trial"
    return Candidate(trial, 10, 0, kind, setting, metrics, protocol="p", status="finished", setting=trial)


def test_ranges_are_those_of_settings_that_cannot_be_told_apart() -> None:
    rows = [
        row("naive", 0.0, 1.0, 0.0, [0.5, 0.5]),
        row("t0", 0.2, 0.2, 0.2, [0.9, 0.1]),
        row("t1", 0.2, 0.2, 0.3, [0.85, 0.15]),
        row("t2", 1.0, 0.0, 0.6, [0.0, 1.0]),
        row("t3", 0.9, 0.9, 0.5, [1.0, 0.0]),
    ]
    front = front_of(rows, NAMES, ("min", "min"))
    assert front.knee is not None and front.knee.trial in ("t0", "t1")
    text = advice(front)
    assert "[0.2, 0.3]" in text and "[0.85, 0.9] of `domain 1`" in text
    assert "1 other settings cannot be told" in text
    assert "Against naive: loss.looks +0.2" in text and "loss.motion -0.8" in text


def test_weights_that_do_not_matter_are_not_determined() -> None:
    rows = [
        row("naive", 0.0, 1.0, 0.0, [0.5, 0.5]),
        *(row(f"t{n}", 0.2, 0.2, 0.2, [n / 9, 1 - n / 9]) for n in range(10)),
        row("u", 1.0, 0.0, 0.6, [0.0, 1.0]),
    ]
    assert "the weights are not determined" in advice(front_of(rows, NAMES, ("min", "min")))


def test_a_sweep_names_its_domains(tmp_path: Path) -> None:
    sweep_locally(experiment(tmp_path, trials=6), runner=Analytic())
    front = load_front(Storage.of(tmp_path / "probe"))
    text = advice(front)
    assert text == front.to_json()["advice"]
    assert "Against base:" in text and "Against naive:" in text
    assert "`a`" in text or "not determined" in text
    assert advice(front_of([], NAMES, ("min", "min"))) == ""
