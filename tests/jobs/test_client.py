"""Reaching a cluster, and what is said when that fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster.local.cluster import LocalCluster

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.jobs.client import connect, find_token, hand_over, nodes_of, raised, require_same_python
from drivereplay.jobs.manage import jobs_of


def test_all_forms_of_the_address_lead_to_the_same_place(reach: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
    for address in (reach.address, reach.address + "/", reach.address.removeprefix("http://")):
        assert connect(address)._address == reach.address
    # the cluster's own address in a process of its own: Ray keeps the token of the tests' session
    assert _in_a_process(f"print(connect({reach.gcs!r})._address)", dict(os.environ)).stdout.strip() == reach.address


def test_the_given_address_wins_over_the_environment(reach: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert connect(reach.address)._address == reach.address


def test_a_wrong_token_is_said_and_not_shown(reach: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(SpecError, match="refused the token") as caught:
        connect(reach.address)
    assert "ray get-auth-token" in caught.value.fix
    assert "0" * 64 not in str(caught.value)


def test_a_missing_token_is_said(reach: LocalCluster, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}
    for address in (reach.address, reach.gcs):
        said = _in_a_process(f"connect({address!r})", environment).stderr
        assert "SpecError" in said
        assert "asks for a token and none was found" in said


def _in_a_process(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = f"from drivereplay.jobs.client import connect; {code}"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:1", "http://nowhere.invalid:8265"])
def test_nothing_at_the_address_is_said_at_once(address: str) -> None:
    with pytest.raises(SpecError, match="No Ray cluster answers"):
        connect(address)


@pytest.mark.parametrize("form", ["http://{}", "{}"])
def test_what_listens_and_never_answers_is_given_up(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.jobs.bounded.GREETING_S", (0.2, 0.2))
    with _mute() as place, pytest.raises(SpecError, match="No Ray cluster answers"):
        connect(form.format(place))


def test_a_cluster_that_falls_silent_later_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.jobs.bounded._ANSWER_S", 0.2)
    with _server({"version": "4", "ray_version": "99.0.0", "ray_commit": "x"}) as address:
        client = connect(address)
    with _mute() as place:
        client._address = f"http://{place}"
        for ask in (jobs_of, nodes_of, require_same_python):
            with pytest.raises(DriveReplayError, match="Read timed out"):
                ask(client)


@pytest.mark.slow
def test_a_cluster_tells_its_python_and_its_nodes(reach: LocalCluster) -> None:
    client = connect()
    require_same_python(client)
    (node,) = nodes_of(client)
    assert node["CPU"] == 2.0


@pytest.mark.parametrize(("address", "said"), [("ray://head:10001", "speaks http"), ("head", "neither a URL")])
def test_a_form_that_cannot_be_an_address_is_refused(address: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        connect(address)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"version": "4", "ray_version": "2.9.3", "ray_commit": "x"}, "runs Ray 2.9.3; here it is Ray 2"),
        ({"hello": "world"}, "is no Ray Jobs API"),
        (None, "is no Ray Jobs API"),
    ],
)
def test_another_server_or_an_old_ray_is_recognised(answer: dict[str, str] | None, said: str) -> None:
    with _server(answer) as address, pytest.raises(SpecError, match=said):
        connect(address)


def test_the_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_token() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of-home\n", encoding="utf-8")
    assert find_token() == "of-home"
    (tmp_path / "named").write_text("of-file", encoding="utf-8")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "named"))
    assert find_token() == "of-file"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-variable")
    assert find_token() == "of-variable"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert find_token() is None


def test_a_token_file_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "missing"))
    with pytest.raises(SpecError, match="missing cannot be read"):
        find_token()


class _Young:
    """A cluster whose agent comes up at the third call; then one that refuses."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def submit_job(self, **job: Any) -> str:
        answer = self.answers.pop(0)
        if answer.startswith("Request failed"):
            raise RuntimeError(answer)
        return answer


def test_a_cluster_that_has_only_just_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    late = "Request failed with status code 500: No available agent to submit job, please try again later."
    young: Any = _Young(late, late, "job-1")
    assert hand_over(young, entrypoint="true") == "job-1"
    refused: Any = _Young("Request failed with status code 400: Runtime env is wrong.")
    with pytest.raises(RuntimeError, match="Runtime env is wrong"):
        hand_over(refused, entrypoint="true")
    monkeypatch.setattr("drivereplay.jobs.client._AGENT_S", -1.0)
    with pytest.raises(RuntimeError, match="No available agent"):
        hand_over(_Young(late), entrypoint="true")  # type: ignore[arg-type]


def test_a_traceback_becomes_its_last_line() -> None:
    error = raised("The job failed", RuntimeError("Traceback ...\n  File x\nValueError: broken"))
    assert error.what == "The job failed: ValueError: broken."


@contextmanager
def _mute() -> Iterator[str]:
    """A place where connections are taken, by the system, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def _server(answer: dict[str, str] | None) -> Iterator[str]:
    """A web server that is no Ray dashboard, or one of an older Ray."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if answer else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode() if answer else b"not here")

        def log_message(self, *arguments: Any) -> None:
            """The test's output is no place for an access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
