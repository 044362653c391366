"""Which files a source of videos means."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivereplay.domains.videos import read_videos
from drivereplay.errors import SpecError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.MKV", "deep/er/c.webm", ".hidden/d.mp4", ".e.mp4", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def keys(path: Path | str) -> list[str]:
    return [r.key for r in read_videos(str(path))]


def test_a_directory_is_searched(tree: Path) -> None:
    assert keys(tree) == ["a.MKV", "b.mp4", "deep/er/c.webm"]


def test_a_file_and_a_glob(tree: Path) -> None:
    assert keys(tree / "b.mp4") == ["b.mp4"]
    assert keys(tree / "*.mp4") == ["b.mp4"]
    assert keys(tree / "**" / "*.webm") == ["deep/er/c.webm"]
    assert keys(tree / "*.nothing") == []


def test_paths_are_absolute(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert all(Path(r.path).is_absolute() for r in read_videos("deep"))


def test_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no directory or file"):
        read_videos(str(tmp_path / "nowhere"))


def test_directories_behind_links_are_searched_once(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    (root / "linked").symlink_to(tree, target_is_directory=True)
    (tree / "deep" / "up").symlink_to(root, target_is_directory=True)
    assert keys(root) == ["linked/a.MKV", "linked/b.mp4", "linked/deep/er/c.webm"]


def test_what_macos_leaves_beside_a_video_is_none(tree: Path) -> None:
    (tree / "deep" / "._c.mp4").write_bytes(b"x")
    assert keys(tree) == ["a.MKV", "b.mp4", "deep/er/c.webm"]


def test_a_glob_below_a_directory_with_brackets(tree: Path) -> None:
    odd = tree / "[2026] day*" / "deep"
    odd.mkdir(parents=True)
    (odd / "c.mp4").write_bytes(b"x")
    assert keys(tree / "[2026] day*" / "**" / "*.mp4") == ["deep/c.mp4"]
    assert keys(tree / "[2026] day*") == ["deep/c.mp4"]
    # where there is no such directory brackets are a pattern
    assert keys(tree / "[bc].mp4") == ["b.mp4"]
