"""The house: which folders there are, and that a room imports from rooms to its left only."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ORDER = [
    ("errors", "_version", "telemetry", "logs"),
    ("_sections", "addresses"),
    ("spec",),
    ("storage", "session"),
    ("integrity",),
    ("nodes",),
    ("videos",),
    ("domains",),
    ("data",),
    ("models",),
    ("training",),
    ("testing",),
    ("evaluation",),
    ("search",),
    ("dashboard", "jobs", "doctor", "status"),
    ("api",),
    ("_present",),
    ("cli",),
    ("__main__",),
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
TOP_LEVEL = {
    "pyproject.toml", "README.md", "Makefile", "constraints.txt", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
    "SECURITY.md", "platform", "experiments", "cluster", "tests", "dashboards",
}  # fmt: skip


def modules(root: Path) -> list[Path]:
    return sorted((root / "platform" / "drivereplay").rglob("*.py"))


def room_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root / "platform" / "drivereplay").with_suffix("").parts
    return parts[0]


def imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
            if node.module == "drivereplay":
                names = [f"drivereplay.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("drivereplay.")}
    return found


def test_data_flows_one_way(project_root: Path) -> None:
    wrong = []
    for path in modules(project_root):
        room = room_of(path, project_root)
        if room == "__init__":
            continue
        assert room in RANK, f"{path} is in no known room: name its place in tests/test_layout.py"
        for other in imported_rooms(path):
            # the package's own lazily exported names (drivereplay.load_spec) are not rooms
            if other in RANK and (RANK[other] > RANK[room] or (RANK[other] == RANK[room] and other != room)):
                wrong.append(f"{path.relative_to(project_root)} ({room}) imports from {other}")
    assert not wrong, "\n".join(wrong)


OPENS_VIDEOS = {"videos", "domains/mp4.py", "doctor.py"}
"""The room that reads video files; the writer of mp4; the self-check of both decoders."""
VIDEO_LIBRARIES = {"av", "decord", "imageio", "moviepy", "torchcodec", "torchvision"}


def opens_videos(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    found: set[str] = set()
    for node in tree:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute) and node.attr == "VideoCapture":
            found.add("cv2.VideoCapture")
        elif isinstance(node, ast.Attribute) and node.attr == "read_videos":
            found.add("read_videos")
        elif isinstance(node, ast.Call) and any(
            isinstance(argument, ast.Constant) and argument.value in VIDEO_LIBRARIES for argument in node.args
        ):
            called = ast.unparse(node.func)
            found |= {called} if called.endswith(("import_module", "__import__")) else set()
        found |= {name for name in names if name.split(".")[0] in VIDEO_LIBRARIES}
    return found


def test_only_one_room_opens_video_files(project_root: Path) -> None:
    package = project_root / "platform" / "drivereplay"
    users = {path.relative_to(package).as_posix(): opens_videos(path) for path in modules(project_root)}
    allowed = {name for name in users if name in OPENS_VIDEOS or name.split("/")[0] in OPENS_VIDEOS}
    assert users["videos/file.py"] and users["videos/readers.py"], "the test sees what it looks for"
    wrong = {name: uses for name, uses in users.items() if uses and name not in allowed}
    assert not wrong, f"read videos by drivereplay.videos.open_video: {wrong}"
    # the writer opens nothing that is there
    writer = (package / "domains" / "mp4.py").read_text(encoding="utf-8")
    calls = [node for node in ast.walk(ast.parse(writer)) if isinstance(node, ast.Call)]
    opened = [ast.unparse(call) for call in calls if ast.unparse(call.func) == "av.open"]
    assert opened and all("'w'" in call for call in opened)


def test_the_dashboard_package_knows_nothing_of_drivereplay(project_root: Path) -> None:
    for path in (project_root / "dashboards").rglob("*.py"):
        assert "drivereplay" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }, path


def test_top_level_is_the_layout_of_the_design(project_root: Path) -> None:
    if not (project_root / ".git").exists():
        pytest.skip("not a git checkout, so untracked files cannot be told from the project's own")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=project_root, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    tops = {name.split("/")[0] for name in listed}
    assert {t for t in tops if not t.startswith(".")} <= TOP_LEVEL
    assert not (project_root / "platform" / "__init__.py").exists(), "it would shadow the standard library's `platform`"


def test_no_module_outgrows_one_noun(project_root: Path) -> None:
    long = {
        str(p.relative_to(project_root)): n
        for p in modules(project_root)
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long
