"""Early stopping in a real Ray Tune: honest low-step candidates that never count as finished."""

from __future__ import annotations

from pathlib import Path

from optuna.trial import TrialState
from tests.search.problems import Analytic, experiment
from tests.search.test_sweep import states

from drivereplay.search.sweep import sweep


def test_stopped_trials_keep_their_candidates_and_never_count(ray_session: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    spec = experiment(
        tmp_path, trials=9, every=5, steps=30, concurrent=2, sampler="random", anchors=["base", "naive"],
        scheduler={"grace": 1, "reduction": 3.0},
    )  # fmt: skip
    front = sweep(spec, runner=Analytic(log=log), show_progress=False)
    trials = {c.trial for c in front.candidates if c.kind == "trial"}
    assert len(trials) == 9
    last = {t: max((c for c in front.candidates if c.trial == t), key=lambda c: c.step) for t in trials}
    stopped = {t for t, c in last.items() if c.status == "stopped"}
    assert 2 <= len(stopped) <= 8
    for trial in trials:
        rows = [c for c in front.candidates if c.trial == trial]
        assert {c.status for c in rows} == ({"stopped"} if trial in stopped else {"finished"})
        assert last[trial].step in ((5, 15) if trial in stopped else (30,))
        if trial in stopped:
            assert "stopped early" in rows[0].reason and rows[0].metrics
    assert not {c.trial for c in front.front} & stopped
    assert all(c.status == "finished" for c in front.candidates if c.kind in ("base", "naive"))
    found = states(tmp_path / "probe")
    assert TrialState.RUNNING not in found.values()
    assert {name for name, state in found.items() if state == TrialState.PRUNED} >= stopped
