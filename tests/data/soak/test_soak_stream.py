"""Half an hour of streaming with decoding processes killed at random: the same samples, memory flat."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.footage import moving_square

from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.stream import batches
from drivereplay.domains.mp4 import write_video
from drivereplay.spec import Spec, parse_spec

SECONDS = float(os.environ.get("SOAK_SECONDS", "1800"))


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    for place, domain in enumerate(("driving", "street")):
        for number in range(6):
            write_video(tmp_path / domain / f"{number}.mp4", moving_square(10 * place + number, 120), 8.0)
    source: Callable[[str], dict[str, str]] = lambda name: {"kind": "videos", "path": str(tmp_path / name)}  # noqa: E731
    return parse_spec(
        {
            "name": "soak",
            "storage": str(tmp_path / "runs"),
            "target": {"name": "driving", "source": source("driving")},
            "replay": {"frequency": 0.3, "domains": [{"name": "street", "source": source("street")}]},
            "training": {"steps": 200, "batch_size": 32, "cache": False},
        }
    )


def decoders() -> list[psutil.Process]:
    """Ray worker processes of this session that are decoding."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "ReadSamplingPlan" in process.name() or "ray::Read" in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.usefixtures("ray_session")
def test_killed_decoders_change_nothing(spec: Spec) -> None:
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    chance = random.Random(0)
    begin, killed, rounds = time.monotonic(), 0, 0
    memory: list[int] = []
    expected: list[int] | None = None
    while time.monotonic() - begin < SECONDS:
        sums = []
        for batch in batches(spec, indexes, plan, first_step=0, last_step=200):
            rows = plan.step(batch.step)
            assert np.array_equal(batch.sample, rows.sample)
            assert np.array_equal(batch.clip, rows.clip)
            assert not batch.replaced.any()
            sums.append(int(batch.frames.astype(np.int64).sum()))
            if rounds and chance.random() < 0.02:
                for process in decoders()[:1]:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
        expected = expected or sums
        assert sums == expected
        rounds += 1
        memory.append(psutil.Process().memory_info().rss)
    assert rounds > 2 and killed
    # the first rounds still fill pools and caches
    assert memory[-1] < 1.15 * memory[min(2, len(memory) - 1)] + 50e6
