"""Hub ids, against a server on this machine that speaks the hub's protocol: what is fetched, and of which revision."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.models.helpers import wan_pipeline

MAIN, OLD = "a" * 40, "b" * 40


def digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """Two commits of one repository."""

    root: Path
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.split("?")[0].strip("/").split("/")
        if path[:1] == ["api"]:
            commit = {"main": MAIN, "v1": OLD, MAIN: MAIN, OLD: OLD}.get(path[-1])
            if commit is None:
                return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
            files = {p.relative_to(self.root / commit).as_posix(): p.read_bytes() for p in self._files(commit)}
            answer: object = {"id": "me/base", "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            if "tree" in path:
                answer = [
                    {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                    for name, content in files.items()
                ]
            return self._send(200, json.dumps(answer).encode(), {}, body)
        commit = {"main": MAIN, "v1": OLD}.get(path[3], path[3])
        file = self.root / commit / "/".join(path[4:])
        if not file.is_file():
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body)
        content = file.read_bytes()
        if body:
            self.asked.append("/".join(path[4:]))
        return self._send(200, content, {"ETag": f'"{digest(content)}"', "X-Repo-Commit": commit}, body)

    def _files(self, commit: str) -> list[Path]:
        return [path for path in sorted((self.root / commit).rglob("*")) if path.is_file()]

    def _send(self, code: int, content: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    for commit, layers in ((MAIN, 2), (OLD, 1)):
        directory = tmp_path / "hub" / commit
        pipeline = wan_pipeline()
        pipeline.transformer.blocks = pipeline.transformer.blocks[:layers]
        pipeline.transformer.register_to_config(num_layers=layers)
        pipeline.save_pretrained(directory)
        (directory / "wan-original.safetensors").write_bytes(b"a checkpoint of 30 GB")
        (directory / "transformer" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
        (directory / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"pickled")
        (directory / "lora").mkdir()
        (directory / "lora" / "other.safetensors").write_bytes(b"something else")
    Hub.root, Hub.asked = tmp_path / "hub", []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


USER = """
import sys
from tests.models.helpers import spec_of
from drivereplay.errors import ModelError
from drivereplay.models import load_model
for revision in sys.argv[1:]:
    spec = spec_of("me/base", "wan")
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"revision": revision})})
    try:
        print(len(load_model(spec).module.blocks))
    except ModelError as error:
        print(error)
"""


def load(hub: str, home: Path, root: Path, *revisions: str, offline: bool = False) -> list[str]:
    # the library reads the address once, when it is imported
    places = {"HF_ENDPOINT": hub, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": str(int(offline))}
    command = [sys.executable, "-c", USER, *revisions]
    done = subprocess.run(command, check=True, cwd=root, env={**os.environ, **places}, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_only_what_the_index_names_is_fetched(hub: str, tmp_path: Path, project_root: Path) -> None:
    main, old, wrong = load(hub, tmp_path / "home", project_root, "main", "v1", "v2")
    assert (main, old) == ("2", "1")
    assert "model.base me/base" in wrong and "model.revision" in wrong
    fetched = set(Hub.asked)
    assert {"model_index.json", "transformer/diffusion_pytorch_model.safetensors", "vae/config.json"} <= fetched
    left_out = ("fp16", ".bin", "original", "lora")
    assert not [name for name in fetched if any(part in name for part in left_out)]
    # fetched once: a node without a network goes on
    assert load(hub, tmp_path / "home", project_root, "v1", OLD, offline=True) == ["1", "1"]
