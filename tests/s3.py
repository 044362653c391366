"""A real S3-compatible server on loopback that can be told to fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.fs as pafs
import pytest

Fault = Callable[[dict[str, Any]], bytes | None]


@dataclass
class S3Server:
    """moto behind a layer that can answer in its place."""

    port: int
    fault: Fault | None = None
    met: int = 0

    def uri(self, path: str) -> str:
        options = "scheme=http&region=us-east-1&allow_bucket_creation=true"
        return f"s3://runs/{path}?endpoint_override=127.0.0.1:{self.port}&{options}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    backend = DomainDispatcherApplication(create_backend_app)
    state = S3Server(port=0)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status = state.fault(environ) if state.fault else None
        if status is not None:
            state.met += 1
            start_response(status.decode(), [("Content-Type", "application/xml")])
            return [b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>later</Message></Error>"]
        return backend(environ, start_response)

    class Quiet(WSGIRequestHandler):
        def log(self, *arguments: Any) -> None:
            """No access log in the tests' output."""

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        pafs.FileSystem.from_uri(state.uri(""))[0].create_dir("runs")
        yield state
    server.shutdown()
    thread.join()
