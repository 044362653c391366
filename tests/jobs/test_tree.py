"""Which files of a directory travel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivereplay.jobs.tree import Files, credentials


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A directory with one file."""
    directory = tmp_path / "mine"
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "a.txt").write_text("four", encoding="utf-8")
    return directory


def test_what_a_link_inside_leads_to_is_taken_in_its_place(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # a relative link counts from where it lies
    (mine / "file").symlink_to("data/a.txt")
    (mine / "folder").symlink_to("data")
    (mine / "data" / "absolute").symlink_to(mine / "data" / "a.txt")
    found = Files()
    found.add(mine, "mine")
    assert sorted(found.sizes()) == [
        ("mine/data/a.txt", 4), ("mine/data/absolute", 4), ("mine/file", 4),
        ("mine/folder/a.txt", 4), ("mine/folder/absolute", 4),
    ]  # fmt: skip
    assert not found.left_out


def test_links_that_cannot_be_taken_are_named_with_the_reason(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (mine / "away").symlink_to("../elsewhere")
    (mine / "gone").symlink_to("data/gone.txt")
    (mine / "itself").symlink_to("itself")
    (mine / "loop").symlink_to(".")
    (mine / "data" / "up").symlink_to(mine)
    os.mkfifo(mine / "pipe")
    found = Files()
    found.add(mine, "mine")
    assert list(found.taken) == ["mine/data/a.txt"]
    assert found.left_out == {
        "mine/away": f"links to {tmp_path}/elsewhere, which is outside {mine}",
        "mine/data/up": "links to a directory that it lies in",
        "mine/gone": "links to nothing",
        "mine/itself": "links to nothing",
        "mine/loop": "links to a directory that it lies in",
        "mine/pipe": "is neither a file nor a directory",
    }


def test_directories_that_link_to_each_other_end(mine: Path) -> None:
    (mine / "other").mkdir()
    (mine / "data" / "x").symlink_to("../other")
    (mine / "other" / "y").symlink_to("../data")
    found = Files()
    found.add(mine, "mine")
    assert set(found.taken) == {"mine/data/a.txt", "mine/other/y/a.txt"}
    assert set(found.left_out) == {"mine/data/x/y", "mine/other/y/x"}


def test_an_installation_of_links_is_followed(mine: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "module.py").symlink_to(mine / "data" / "a.txt")
    found = Files()
    found.add(installed, "package", confined=False)
    assert found.taken == {"package/module.py": mine / "data" / "a.txt"}


def test_a_directory_that_is_itself_a_link_is_the_one_it_leads_to(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(mine)
    found = Files()
    found.add(tmp_path / "alias", "alias")
    assert list(found.taken) == ["alias/data/a.txt"]


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.production",
        "server.pem",
        "TLS.KEY",
        "id_ed25519",
        ".netrc",
        "credentials.json",
        "gcp-service-account.json",
    ],
)
def test_credentials_stay_here_and_are_named(mine: Path, name: str) -> None:
    (mine / "data" / name).write_text("x", encoding="utf-8")
    found = Files()
    found.add(mine, "mine")
    assert list(found.taken) == ["mine/data/a.txt"]
    assert found.left_out == {f"mine/data/{name}": "may hold credentials, by its name"}


def test_folders_of_credentials_and_keys_under_other_names_stay_here(mine: Path) -> None:
    (mine / ".aws").mkdir()
    (mine / ".aws" / "config").write_text("x", encoding="utf-8")
    (mine / "data" / "deploy").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", encoding="utf-8")
    (mine / "data" / "harmless").symlink_to(mine / "data" / "deploy")
    found = Files()
    found.add(mine, "mine")
    assert list(found.taken) == ["mine/data/a.txt"]
    assert found.left_out == {
        "mine/.aws": "may hold credentials, by its name",
        "mine/data/deploy": "holds a private key",
        "mine/data/harmless": "holds a private key",
    }


@pytest.mark.parametrize("name", ["keys.csv", "environment.yaml", "tokens.txt", "monkey.mp4", "public.crt"])
def test_other_files_are_no_credentials(mine: Path, name: str) -> None:
    (mine / name).write_text("x", encoding="utf-8")
    assert credentials(mine / name, name) == ""
