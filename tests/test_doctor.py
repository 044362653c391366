"""The doctor finds what works and, above all, what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drivereplay import doctor as doctor_module
from drivereplay.cli import app
from drivereplay.doctor import Check, doctor


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> dict[str, Check]:
    found = doctor(storage=str(tmp_path_factory.mktemp("storage")), cluster=True)
    return {check.name: check for check in found}


def test_what_the_verbs_need_works_here(checks: dict[str, Check]) -> None:
    assert {name: check.detail for name, check in checks.items() if check.required and not check.ok} == {}
    assert {"python", "ray", "torch", "H.264 encoding", "decoding with av", "storage", "ray starts"} <= set(checks)


def test_a_video_was_really_written_and_read_back(checks: dict[str, Check]) -> None:
    assert "8 frames back" in checks["decoding with av"].detail
    assert "bytes for 8 frames" in checks["H.264 encoding"].detail


def test_ray_was_really_started(checks: dict[str, Check]) -> None:
    assert "up and a task done in" in checks["ray starts"].detail


def test_each_node_of_the_cluster_answers(checks: dict[str, Check]) -> None:
    nodes = [check for name, check in checks.items() if name.startswith("node ")]
    assert len(nodes) == 1
    assert "4 CPU" in nodes[0].detail and "sees the storage" in nodes[0].detail


def test_a_check_that_fails_has_a_fix(checks: dict[str, Check]) -> None:
    assert all(check.fix for check in checks.values() if not check.ok)
    assert json.loads(json.dumps([check.to_json() for check in checks.values()]))


def test_a_storage_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    check = doctor_module._writable(str(tmp_path / "file" / "runs"))
    assert not check.ok and "cannot be written" in check.detail and check.fix


def test_an_examination_leaves_nothing_behind(tmp_path: Path) -> None:
    assert doctor_module._writable(str(tmp_path / "runs")).ok
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_found() -> None:
    check = doctor_module._package("no_such_package_anywhere", required=True)
    assert not check.ok and "No module named" in check.detail
    assert "pip install" in check.fix


def test_a_decoder_that_returns_other_frames_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def inverted(path: Path) -> Any:
        return 255 - read(path)

    read = doctor_module._read_av
    monkeypatch.setattr(doctor_module, "_read_av", inverted)
    check = doctor_module._decoding("av", required=True)
    assert not check.ok and "differ from those that were written" in check.detail
    monkeypatch.setattr(doctor_module, "_read_av", lambda path: read(path)[:3])
    assert "wrote (8, 48, 64, 3), read (3, 48, 64, 3)" in doctor_module._decoding("av", required=True).detail


def test_a_ray_that_cannot_be_reached_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    check = doctor_module._ray()
    assert check.name == "ray cluster" and not check.ok
    assert "no Ray cluster answers" in check.detail and "127.0.0.1:1" in check.fix


def test_where_jobs_go_is_not_where_the_nodes_are_asked(
    checks: dict[str, Check], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://far:8265")
    note, *nodes = doctor_module._cluster(str(tmp_path))
    assert not note.ok and not note.required and "http://far:8265" in note.detail
    assert note.fix == "drivereplay submit -- doctor --cluster"
    assert [node.name for node in nodes] == [name for name in checks if name.startswith("node ")]


def test_the_exit_code_says_whether_something_needed_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `checks` starts Ray for real; once is enough
    monkeypatch.setattr(doctor_module, "_ray", lambda: Check("ray starts", True, "left out", ""))
    (tmp_path / "file").write_bytes(b"")
    done = CliRunner().invoke(app, ["doctor", "--json", "--storage", str(tmp_path / "file" / "x")])
    assert done.exit_code == 1, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert not rows["storage"]["ok"] and rows["storage"]["required"]


@pytest.mark.parametrize(("mode", "ok"), [(0o600, True), (0o400, True), (0o644, False), (0o640, False), (0o606, False)])
def test_a_token_that_others_can_read_is_named_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, ok: bool
) -> None:
    token = tmp_path / "token"
    token.write_text("secret", encoding="utf-8")
    token.chmod(mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    check = doctor_module._token()
    assert check.ok is ok and "secret" not in check.detail
    assert ok or check.fix == f"chmod 600 {token}"


def test_a_ray_without_tokens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert not doctor_module._token().ok
