"""The routes, asked directly."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tensorboard.plugins.base_plugin import TBContext
from tests.dashboards.helpers import provider, write_sweep
from werkzeug.test import Client, TestResponse

from tensorboard_pareto.plugin import ParetoLoader, ParetoPlugin, frontend_files


def ask(plugin: ParetoPlugin, route: str, **query: Any) -> TestResponse:
    return Client(plugin.get_plugin_apps()[route]).get("/", query_string=query)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> ParetoPlugin:
    logdir = write_sweep(tmp_path_factory.mktemp("plugin") / "quick")
    made = ParetoPlugin(TBContext(data_provider=provider(logdir), logdir=str(logdir)))
    # the first poll may be answered before the listing is done
    reader = made._reader(type("Request", (), {"environ": {}})())
    assert reader is not None
    from tensorboard.context import RequestContext

    reader.refresh(RequestContext())
    return made


def test_candidates_then_only_news(plugin: ParetoPlugin) -> None:
    answer = ask(plugin, "/candidates")
    assert answer.status_code == 200
    page = json.loads(answer.data)
    assert len(page["candidates"]) == 24
    assert page["setups"]["sweep"]["objectives"] == ["fidelity.psnr", "agents.ade"]
    again = json.loads(ask(plugin, "/candidates", since=page["version"], epoch=page["epoch"]).data)
    assert again["candidates"] == [] and not again["more"]
    nonsense = json.loads(ask(plugin, "/candidates", since="x", epoch="y").data)
    assert len(nonsense["candidates"]) == 24


def test_details(plugin: ParetoPlugin) -> None:
    assert ask(plugin, "/settings", run="sweep", name="t0002@60").text == "name: t0002\nseed: 0\n"
    assert "trials/t0000" in json.loads(ask(plugin, "/curves", run="sweep", name="t0000@60").data)
    videos = json.loads(ask(plugin, "/videos", run="sweep", name="t0001@60").data)
    strip = ask(plugin, "/strip", key=videos[0]["key"])
    assert strip.mimetype == "image/png" and strip.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("route", "query"),
    [
        ("/settings", {"run": "../..", "name": "passwd"}),
        ("/settings", {"run": "/etc", "name": "../../../../etc/passwd"}),
        ("/strip", {"key": "/etc/passwd"}),
        ("/strip", {"key": "../../../../etc/passwd"}),
        ("/strip", {"key": ""}),
        ("/strip", {"key": "WyIiLCIvZXRjIiwicGFzc3dkIiwicGFyZXRvIiwwLDBd"}),
    ],
)
def test_nothing_outside_the_log_directory(plugin: ParetoPlugin, route: str, query: dict[str, str]) -> None:
    answer = ask(plugin, route, **query)
    assert answer.status_code == 404
    assert b"root:" not in answer.data


def test_files_are_served_by_name_only(plugin: ParetoPlugin) -> None:
    routes = plugin.get_plugin_apps()
    assert "/index.js" in routes and "/style.css" in routes
    assert not any(".." in route or route.endswith(("/*", ".py")) for route in routes)
    answer = Client(routes["/index.js"]).get("/")
    assert answer.mimetype == "text/javascript"


def test_the_frontend_asks_no_other_host_and_uses_nothing_the_policy_forbids() -> None:
    for name, data in frontend_files().items():
        text = data.decode()
        # the one address is the name of a namespace; nothing is asked there
        assert set(re.findall(r"\w+://[^\"'`\s]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert forbidden not in text, f"{name} uses {forbidden}"
        assert len(text.splitlines()) <= 400, name


def test_without_a_data_provider_the_tab_says_so() -> None:
    plugin = ParetoPlugin(TBContext(data_provider=None))
    assert json.loads(ask(plugin, "/candidates").data)["problems"]
    assert ask(plugin, "/settings", run="", name="").status_code == 404
    assert ask(plugin, "/strip", key="x").status_code == 404
    assert json.loads(ask(plugin, "/curves").data) == {}


def test_an_empty_log_directory_has_no_candidates(tmp_path: Path) -> None:
    plugin = ParetoPlugin(TBContext(data_provider=provider(tmp_path)))
    assert json.loads(ask(plugin, "/candidates").data)["candidates"] == []
    assert not plugin.is_active()


def test_two_entry_points_give_one_plugin() -> None:
    one, other = TBContext(), TBContext()
    assert isinstance(ParetoLoader().load(one), ParetoPlugin)
    assert ParetoLoader().load(one) is None
    assert isinstance(ParetoLoader().load(other), ParetoPlugin), "another TensorBoard of the process has its own"
