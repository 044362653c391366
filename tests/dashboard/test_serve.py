"""Starting TensorBoard."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from drivereplay.dashboard.serve import log_directory, open_dashboard, start
from drivereplay.errors import DriveReplayError, SpecError


def test_log_directory_of_a_run_of_a_folder_and_of_a_uri(tmp_path: Path) -> None:
    (tmp_path / "run" / "tensorboard").mkdir(parents=True)
    assert log_directory(tmp_path / "run") == str(tmp_path / "run" / "tensorboard")
    assert log_directory(tmp_path) == str(tmp_path)
    assert log_directory("memory://bucket/run/") == "memory://bucket/run"
    with pytest.raises(SpecError, match="There is no directory"):
        log_directory(tmp_path / "none")


def test_dashboard_prints_the_tabs_url_on_loopback_and_serves_the_plugin(tmp_path: Path) -> None:
    out, stop = io.StringIO(), threading.Event()
    thread = threading.Thread(
        target=open_dashboard,
        args=(tmp_path,),
        kwargs={"port": 0, "browser": False, "stop": stop, "out": Line(out, printed := threading.Event())},
    )
    thread.start()
    assert printed.wait(60)
    url = out.getvalue().split()[0]
    assert urllib.parse.urlparse(url).hostname == "127.0.0.1" and url.endswith("/#pareto")
    with urllib.request.urlopen(f"{url.split('#')[0]}data/plugins_listing") as answer:
        listing = json.load(answer)
    assert listing["pareto"]["tab_name"] == "Pareto"
    assert listing["pareto"]["loading_mechanism"]["module_path"] == "/data/plugin/pareto/index.js"
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_taken_port_is_one_clear_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DriveReplayError, match="TensorBoard did not start") as caught:
            start(tmp_path, port=taken.getsockname()[1])
    assert "--port" in caught.value.fix


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("127.0.0.1:{port}", 200), ("[::1]:{port}", 200), ("127.8.8.8", 200),
        ("evil.example", 403), ("evil.example:{port}", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil", 403),
        ("", 403), ("0.0.0.0", 403), ("127.0.0.1@evil.example", 403),
    ],
)  # fmt: skip
def test_requests_under_a_foreign_name_are_refused(dashboard: str, host: str, status: int) -> None:
    """A page from elsewhere whose name points to 127.0.0.1 would read the dashboard otherwise."""
    port = urllib.parse.urlsplit(dashboard).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", "/data/plugins_listing", skip_host=True)
    connection.putheader("Host", host.format(port=port))
    connection.endheaders()
    assert connection.getresponse().status == status


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a TensorBoard on an empty directory."""
    return start(tmp_path_factory.mktemp("logs"), port=0)


class Line(io.TextIOBase):
    """Passes text on and says when there is a whole line."""

    def __init__(self, target: io.StringIO, seen: threading.Event) -> None:
        self._target, self._seen = target, seen

    def write(self, text: str) -> int:
        self._target.write(text)
        if "\n" in self._target.getvalue():
            self._seen.set()
        return len(text)
