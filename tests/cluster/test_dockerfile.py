"""The image: pinned, not root, one set of files for all nodes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def instructions(project_root: Path) -> list[tuple[str, str]]:
    text = (project_root / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#"))).splitlines()
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines if line.strip()]


def test_both_targets_exist_and_share_their_files(instructions: list[tuple[str, str]]) -> None:
    stages = [text for name, text in instructions if name == "FROM"]
    assert [stage.split(" AS ")[1] for stage in stages] == ["build", "cpu", "cuda"]
    assert stages[2].startswith("cpu ")


def test_the_base_is_pinned_and_fits_the_package(instructions: list[tuple[str, str]]) -> None:
    version = next(text for name, text in instructions if name == "ARG" and text.startswith("PYTHON="))
    assert re.fullmatch(r"PYTHON=3\.1[1-9]\.\d+-slim-\w+", version)
    assert not [text for name, text in instructions if name == "FROM" and "latest" in text]


def test_packages_come_from_the_tested_versions(instructions: list[tuple[str, str]]) -> None:
    installs = [text for name, text in instructions if name == "RUN" and "pip install" in text]
    assert all("constraints.txt" in text for text in installs)


def test_it_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    users = [text for name, text in instructions if name == "USER"]
    assert users and not users[-1].startswith(("root", "0"))


def test_every_file_that_is_copied_exists(instructions: list[tuple[str, str]], project_root: Path) -> None:
    copies = [text.split() for name, text in instructions if name == "COPY" and "--from" not in text]
    assert copies
    for words in copies:
        assert all((project_root / source).exists() for source in words[:-1]), words


def test_a_token_is_asked_for(instructions: list[tuple[str, str]]) -> None:
    assert any(name == "ENV" and "RAY_AUTH_MODE=token" in text for name, text in instructions)
