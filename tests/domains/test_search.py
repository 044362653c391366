"""Which files are found below a directory."""

from __future__ import annotations

from pathlib import Path

from drivereplay.domains.search import directories_below, files_below, natural


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(root: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in files_below(root, frozenset({".mp4"}))]


def test_all_but_what_is_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a/c.MP4", "a/._c.mp4", ".trash/d.mp4", "a/e.txt")
    assert found(tmp_path) == ["a/c.MP4", "b.mp4"]
    assert [(d.name, names) for d, names in directories_below(tmp_path / "a")] == [("a", ["c.MP4", "e.txt"])]


def test_links_to_directories_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/deep/a.mp4", "root/b.mp4")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert found(tmp_path / "root") == ["b.mp4", "linked/deep/a.mp4"]


def test_links_that_lead_back_up_or_nowhere_end_there(tmp_path: Path) -> None:
    touch(tmp_path, "b/a.mp4")
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert found(tmp_path) == ["b/a.mp4"]


def test_there_is_nothing_below_what_does_not_exist(tmp_path: Path) -> None:
    assert found(tmp_path / "gone") == []


def test_numbers_count_by_their_value() -> None:
    names = ["frame10.png", "frame2.png", "frame02.png", "a.png", "1b.png", "frame1.png"]
    assert sorted(names, key=natural) == ["1b.png", "a.png", "frame1.png", "frame02.png", "frame2.png", "frame10.png"]
