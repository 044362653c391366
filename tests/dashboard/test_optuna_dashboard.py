"""Optuna's own dashboard opens the journal that a sweep leaves."""

from __future__ import annotations

import json
import threading
import urllib.request
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna_dashboard import wsgi

from drivereplay.search.journal import FILE, Journal
from drivereplay.storage import Storage


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nothing on the tests' output."""


def test_the_journal_opens_as_a_second_viewer(tmp_path: Path) -> None:
    path = tmp_path / FILE
    study = optuna.create_study(
        storage=Journal(Storage.of(tmp_path)).storage(), study_name="quickstart-1", directions=["maximize", "minimize"]
    )
    study.optimize(lambda trial: (x := trial.suggest_float("replay.frequency", 0, 1), 1 - x), n_trials=3)
    application = wsgi(JournalStorage(JournalFileBackend(str(path))))
    server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/api/studies") as answer:
            (summary,) = json.load(answer)["study_summaries"]
        assert summary["study_name"] == "quickstart-1"
        with urllib.request.urlopen(
            f"http://127.0.0.1:{server.server_port}/api/studies/{summary['study_id']}"
        ) as answer:
            detail = json.load(answer)
        assert len(detail["trials"]) == 3
        assert all(len(trial["values"]) == 2 for trial in detail["trials"])
    finally:
        server.shutdown()
        server.server_close()
