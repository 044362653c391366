"""Figures for Prometheus, read back from Ray's own metrics endpoint; the boards that are drawn from them."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from drivereplay import telemetry

BOARDS = ("sweep", "training", "data")


def exported() -> str:
    """What a Prometheus would scrape from this node."""
    import ray

    (node,) = ray.nodes()
    with urllib.request.urlopen(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics") as answer:
        return str(answer.read().decode())


def test_figures_reach_the_metrics_endpoint(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_totals", {})  # earlier tests of this process have asked caches
    for name, instrument in telemetry.GAUGES.items():
        telemetry.gauge(name, 0.25, **dict.fromkeys(instrument.tags, "telemetry-test"))
    telemetry.total("drivereplay_cache_clips", 3, result="hit")
    telemetry.total("drivereplay_cache_clips", 4, result="hit")
    drawn = {"driving": 12, "street": 4}
    telemetry.training_step("t8", "t0003", step=7, loss=0.5, samples=16, seconds=0.5, waited_s=0.1, drawn=drawn)
    wanted = [rf"ray_{name}\{{" for name in telemetry.GAUGES]
    # the values, not the names alone: other processes of the session export the same names, and a total grows
    wanted += [
        r'ray_drivereplay_cache_clips\{[^}]*result="hit"[^}]*\} 7.0',
        r'ray_drivereplay_training_share\{[^}]*domain="street"[^}]*\} 0.25',
        r'ray_drivereplay_training_samples_per_second\{[^}]*run="t8"[^}]*trial="t0003"[^}]*\} 32.0',
    ]
    deadline = time.monotonic() + 120
    text = ""
    while missing := [pattern for pattern in wanted if not re.search(pattern, text)]:
        assert time.monotonic() < deadline, missing
        text = exported()


def test_unknown_names_and_tags_are_refused() -> None:
    with pytest.raises(KeyError):
        telemetry.gauge("drivereplay_nonsense", 1.0)
    with pytest.raises(KeyError, match="has the tags"):
        telemetry.gauge("drivereplay_sweep_front_size", 1.0, sweep="x")


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_names_only_figures_that_exist(board: str, project_root: Path) -> None:
    data = json.loads((project_root / f"dashboards/grafana/boards/{board}.json").read_text(encoding="utf-8"))
    assert data["title"] and data["uid"] and data["panels"]
    ids = [panel["id"] for panel in data["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in data["panels"]:
        expressions = [target["expr"] for target in panel.get("targets", ())]
        assert expressions, panel["title"]
        for expression in expressions:
            names = re.findall(r"\bray_(\w+)", expression)
            assert names and set(names) <= set(telemetry.GAUGES), expression
            for name in names:
                labels = set(re.findall(r"(?:by|legend) \(([^)]*)\)", expression))
                used = {label.strip() for group in labels for label in group.split(",")}
                assert used <= set(telemetry.GAUGES[name].tags), expression


def test_every_figure_is_on_a_board(project_root: Path) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (project_root / "dashboards/grafana/boards").iterdir())
    assert {name for name in telemetry.GAUGES if f"ray_{name}" not in text} == set()


def test_provisioning_files_point_at_what_is_there(project_root: Path) -> None:
    root = project_root / "dashboards" / "grafana"
    provider = yaml.safe_load((root / "provisioning/dashboards/drivereplay.yaml").read_text(encoding="utf-8"))
    source = yaml.safe_load((root / "provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8"))
    assert provider["apiVersion"] == source["apiVersion"] == 1
    assert Path(provider["providers"][0]["options"]["path"]).name == "boards"
    (datasource,) = source["datasources"]
    for board in BOARDS:
        data = json.loads((root / f"boards/{board}.json").read_text(encoding="utf-8"))
        assert {panel["datasource"]["uid"] for panel in data["panels"]} == {datasource["uid"]}
