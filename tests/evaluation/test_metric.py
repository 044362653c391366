from __future__ import annotations

import pytest

from drivereplay.errors import SpecError
from drivereplay.evaluation.metric import FAMILIES, ClipMetric, SetMetric, metric, metric_names

TABLE = {
    "fidelity.fvd", "fidelity.kvd", "fidelity.fvd_worlds", "fidelity.fid", "fidelity.lpips", "fidelity.psnr",
    "fidelity.ssim", "fidelity.sharpness", "fidelity.flicker", "agents.ade", "agents.fde", "agents.missing_rate",
    "agents.hallucinated_rate", "agents.flow_epe", "agents.iou", "agents.map", "agents.idf1", "agents.hota",
    "agents.relative_pose", "ego.rpe_rotation", "ego.rpe_translation", "ego.ade", "ego.ate", "ego.failure_rate",
}  # fmt: skip


def test_every_metric_of_the_table_is_there() -> None:
    assert set(metric_names()) >= TABLE


@pytest.mark.parametrize("name", metric_names())
def test_a_metric_declares_what_it_is(name: str) -> None:
    judge = metric(name)
    assert judge.name == name and name.split(".")[0] in FAMILIES
    assert judge.direction in ("min", "max") and judge.unit
    assert isinstance(judge, ClipMetric | SetMetric)
    assert len(judge.summary()) > 20 and judge.settings
    assert judge.better(1.0, 2.0) is (judge.direction == "min")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"'fidelity\.pnsr'.*fidelity\.psnr"):
        metric("fidelity.pnsr")
