"""The Pareto tab with 10,000 candidates of 20 metrics: `python tests/bench/bench_pareto_tab.py`.

Times in the browser are CPU times of its main thread, so that a busy machine changes them little; polls are wall times.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

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
  if (kind === "brush") send("pointerdown", 200, 100);
  for (let i = 0; i < EVENTS; i++) { send("pointermove", 240 + 20 * i, 130 + 10 * i); await frame(); }
  if (kind === "brush") send("pointerup", 700, 330);
  done();
})();
""".replace("EVENTS", str(EVENTS))


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
        add_candidate(writer, {"replay.frequency": rho, "rate": float(random.uniform())}, metrics, name=f"t{i}")
    writer.close()


def main() -> None:
    """Print the table."""
    from selenium import webdriver

    from drivereplay.dashboard.serve import start

    with tempfile.TemporaryDirectory() as logdir, tempfile.TemporaryDirectory() as profile:
        write(Path(logdir))
        url = start(logdir, port=0).split("#")[0]
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        switches = "headless no-sandbox disable-gpu window-size=1280,720 disable-sync no-first-run"
        for argument in (*switches.split(), "disable-background-networking", f"user-data-dir={profile}"):
            options.add_argument(f"--{argument}")
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        try:
            chrome.set_script_timeout(120)
            chrome.get(f"{url}data/plugin_entry.html?name=pareto")
            loaded = "return document.querySelector('.pareto')?.dataset.candidates"
            while chrome.execute_script(loaded) != str(COUNT):
                pass
            chrome.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

            def cpu_s() -> float:
                metrics = chrome.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
                return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration"))

            rows = []
            for kind, most_ms in (("hover", 50), ("brush", 50)):
                before = cpu_s()
                chrome.execute_async_script(DRAG, kind)
                rows.append((f"{kind}, one event", 1000 * (cpu_s() - before) / EVENTS, most_ms))
            before = cpu_s()
            chrome.execute_script("document.querySelector('[aria-label=\"Swap the axes\"]').click()")
            chrome.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")
            rows.append(("whole picture drawn anew", 1000 * (cpu_s() - before), 1000))
        finally:
            chrome.quit()
        page = json.load(urllib.request.urlopen(f"{url}data/plugin/pareto/candidates"))
        polls = []
        for _ in range(10):
            begun = time.monotonic()
            urllib.request.urlopen(f"{url}data/plugin/pareto/candidates?since={COUNT}&epoch={page['epoch']}").read()
            polls.append(1000 * (time.monotonic() - begun))
        rows.append(("poll without news, median", float(np.median(polls)), 100))
    print(f"| {COUNT} candidates of 20 metrics | ms | at most | ratio |\n| --- | --- | --- | --- |")
    for name, value, most in rows:
        print(f"| {name} | {value:.1f} | {most} | {value / most:.2f} |")


if __name__ == "__main__":
    main()
