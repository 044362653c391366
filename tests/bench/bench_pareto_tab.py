"""The Pareto tab with 10,000 candidates of 20 metrics: `python tests/bench/bench_pareto_tab.py`.

Wall times: the first picture counts from the last byte of the data (the browser's own resource timing) to the end of
the frame that shows it, an event from its dispatch to the end of the frame that shows what it changed. A busy machine
makes them longer, so beside them stands the CPU time of the browser's main thread; for the first picture it is that of
the whole load, from the address to the picture.
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


class Page:
    """The tab in a browser, with what it costs.

    Args:
        chrome: The browser.
        address: Of the tab alone, without a fragment.
    """

    def __init__(self, chrome: Any, address: str) -> None:
        self.chrome = chrome
        self.address = address
        chrome.get(address.replace("plugin_entry.html", "environment"))  # same origin, so that the process stays
        chrome.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

    def cpu_ms(self) -> float:
        """CPU time of the main thread so far."""
        metrics = self.chrome.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return 1000 * float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

    def load(self, fragment: str) -> tuple[float, float]:
        """Milliseconds from the data to the picture, and CPU time of the whole load."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.chrome.get(self.address.replace("plugin_entry.html", "environment"))
        before = self.cpu_ms()
        self.chrome.get(f"{self.address}#{fragment}")
        shown_yet = "return performance.getEntriesByName('pareto-picture').length"
        WebDriverWait(self.chrome, 120, poll_frequency=0.1).until(lambda chrome: chrome.execute_script(shown_yet))
        cpu = self.cpu_ms() - before
        shown = self.chrome.execute_script("return document.querySelector('.pareto').dataset.candidates")
        assert shown == str(COUNT), f"{shown} candidates"
        return float(self.chrome.execute_script(FIRST)), cpu

    def events(self, kind: str) -> tuple[list[float], float]:
        """Milliseconds of each event, and CPU time of one."""
        before = self.cpu_ms()
        times = self.chrome.execute_async_script(DRAG, kind)
        return [float(t) for t in times], (self.cpu_ms() - before) / len(times)


def main() -> None:
    """Print the table."""
    from selenium import webdriver

    from drivereplay.dashboard.serve import start

    rows: list[tuple[str, list[float], float | None, int]] = []
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
            tab = Page(chrome, address)
            third = "pareto&p.pareto.third=metric%3Ametric0"
            for name, fragment in (("first picture after the data", "pareto"), ("the same, three objectives", third)):
                loads = [tab.load(fragment) for _ in range(3)]
                cpu = statistics.median(load[1] for load in loads)
                rows.append((name, [load[0] for load in loads], cpu, 1000))
            for pane in ("parameters", "mix"):
                tab.load(f"pareto&p.pareto.below={pane}")
                for kind in ("hover", "brush"):
                    rows.append((f"{kind}, {pane} below", *tab.events(kind), 50))
            before = tab.cpu_ms()
            swaps = [float(chrome.execute_async_script(REDRAWN)) for _ in range(3)]
            rows.append(("axes swapped", swaps, (tab.cpu_ms() - before) / 3, 1000))
        finally:
            chrome.quit()
        rows.append(("poll without news", polls, None, 100))
    print(f"| {COUNT} candidates of 20 metrics, ms | median | worst | CPU | at most | median / at most |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, values, cpu_ms, most in rows:
        middle, used = statistics.median(values), "" if cpu_ms is None else f"{cpu_ms:.1f}"
        print(f"| {name} | {middle:.1f} | {max(values):.1f} | {used} | {most} | {middle / most:.2f} |")


if __name__ == "__main__":
    main()
