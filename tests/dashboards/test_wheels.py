"""The packages as users get them: wheels in an environment that has their requirements and nothing of this checkout."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from tests.dashboards.helpers import Tab

pytestmark = pytest.mark.slow

TEN_LINES = """
import math, random, sys
from tensorboard.summary import Writer
from tensorboard_pareto import add_candidate

random.seed(0)
for trial in range(20):
    rate = 10 ** random.uniform(-5, -2)
    writer = Writer(f"{sys.argv[1]}/trial-{trial}")
    writer.add_scalar("loss", rate, 0)
    add_candidate(writer, {"rate": rate}, {"error": abs(math.log10(rate) + 3), "seconds": 1 / rate})
    writer.close()
"""
SHIPPED = """
from pathlib import Path
import drivereplay, tensorboard_pareto
from drivereplay import api
from drivereplay.evaluation.features import shipped_encoder
from drivereplay.models import load_model
from drivereplay.spec import load_spec

for module in (drivereplay, tensorboard_pareto):
    assert "site-packages" in Path(module.__file__).parts, module.__file__
spec = load_spec(api.QUICKSTART)
load_model(spec)
shipped_encoder()
print("as shipped:", spec.name)
"""


class Environment:
    """A virtual environment with wheels; what they require is linked from the tests' own environment.

    Args:
        directory: Where it is made.
        wheels: Wheels to be installed.
    """

    def __init__(self, directory: Path, *wheels: Path) -> None:
        venv.create(directory, with_pip=False, symlinks=True)
        self.bin = directory / "bin"
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "-q"]
        subprocess.run([*pip, "--no-deps", "--no-index", *map(str, wheels)], check=True)
        site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        required: dict[str, importlib.metadata.Distribution] = {}
        for installed in importlib.metadata.distributions(path=[str(site)]):
            add_required(installed, set(), required)
        for distribution in required.values():
            for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
                if not (site / top).exists():
                    (site / top).symlink_to(str(distribution.locate_file(top)))

    def run(self, *arguments: str, program: str = "python") -> str:
        """Run a program of the environment, outside the checkout; returns what it prints."""
        command = [str(self.bin / program), *arguments]
        done = subprocess.run(command, cwd=self.bin, env=clean(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, *arguments: str, program: str = "python") -> Iterator[str]:
        """Run a program that prints the address of a TensorBoard."""
        command = [str(self.bin / program), *arguments]
        process = subprocess.Popen(
            command, cwd=self.bin, env=clean(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if found := re.search(r"http://[\w.]+:\d+/", line):
                    yield found[0]
                    break
            else:
                pytest.fail(f"no address: {told}")
        finally:
            process.terminate()
            process.wait()


def add_required(
    distribution: importlib.metadata.Distribution, extras: set[str], found: dict[str, importlib.metadata.Distribution]
) -> None:
    """Add what a distribution with these extras requires to `found`, all the way down."""
    for requirement in map(Requirement, distribution.requires or []):
        marker, key = requirement.marker, f"{requirement.name}{sorted(requirement.extras)}"
        if (marker is None or any(marker.evaluate({"extra": e}) for e in {"", *extras})) and key not in found:
            found[key] = importlib.metadata.distribution(requirement.name)
            add_required(found[key], requirement.extras, found)


def clean() -> dict[str, str]:
    """The environment's variables without those that would lead Python into the checkout."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


@pytest.fixture(scope="module")
def wheels(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wheels of both packages, built from a copy of the sources: a build leaves files behind."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project_root / name, copy)
    for name in ("platform", "dashboards"):
        shutil.copytree(project_root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out)]
    for source in (copy, copy / "dashboards"):
        subprocess.run([*pip, str(source)], check=True, env=clean())
    return {path.name.split("-")[0]: path for path in out.iterdir()}


def test_the_plugin_alone_on_a_ten_line_script(browser: Any, wheels: dict[str, Path], tmp_path: Path) -> None:
    made = Environment(tmp_path / "environment", wheels["tensorboard_pareto"])
    made.run("-c", "import importlib.util as u; assert not any(map(u.find_spec, ('drivereplay', 'torch', 'ray')))")
    made.run("-c", TEN_LINES, str(tmp_path / "log"))
    with made.serving("-m", "tensorboard.main", "--logdir", str(tmp_path / "log"), "--port", "0") as url:
        tab = Tab(browser, url).open(count=20, framed=True)
        assert len(tab.front()) >= 2
        assert tab.errors() == []


def test_the_whole_package_brings_what_it_ships(browser: Any, wheels: dict[str, Path], tmp_path: Path) -> None:
    made = Environment(tmp_path / "environment", wheels["drivereplay"])
    assert made.run("-c", SHIPPED) == "as shipped: quickstart\n"
    assert "dashboard" in made.run("--help", program="drivereplay")
    made.run("-c", TEN_LINES, str(tmp_path / "log"))
    with made.serving("dashboard", str(tmp_path / "log"), "--port", "0", program="drivereplay") as url:
        assert len(Tab(browser, url).open(count=20, framed=True).front()) >= 2
    made.run("dashboard", str(tmp_path / "log"), "--static", str(tmp_path / "page.html"), program="drivereplay")
    assert (tmp_path / "page.html").stat().st_size > 100_000


def test_both_packages_side_by_side(wheels: dict[str, Path], tmp_path: Path) -> None:
    made = Environment(tmp_path / "environment", *wheels.values())
    made.run("-c", TEN_LINES, str(tmp_path / "log"))
    with (
        made.serving("-m", "tensorboard.main", "--logdir", str(tmp_path / "log"), "--port", "0") as url,
        urllib.request.urlopen(f"{url}data/plugins_listing") as answer,
    ):
        assert b"pareto" in answer.read()
