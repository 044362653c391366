"""The Pareto tab with 10,000 candidates of 20 metrics: `python tests/bench/bench_pareto_tab.py`.

All times are wall times. The first picture counts from the last byte of the data (the browser's own resource timing)
to the end of the frame that shows it; an event from its dispatch to the end of the frame that shows what it changed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

COUNT = 10_000
EVENTS = 20
DRAG = """
const [kind, done] = arguments;
const host = document.querySelector(".scatter");
const box = host.getBoundingClientRect();
host.setPointerCapture = () => {};
const send = (type, x, y) => host.dispatchEvent(
  new PointerEvent(type, {clientX: box.left + x, clientY: box.top + y, button: 0, pointerId: 1, bubbles: true}));
const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
(async () => {
  const times = [];
  if (kind === "brush") send("pointerdown", 200, 100);
  for (let i = 0; i < EVENTS; i++) {
    const begun = performance.now();
    send("pointermove", 240 + 20 * i, 130 + 8 * i);
    await frame();
    times.push(performance.now() - begun);
  }
  if (kind === "brush") {
    send("pointerup", 620, 282);
    await frame();
    document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
    await frame();
  }
  done(times);
})();
""".replace("EVENTS", str(EVENTS))
FIRST = """
const asked = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/candidates?"));
const [painted] = performance.getEntriesByName("pareto-picture");
const arrived = asked.filter((entry) => entry.responseEnd < painted.startTime).at(-1).responseEnd;
return painted.startTime - arrived;
"""
REDRAWN = """
const done = arguments[0];
const begun = performance.now();
document.querySelector("[aria-label='Swap the axes']").click();
requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
"""


def write(directory: Path) -> None:
    """Candidates that trade the first metric for the second."""
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    from tensorboard_pareto import add_candidate

    random = np.random.default_rng(0)
    writer = EventFileWriter(str(directory))
    for i in range(COUNT):
        rho = float(random.uniform())
        values = {f"metric{k}": float(random.normal()) for k in range(18)}
        values |= {"fvd": 100 + 100 * rho + 20 * abs(float(random.normal())), "ade": 0.4 - 0.3 * rho**0.5}
        metrics = {name: (value, value - 0.1, value + 0.1, 64) for name, value in values.items()}
        shares = dict(zip(("mix.a", "mix.b", "mix.c"), map(float, random.dirichlet([1, 1, 1])), strict=True))
        parameters = {"replay.frequency": rho, "rate": float(random.uniform()), **shares}
        add_candidate(writer, parameters, metrics, name=f"t{i}")
    writer.close()


def first_pictures(chrome: Any, address: str, fragment: str) -> list[float]:
    """Milliseconds from the data to the picture, of three loads."""
    found = []
    for _ in range(3):
        chrome.get("about:blank")
        chrome.get(f"{address}#{fragment}")
        while not chrome.execute_script("return performance.getEntriesByName('pareto-picture').length"):
            time.sleep(0.1)
        shown = chrome.execute_script("return document.querySelector('.pareto').dataset.candidates")
        assert shown == str(COUNT), f"{shown} candidates"
        found.append(float(chrome.execute_script(FIRST)))
    return found


def main() -> None:
    """Print the table."""
    from selenium import webdriver

    from drivereplay.dashboard.serve import start

    rows: list[tuple[str, list[float], int]] = []
    with tempfile.TemporaryDirectory() as logdir, tempfile.TemporaryDirectory() as profile:
        write(Path(logdir))
        url = start(logdir, port=0).split("#")[0]
        candidates = f"{url}data/plugin/pareto/candidates"
        version, epoch = 0, None
        while version < COUNT:  # until the backend has read everything
            with urllib.request.urlopen(f"{candidates}?since={version}&epoch={epoch or 0}") as answer:
                page = json.load(answer)
            version, epoch = page["version"], page["epoch"]
        polls = []
        for _ in range(EVENTS):
            begun = time.monotonic()
            urllib.request.urlopen(f"{candidates}?since={version}&epoch={epoch}").read()
            polls.append(1000 * (time.monotonic() - begun))
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        switches = "headless no-sandbox disable-gpu window-size=1280,720 disable-sync no-first-run"
        for argument in (*switches.split(), "disable-background-networking", f"user-data-dir={profile}"):
            options.add_argument(f"--{argument}")
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        address = f"{url}data/plugin_entry.html?name=pareto"
        try:
            chrome.set_script_timeout(120)
            third = "pareto&p.pareto.third=metric%3Ametric0"
            rows.append(("first picture after the data", first_pictures(chrome, address, "pareto"), 1000))
            rows.append(("the same with three objectives", first_pictures(chrome, address, third), 1000))
            for pane in ("parameters", "mix"):
                chrome.get("about:blank")
                chrome.get(f"{address}#pareto&p.pareto.below={pane}")
                while not chrome.execute_script("return performance.getEntriesByName('pareto-picture').length"):
                    time.sleep(0.1)
                for kind in ("hover", "brush"):
                    times = chrome.execute_async_script(DRAG, kind)
                    rows.append((f"{kind}, {pane} below", [float(t) for t in times], 50))
            rows.append(("axes swapped", [float(chrome.execute_async_script(REDRAWN)) for _ in range(3)], 1000))
        finally:
            chrome.quit()
        rows.append(("poll without news", polls, 100))
    print(f"| {COUNT} candidates of 20 metrics, ms | median | worst | at most | worst / at most |")
    print("| --- | --- | --- | --- | --- |")
    for name, values, most in rows:
        worst = max(values)
        print(f"| {name} | {statistics.median(values):.1f} | {worst:.1f} | {most} | {worst / most:.2f} |")


if __name__ == "__main__":
    main()
