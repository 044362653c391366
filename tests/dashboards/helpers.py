"""Log directories of the Pareto tab, and the tab as a browser has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

WAIT_S = 90
"""Long, because the machine may be busy; a wait ends as soon as its condition holds."""


@contextmanager
def writer(directory: Path) -> Iterator[Any]:
    """A `SummaryWriter` that is closed afterwards."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(directory)) as opened:
        yield opened


def provider(logdir: Path) -> Any:
    """TensorBoard's own data provider on a log directory, read once."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer

    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 1000})
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    return MultiplexerDataProvider(multiplexer, str(logdir))


def write_sweep(logdir: Path, *, count: int = 24, protocol: dict[str, Any] | None = None, seed: int = 0) -> Path:
    """A sweep as a user of the package would write it: anchors, trials, a failed and a stopped one, curves, videos."""
    from tensorboard_pareto import add_candidate, add_setup, add_video

    random = np.random.default_rng(seed)
    kinds = ["base", "naive", "replay-only", "equal"]
    with writer(logdir / "sweep") as sweep:
        add_setup(
            sweep,
            objectives=["fidelity.psnr", "agents.ade"],
            directions={"fidelity.psnr": "max", "agents.ade": "min", "ego.ate": "min"},
            units={"fidelity.psnr": "dB"},
            reference={"fidelity.psnr": 15.0, "agents.ade": 0.5},
            protocol=protocol or {"clips": 24, "fps": 8},
            mix=["replay.weights.street", "replay.weights.objects", "replay.weights.signs"],
            title=logdir.name,
        )
        for i in range(count):
            rho = [0.0, 0.0, 1.0, 0.25][i] if i < 4 else float(random.uniform(0, 0.9))
            weights = random.dirichlet([1, 1, 1])
            psnr = 20 + 4 * (1 - rho) * (i > 0) + float(random.normal()) * 0.5
            ade = 0.35 - 0.25 * rho**0.5 + float(random.normal()) * 0.02
            parameters = {"replay.frequency": rho, "learning_rate": 10 ** float(random.uniform(-5, -3))}
            mix = dict(zip(("street", "objects", "signs"), weights, strict=True))
            parameters |= {f"replay.weights.{domain}": float(weight) for domain, weight in mix.items()}
            name = add_candidate(
                sweep,
                parameters,
                {
                    "fidelity.psnr": (psnr, psnr - 0.3, psnr + 0.3, 24),
                    "agents.ade": (ade, ade - 0.01, ade + 0.02, 24),
                    "ego.ate": rho + 0.1,
                },
                name=f"t{i:04d}@60",
                kind=kinds[i] if i < 4 else "trial",
                status={7: "failed", 8: "stopped"}.get(i, "finished"),
                step=60,
                seed=i % 2,
                trial=f"t{i:04d}",
                cost={"device_hours": 0.1},
                protocol=protocol or {"clips": 24, "fps": 8},
                settings=f"name: t{i:04d}\nseed: {i % 2}\n",
                curves=[f"../trials/t{i:04d}"],
            )
            if i < 6:
                frames = random.integers(0, 255, (6, 16, 24, 3), dtype=np.uint8)
                track = {"frame": 2, "id": 3, "box": (2, 2, 9, 9)}
                add_video(sweep, name, "00", frames, fps=8, context=2, tracks=[track], step=60)
        add_video(sweep, None, "00", np.full((6, 16, 24, 3), 90, np.uint8), fps=8, context=2)
    with writer(logdir / "trials" / "t0000") as trial:
        for step in range(20):
            trial.add_scalar("loss/total", 1 / (1 + step), step)
    return logdir


def resize(chrome: Any, width: int, height: int) -> None:
    """Make the page, not the window, this large."""
    chrome.set_window_size(width, height)
    inner = chrome.execute_script("return [window.innerWidth, window.innerHeight]")
    chrome.set_window_size(2 * width - inner[0], 2 * height - inner[1])


class Tab:
    """The Pareto tab in the browser, from the inside of its frame.

    Args:
        chrome: The browser.
        url: Address of TensorBoard, without a fragment.
    """

    def __init__(self, chrome: Any, url: str) -> None:
        self.chrome = chrome
        self.url = url.split("#")[0]

    def open(self, fragment: str = "pareto", *, count: int | None = None, framed: bool = False, query: str = "") -> Tab:
        """Load the page afresh and wait for the picture.

        Args:
            fragment: The state in the address.
            count: Wait until so many candidates have arrived.
            framed: Inside TensorBoard, whose own page takes seconds to load; else the frame alone.
            query: Query of TensorBoard's address.
        """
        self.chrome.switch_to.default_content()
        self.chrome.get("about:blank")
        self.chrome.get_log("browser")
        if framed:
            self._open_in_tensorboard(f"{self.url}{query}#{fragment}")
        else:
            self.chrome.get(f"{self.url}data/plugin_entry.html?name=pareto#{fragment}")
        self.until("return document.querySelector('.pareto')?.dataset.ready !== undefined")
        if count is not None:
            self.until("return document.querySelector('.pareto').dataset.candidates === String(arguments[0])", count)
        return self

    def _open_in_tensorboard(self, address: str) -> None:
        self.chrome.get(address)
        self.until("return document.querySelector(\"iframe[src*='pareto']\") !== null")
        frame = self.chrome.execute_script("return document.querySelector(\"iframe[src*='pareto']\")")
        self.chrome.switch_to.frame(frame)

    def js(self, script: str, *arguments: Any) -> Any:
        """Run a script in the frame."""
        return self.chrome.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something true."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.chrome, WAIT_S, poll_frequency=0.1).until(
            lambda chrome: chrome.execute_script(script, *arguments), f"still not: {script}"
        )

    def all(self, selector: str) -> list[Any]:
        """Elements."""
        return list(self.chrome.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        """The element, as soon as it is there."""
        self.until("return document.querySelector(arguments[0]) !== null", selector)
        return self.chrome.find_element("css selector", selector)

    def front(self) -> list[str]:
        """Names on the front, as the list on the right has them."""
        return [row.get_attribute("data-candidate") for row in self.all("[data-role=front] tbody tr")]

    def errors(self) -> list[str]:
        """What the console had to complain about, TensorBoard's own noise left out."""
        entries = self.chrome.get_log("browser")
        return [e["message"] for e in entries if e["level"] == "SEVERE" and "favicon" not in e["message"]]

    def downloaded(self, name: str) -> bytes:
        """The content of a file that the page has offered."""
        from selenium.webdriver.support.ui import WebDriverWait

        path = Path(self.chrome.profile) / name
        # Chromium reserves the name with an empty file, over which it moves the finished one
        WebDriverWait(self.chrome, WAIT_S, poll_frequency=0.1).until(lambda _: path.is_file() and path.stat().st_size)
        data = path.read_bytes()
        path.unlink()
        return data
