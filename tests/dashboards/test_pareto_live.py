"""The tab while data comes in, with several sweeps, with hostile data, and saved as a page."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dashboards.helpers import Tab, write_sweep, writer

from tensorboard_pareto import add_candidate, add_setup, add_video
from tensorboard_pareto.static_page import write_page

TEN_LINES = """
import math, random, sys
from torch.utils.tensorboard import SummaryWriter
from tensorboard_pareto import add_candidate

random.seed(0)
for trial in range(20):
    rate = 10 ** random.uniform(-5, -2)
    with SummaryWriter(f"{sys.argv[1]}/trial-{trial}") as writer:
        writer.add_scalar("loss", rate, 0)
        add_candidate(writer, {"rate": rate}, {"error": abs(math.log10(rate) + 3), "seconds": 1 / rate})
"""


def test_a_log_directory_of_a_ten_line_script(
    browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str], project_root: Path
) -> None:
    assert TEN_LINES.strip() in (project_root / "platform/docs/dashboards.md").read_text(encoding="utf-8")
    subprocess.run([sys.executable, "-c", TEN_LINES, str(tmp_path)], check=True)
    tab = Tab(browser, tensorboard(tmp_path)).open(count=20)
    assert tab.one("[data-control=x]").get_attribute("value") == "metric:error"
    assert len(tab.front()) >= 2
    assert tab.errors() == []


def test_an_empty_log_directory_says_what_to_do_and_then_fills(
    browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]
) -> None:
    tab = Tab(browser, tensorboard(tmp_path)).open()
    assert "add_candidate(writer" in tab.one(".blank").text
    with writer(tmp_path) as opened:
        add_candidate(opened, {"a": 1}, {"x": 1.0, "y": 2.0}, name="first")
        opened.flush()
        tab.until("return document.querySelector('.pareto').dataset.candidates === '1'")
        assert tab.front() == ["first"]
        add_candidate(opened, {"a": 2}, {"x": 0.5, "y": 1.0}, name="better")
        opened.flush()
        tab.until("return document.querySelector('[data-role=front] tbody').textContent.includes('better')")
    assert tab.front() == ["better"]
    assert tab.errors() == []


def test_sweeps_of_one_protocol_are_overlaid_others_refused(
    browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]
) -> None:
    write_sweep(tmp_path / "one", count=10)
    write_sweep(tmp_path / "two", count=10, seed=1)
    write_sweep(tmp_path / "other", count=10, seed=2, protocol={"clips": 48, "fps": 8})
    tab = Tab(browser, tensorboard(tmp_path)).open("pareto&p.pareto.sweeps=%5B%22one%2Fsweep%22%2C%22two%2Fsweep%22%5D")
    tab.until("return document.querySelectorAll('[data-role=front]').length === 2")
    assert "Front of one" in tab.one(".side").text and "Front of two" in tab.one(".side").text
    assert not tab.all("[data-role=refused]")
    tab.js("document.querySelector('[data-sweep=\"other/sweep\"] input').click()")
    refusal = tab.one("[data-role=refused]").text
    assert "clips: 48 instead of 24" in refusal and "fps" not in refusal
    assert len(tab.all("[data-role=front]")) == 2
    tab.js("[...document.querySelectorAll('[data-role=refused] button')].at(-1).click()")
    tab.until("return document.querySelectorAll('[data-role=front]').length === 1")
    assert tab.errors() == []


def test_scripts_in_names_do_nothing(browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]) -> None:
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    values = [
        evil,
        "';window.hacked=1;//",
        '"><svg onload=window.hacked=1>',
        "🚗 ρ",
        "=1+1",
        "../../x",
        "</script><script>window.hacked=1</script>",
    ]
    with writer(tmp_path / "sweep") as opened:
        add_setup(opened, objectives=[evil, "y"], units={evil: evil}, title=evil, mix=[evil], protocol={evil: evil})
        for i, name in enumerate(values):
            metrics = {evil: float(i), "y": float(-i), "nan": float("nan")}
            add_candidate(opened, {evil: name, "b": i}, metrics, name=name, kind=evil, trial=evil, settings=evil)
            track = {"frame": 0, "id": 1, "box": (0, 0, 2, 2), "label": evil}
            add_video(opened, name, evil, np.zeros((2, 8, 8, 3), np.uint8), fps=2, tracks=[track])
        add_candidate(opened, {evil: 1}, {evil: float("inf"), "y": 1.0}, name="infinite")
    tab = Tab(browser, tensorboard(tmp_path)).open(count=8)
    assert set(tab.front()) == set(values)
    for below in ("table", "mix", "parameters"):
        tab.js("document.querySelector(`[data-tab=${arguments[0]}]`).click()", below)
    tab.js("document.querySelector('[data-role=front] tbody tr').click()")
    tab.until("return document.querySelectorAll('.screens canvas').length > 0")
    assert tab.one("[data-role=candidate]").text in values
    tab.js("document.querySelector('[data-control=svg]').click()")
    assert tab.js("return [window.hacked, window.parent.hacked]") == [None, None]
    assert not tab.all("img") and not tab.all(".pareto script")
    tab.js("document.querySelector('.panel-head [aria-label=Close]').click()")
    assert "infinite" in tab.one("[data-role=aside]").text
    page = tmp_path / "page.html"
    write_page(tmp_path, page, title=evil)
    browser.switch_to.default_content()
    browser.get(page.as_uri())
    still = Tab(browser, "")
    still.until("return document.querySelector('.pareto')?.dataset.ready === 'true'")
    assert still.js("return window.hacked") is None


def test_candidates_lacking_a_metric_stand_aside(
    browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]
) -> None:
    with writer(tmp_path) as opened:
        add_candidate(opened, {"a": 1}, {"x": 1.0, "y": 1.0}, name="whole")
        add_candidate(opened, {"a": 2}, {"x": 0.5}, name="half")
        add_candidate(opened, {"a": 3}, {"x": float("nan"), "y": 0.1}, name="unknown")
        add_candidate(opened, {}, {}, name="nothing")
    tab = Tab(browser, tensorboard(tmp_path)).open(count=4)
    assert tab.front() == ["whole"]
    aside = tab.one("[data-role=aside]").text
    assert "3 without a finite value" in aside and "half" in aside and "unknown" in aside
    assert tab.errors() == []


def test_the_saved_page_is_the_same_tab_without_a_server(browser: Any, tmp_path: Path) -> None:
    logdir = write_sweep(tmp_path / "quick")
    page = tmp_path / "page.html"
    assert write_page(logdir, page) == 24
    browser.switch_to.default_content()
    browser.get_log("browser")
    browser.get(page.as_uri())
    tab = Tab(browser, "")
    tab.until("return document.querySelector('.pareto')?.dataset.ready === 'true'")
    assert len(tab.front()) > 2
    tab.js("document.querySelector('[data-tab=table]').click()")
    tab.js("document.querySelector('.table-scroll [data-candidate=\"t0000@60\"]').click()")
    tab.until("return document.querySelectorAll('.screens canvas').length === 2")
    tab.until("return document.querySelectorAll('.chart').length === 1")
    tab.js("document.querySelector('.panel-head button').click()")
    assert tab.downloaded("t0000@60-spec.yaml") == b"name: t0000\nseed: 0\n"
    names = tab.js("return performance.getEntriesByType('resource').map(e => e.name)")
    requests = [name for name in names if not name.startswith(("data:", "blob:"))]
    assert requests == []
    assert tab.errors() == []


@pytest.mark.slow
def test_thousands_of_runs(browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]) -> None:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for i in range(2000):
        opened = EventFileWriter(str(tmp_path / f"run-{i:04d}"))
        add_candidate(opened, {"i": i}, {"x": float(i % 97), "y": float(-i)}, name=f"c{i}")
        opened.close()
    tab = Tab(browser, tensorboard(tmp_path)).open(count=2000)
    # the last whole round of 97 and what came after it: with every step x is worse and y is better
    assert tab.front() == [f"c{i}" for i in range(1940, 2000)]
    assert tab.errors() == []
