"""A stand-in for Ray's dashboard: a real web server with the answers that `submit` needs, and no cluster behind it."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import ray


@dataclass
class Dashboard:
    """What it answers, and what it was given.

    Attributes:
        python: The version it says it runs.
        nodes: Resources of each node.
        address: Its URL.
        jobs: Bodies of the jobs that were submitted.
        uploaded: Bytes of each package.
        listed: Jobs that it says it has.
        stopped: Ids of jobs that it was asked to stop.
    """

    python: str = platform.python_version()
    nodes: list[dict[str, float]] = field(default_factory=lambda: [{"CPU": 4.0}])
    address: str = ""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    uploaded: list[bytes] = field(default_factory=list)
    listed: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def add_job(self, job_id: str, *, user: str = "ann@laptop", status: str = "RUNNING", message: str = "") -> None:
        """Have a job of ours."""
        metadata = {"drivereplay_verb": "sweep", "drivereplay_run": "runs/a", "drivereplay_user": user}
        self.listed.append(
            {
                "type": "SUBMISSION", "submission_id": job_id, "status": status, "entrypoint": "x", "message": message,
                "metadata": metadata, "start_time": 1000 * (1 + len(self.listed)),
            }
        )  # fmt: skip

    def answer(self, path: str) -> Any:
        """The document at a path; None for what is not there."""
        if path == "/api/version":
            return {"version": "4", "ray_version": ray.__version__, "ray_commit": "x"}
        if path == "/api/v0/cluster_metadata":
            return {"result": True, "msg": "", "data": {"rayVersion": ray.__version__, "pythonVersion": self.python}}
        if path.startswith("/api/v0/nodes"):
            gone = {"state": "DEAD", "resources_total": {"CPU": 999.0, "GPU": 999.0}}
            rows = [{"state": "ALIVE", "resources_total": node} for node in self.nodes]
            return {"result": True, "msg": "", "data": {"result": {"result": [*rows, gone]}}}
        return self.listed if path == "/api/jobs/" else None


@contextmanager
def serving(dashboard: Dashboard) -> Iterator[Dashboard]:
    """The dashboard on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = dashboard.answer(self.path)
            self._send(404 if document is None else 200, document)

        def do_PUT(self) -> None:
            dashboard.uploaded.append(self._body())
            self._send(200, {})

        def do_POST(self) -> None:
            if self.path.endswith("/stop"):
                dashboard.stopped.append(self.path.split("/")[-2])
                self._send(200, {"stopped": True})
                return
            job = json.loads(self._body())
            dashboard.jobs.append(job)
            self._send(200, {"job_id": job["submission_id"], "submission_id": job["submission_id"]})

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def _send(self, status: int, document: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *arguments: Any) -> None:
            """The test's output is no place for an access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        dashboard.address = f"http://127.0.0.1:{server.server_port}"
        yield dashboard
        server.shutdown()
        thread.join()
