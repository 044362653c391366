"""The tab in a real browser: what is drawn, what the hand and the keyboard do, what a link carries."""

from __future__ import annotations

import csv
import io
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.dashboards.helpers import Tab, write_sweep, writer

from drivereplay.search.front import hypervolume, knee_of, non_dominated

SCREENS = "[...document.querySelectorAll('.screens canvas')]"
MOUSE = """
const [kind, x, y, options] = arguments;
const host = document.querySelector(options.host ?? ".scatter");
const box = host.getBoundingClientRect();
host.setPointerCapture = () => {};
const place = {clientX: box.left + x, clientY: box.top + y};
host.dispatchEvent(new PointerEvent(kind, {...place, button: 0, pointerId: 1, bubbles: true, ...options}));
"""


CHANGE = """
const control = document.querySelector(arguments[0]);
control.value = arguments[1];
control.dispatchEvent(new Event(arguments[2]));
"""


@pytest.fixture(scope="module")
def sweep_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("tab") / "quick")


@pytest.fixture(scope="module")
def server(sweep_directory: Path, tensorboard: Callable[[Path], str]) -> str:
    return tensorboard(sweep_directory)


@pytest.fixture
def tab(browser: Any, server: str) -> Tab:
    return Tab(browser, server).open(count=24)


def expected_front(logdir: Path) -> tuple[list[str], float, str]:
    """Front, hypervolume and knee as the search computes them."""
    from tensorboard.context import RequestContext
    from tests.dashboards.helpers import provider

    from tensorboard_pareto.reader import Reader

    reader = Reader(provider(logdir))
    reader.refresh(RequestContext())
    found = [json.loads(data) for data in reader.page(limit=None).candidates]
    finished = [c for c in found if c["status"] == "finished"]
    points = np.array([[c["metrics"]["fidelity.psnr"][0], c["metrics"]["agents.ade"][0]] for c in finished])
    costs = points * [-1, 1]
    kept = np.flatnonzero(non_dominated(costs))
    order = kept[np.lexsort(costs[kept].T[::-1])]
    knee = knee_of(costs[order])
    assert knee is not None
    volume = hypervolume(points[order], (15.0, 0.5), ("max", "min"))
    return [finished[i]["name"] for i in order], volume, finished[order[knee]]["name"]


def test_the_right_candidates_are_on_the_front(browser: Any, server: str, sweep_directory: Path) -> None:
    tab = Tab(browser, server).open(count=24, framed=True)
    names, volume, knee = expected_front(sweep_directory)
    assert tab.front() == names
    shown = float(tab.one("[data-role=hypervolume]").get_attribute("data-value"))
    assert shown == pytest.approx(volume, rel=1e-9)
    assert tab.one("[data-role=front] tr:has(.knee)").get_attribute("data-candidate") == knee
    assert {b.get_attribute("data-candidate") for b in tab.all(".points .point")} == set(names)
    assert "1 stopped, 1 failed" in tab.one("[data-role=aside]").text
    assert tab.errors() == []


def test_no_request_leaves_the_machine(tab: Tab) -> None:
    hosts = set()
    for entry in tab.chrome.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent" and "/data/plugin/" in message["params"]["documentURL"]:
            hosts.add(urllib.parse.urlparse(message["params"]["request"]["url"]).hostname)
    tab_requests = tab.js("return performance.getEntriesByType('resource').map(e => new URL(e.name).hostname)")
    assert set(tab_requests) == {"127.0.0.1"}
    assert hosts <= {"127.0.0.1", None}


def test_hover_shows_figures_with_intervals(tab: Tab) -> None:
    name = tab.front()[0]
    x, y = centre(tab, name)
    tab.js(MOUSE, "pointermove", x, y, {})
    tip = tab.one(".tip")
    tab.until("return !document.querySelector('.tip').hidden")
    assert name in tip.text and "on the front" in tip.text
    assert "fidelity.psnr" in tip.text and "[" in tip.text and "replay.frequency" in tip.text
    tab.js(MOUSE, "pointerleave", 0, 0, {})
    assert tab.js("return document.querySelector('.tip').hidden")


def test_click_opens_the_candidate_with_videos_in_step(tab: Tab) -> None:
    choose(tab, "t0000@60")
    tab.until("return document.querySelectorAll('.screens canvas').length === 2")
    assert [f.text for f in tab.all(".screens figcaption")] == ["real", "t0000@60"]
    tab.until(f"return {SCREENS}.every(c => c.getContext('2d').getImageData(5, 5, 1, 1).data[3] === 255)")
    assert tab.one("[data-role=frame]").text == "1 / 6"
    tab.one("[aria-label='Frame forward']").click()
    tab.one("[aria-label='Frame forward']").click()
    assert tab.one("[data-role=frame]").text == "3 / 6"
    # the track of frame 2 lies over the generated video's noise: two places of its edge have the same colour
    fine = int(tab.all(".screens canvas")[1].get_attribute("data-fine"))
    pixel = f"{SCREENS}[1].getContext('2d').getImageData(arguments[0] * {fine}, arguments[1] * {fine}, 1, 1).data"
    places = [tab.js(f"return [...{pixel}]", x, y) for x, y in ((2, 4), (2, 7))]
    tab.one(".transport input[type=checkbox]").click()
    without = [tab.js(f"return [...{pixel}]", x, y) for x, y in ((2, 4), (2, 7))]
    assert places != without
    tab.until("return document.querySelectorAll('.chart[data-tag=\"loss/total\"]').length === 1")
    text = tab.one(".side").text
    assert "t0000" in text and "step 60" in text and "replay.frequency" in text
    assert tab.errors() == []


def test_two_candidates_are_compared_side_by_side(tab: Tab) -> None:
    choose(tab, "t0001@60")
    choose(tab, "t0002@60", ctrlKey=True)
    tab.until("return document.querySelectorAll('.screens canvas').length === 3")
    assert [f.text for f in tab.all(".screens figcaption")] == ["real", "t0001@60", "t0002@60"]
    assert len(tab.all(".facts .theirs")) > 3
    tab.one("[aria-label='Play']").click()
    tab.until("return document.querySelector('[data-role=frame]').textContent !== '1 / 6'")
    tab.one("[aria-label='Play']").click()
    tab.one("[aria-label='Stop comparing']").click()
    tab.until("return document.querySelectorAll('.screens canvas').length === 2")


def test_brush_filters_all_panes_and_escape_clears(tab: Tab) -> None:
    left, top, right, bottom = plot_box(tab)
    middle = (left + right) / 2
    tab.js(MOUSE, "pointerdown", left + 1, top + 1, {})
    tab.js(MOUSE, "pointermove", middle, bottom - 1, {})
    tab.js(MOUSE, "pointerup", middle, bottom - 1, {})
    tab.until("return document.querySelectorAll('[data-role=front] tr.faint').length > 0")
    faint = {row.get_attribute("data-candidate") for row in tab.all("[data-role=front] tr.faint")}
    assert faint and faint < set(tab.front())
    tab.one("[data-tab=table]").click()
    listed = {row.get_attribute("data-candidate") for row in tab.all(".table-scroll tbody tr")}
    assert listed.isdisjoint(faint) and listed
    assert "filters" in address(tab)
    tab.js("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    tab.until("return document.querySelectorAll('.table-scroll tbody tr').length === 24")
    assert tab.errors() == []


def test_brush_on_a_parameter_axis(tab: Tab) -> None:
    tab.until("return document.querySelector('.below canvas').width > 0")
    height = tab.js("return document.querySelector('.below').clientHeight")
    for kind, y in (("pointerdown", height - 21), ("pointermove", height / 2), ("pointerup", height / 2)):
        tab.js(MOUSE, kind, 60, y, {"host": ".below"})
    tab.until("return document.querySelectorAll('[data-role=front] tr.faint').length > 0")
    low, high = address(tab)["filters"]["parameter:replay.frequency"]
    assert low < 0.1 and 0.2 < high < 0.8
    tab.js(MOUSE, "pointerdown", 60, 40, {"host": ".below"})
    tab.js(MOUSE, "pointerup", 60, 40, {"host": ".below"})
    tab.until("return document.querySelectorAll('[data-role=front] tr.faint').length === 0")


def test_slider_replays_the_growth_of_the_front(tab: Tab, sweep_directory: Path) -> None:
    whole = tab.front()
    tab.js(CHANGE, ".until", 5, "input")
    tab.until("return document.querySelector('[data-role=until]').textContent.startsWith('5 of 24')")
    early = tab.front()
    assert set(early) <= {f"t{i:04d}@60" for i in range(5)} and early
    tab.js(CHANGE, ".until", 24, "input")
    tab.until("return document.querySelector('[data-role=until]').textContent.startsWith('24 of 24')")
    assert tab.front() == whole


def test_a_link_opens_the_same_view(browser: Any, server: str) -> None:
    tab = Tab(browser, server).open(count=24, framed=True)
    tab.js(CHANGE, "[data-control=y]", "metric:ego.ate", "change")
    tab.one("[data-tab=mix]").click()
    choose(tab, "t0003@60")
    front = "return [...document.querySelectorAll('.points .point')].map(p => p.dataset.candidate)"
    tab.until("return document.querySelector('[data-role=candidate]') !== null")
    before, link = tab.js(front), tab.js("return window.parent.location.href")
    again = Tab(tab.chrome, link).open(link.split("#", 1)[1], framed=True)
    assert again.one("[data-role=candidate]").text == "t0003@60"
    assert again.one("[data-control=y]").get_attribute("value") == "metric:ego.ate"
    assert "on" in again.one("[data-tab=mix]").get_attribute("class")
    assert again.js(front) == before


def test_a_mangled_link_shows_the_first_view(browser: Any, server: str) -> None:
    mangled = (
        "filters=%7Bnonsense",
        "x=metric:none",
        "until=-3",
        "sweeps=4",
        "__proto__=1",
        "zoom=%5B1%5D",
        "axes=null",
    )
    tab = Tab(browser, server).open("&".join(["pareto", *(f"p.pareto.{part}" for part in mangled)]), count=24)
    assert tab.one("[data-control=x]").get_attribute("value") == "metric:fidelity.psnr"
    assert len(tab.front()) > 1
    assert tab.errors() == []


def test_keyboard(tab: Tab) -> None:
    names = tab.front()
    press(tab, "ArrowRight")
    assert tab.one("[data-role=candidate]").text == names[0]
    press(tab, "ArrowRight")
    tab.until("return document.querySelector('[data-role=candidate]').textContent === arguments[0]", names[1])
    press(tab, "Escape")
    tab.until("return document.querySelector('[data-role=candidate]') === null")
    press(tab, "s")
    tab.until("return document.querySelector('[data-control=x]').value === 'metric:agents.ade'")
    press(tab, "3")
    assert tab.all(".table-scroll tbody tr")
    press(tab, "?")
    assert "walk along the front" in tab.one("dialog.help").text
    assert tab.errors() == []


def test_exports(tab: Tab) -> None:
    tab.js("document.querySelector('[data-control=csv]').click()")
    rows = list(csv.DictReader(io.StringIO(tab.downloaded("pareto-quick.csv").decode())))
    assert len(rows) == 24
    assert {row["candidate"] for row in rows if row["front"] == "true"} == set(tab.front())
    assert float(rows[0]["fidelity.psnr.low"]) < float(rows[0]["fidelity.psnr"])
    tab.js("document.querySelector('[data-control=svg]').click()")
    import xml.etree.ElementTree as ElementTree

    picture = ElementTree.fromstring(tab.downloaded("pareto-quick.svg"))
    assert len(picture.findall(".//{http://www.w3.org/2000/svg}circle")) >= 20
    tab.js("document.querySelector('[data-control=png]').click()")
    image = Image.open(io.BytesIO(tab.downloaded("pareto-quick.png")))
    assert image.size == (1920, 1240) and len(image.convert("RGB").getcolors(1 << 24) or ()) > 50
    choose(tab, "t0002@60")
    tab.until("return document.querySelector('.panel-head button') !== null")
    tab.js("document.querySelector('.panel-head button').click()")
    assert tab.downloaded("t0002@60-spec.yaml") == b"name: t0002\nseed: 0\n"


def test_a_reference_point_outside_the_picture_is_pointed_at(browser: Any, server: str) -> None:
    for zoom, label in (("[10,20,0.1,0.6]", "reference"), ("[16,20,0.1,0.4]", "reference ↖")):
        fragment = f"pareto&p.pareto.zoom={urllib.parse.quote(zoom)}"
        tab = Tab(browser, server).open(fragment, count=24)
        tab.js("document.querySelector('[data-control=svg]').click()")
        assert f">{label}</text>" in tab.downloaded("pareto-quick.svg").decode()


def test_dark_mode_is_tensorboards_own(browser: Any, server: str) -> None:
    tab = Tab(browser, server).open(query="?darkMode=true", framed=True)
    assert tab.js("return getComputedStyle(document.body).backgroundColor") == "rgb(48, 48, 48)"
    tab.js("window.parent.document.body.classList.remove('dark-mode')")
    tab.until("return getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'")


def test_three_objectives(browser: Any, server: str) -> None:
    tab = Tab(browser, server).open("pareto&p.pareto.third=metric%3Aego.ate")
    three = tab.front()
    assert len(three) >= len(Tab(browser, server).open().front())
    tab = tab.open("pareto&p.pareto.third=metric%3Aego.ate&p.pareto.thirdAs=colour")
    assert tab.one("[data-control=colour]").get_attribute("value") == "metric:ego.ate"
    assert tab.front() == three


def test_seeds_of_one_setting_as_one(browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]) -> None:
    from tensorboard_pareto import add_candidate

    with writer(tmp_path / "sweep") as opened:
        for seed in range(4):
            add_candidate(opened, {"a": 1}, {"x": 1.0 + 0.1 * seed, "y": 2.0 - 0.1 * seed}, name=f"a{seed}", seed=seed)
        add_candidate(opened, {"a": 2}, {"x": 5.0, "y": 0.5}, name="b", seed=0)
    server = tensorboard(tmp_path)
    assert len(Tab(browser, server).open(count=5).front()) == 5
    tab = Tab(browser, server).open("pareto&p.pareto.seeds=merged", count=5)
    assert len(tab.front()) == 2
    assert tab.errors() == []


def test_front_mathematics_agrees_with_the_search(tab: Tab) -> None:
    random = np.random.default_rng(5)
    for m in (2, 3):
        for n in (1, 2, 3, 7, 60):
            costs = np.round(random.uniform(size=(n, m)), 1 if n > 7 else 3)
            reference = [0.9] * m
            script = (
                "const done = arguments[2];"
                "import('./front.js').then(f => { const kept = f.nonDominated(arguments[0]);"
                "const front = arguments[0].filter((_, i) => kept[i]).sort(f.compare);"
                "done([kept, f.hypervolume(arguments[0], arguments[1]), f.knee(front),"
                "f.hypervolumeHistory(arguments[0], arguments[1]).at(-1)]) })"
            )
            kept, volume, knee, last = tab.chrome.execute_async_script(script, costs.tolist(), reference)
            expected = non_dominated(costs)
            assert kept == expected.tolist()
            assert volume == pytest.approx(hypervolume(costs, reference, ["min"] * m))
            assert last == pytest.approx(volume)
            front = costs[expected]
            front = front[np.lexsort(front.T[::-1])]
            assert knee == knee_of(front)


POINT = "[...document.querySelectorAll('.point')].find(p => p.dataset.candidate === arguments[0])"


def centre(tab: Tab, name: str) -> tuple[float, float]:
    """Where a point of the front is, seen from the picture's corner."""
    tab.until(f"return {POINT} !== undefined", name)
    x, y = tab.js(f"return [parseFloat({POINT}.style.left), parseFloat({POINT}.style.top)]", name)
    return x, y


def choose(tab: Tab, name: str, **options: bool) -> None:
    """Click a row of the table."""
    script = """
    const rows = [...document.querySelectorAll('.table-scroll tbody tr')];
    const row = rows.find(r => r.dataset.candidate === arguments[0]);
    row.dispatchEvent(new MouseEvent('click', {bubbles: true, ...arguments[1]}));
    """
    below = tab.js("return document.querySelector('.tab.on').dataset.tab")
    tab.js("document.querySelector('[data-tab=table]').click()")
    tab.until("return document.querySelectorAll('.table-scroll tbody tr').length > 0")
    tab.js(script, name, options)
    tab.js("document.querySelector(`[data-tab=${arguments[0]}]`).click()", below)


def press(tab: Tab, key: str) -> None:
    tab.js("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))", key)


def plot_box(tab: Tab) -> list[float]:
    """Left, top, right, bottom of the area between the axes."""
    width, height = tab.js("const s = document.querySelector('.scatter'); return [s.clientWidth, s.clientHeight]")
    return [66, 14, width - 78, height - 44]


def address(tab: Tab) -> dict[str, Any]:
    """What the address says."""
    fragment = tab.js("return (window.parent ?? window).location.hash").removeprefix("#")
    pairs = [part.partition("=") for part in fragment.split("&") if part.startswith("p.pareto.")]
    found: dict[str, Any] = {}
    for key, _, value in pairs:
        text = urllib.parse.unquote(value)
        found[key.removeprefix("p.pareto.")] = json.loads(text) if text[:1] in "[{" else text
    return found
