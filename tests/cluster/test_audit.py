"""`cluster/audit.py`, with pip-audit in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster import audit

SCRIPT = Path(audit.__file__)


def test_it_says_what_it_found_or_that_it_found_no_database() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("audit: ")
    assert "nothing was audited" in done.stdout or "pinned packages" in done.stdout


def test_an_advisory_is_one_line_with_the_release_that_mends_it() -> None:
    row = {
        "name": "pip",
        "version": "23.0",
        "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["23.3"]}],
    }
    assert audit.said([row, {"name": "own", "version": "1", "skip_reason": "not found"}]) == [
        "pip 23.0: PYSEC-1, CVE-2, mended in 23.3",
        "not known to the database: own",
    ]


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 1)])
def test_only_strict_fails(monkeypatch: pytest.MonkeyPatch, strict: bool, code: int) -> None:
    """Where no database can be reached there is no other way to see this than with a made-up answer."""
    answer = [{"name": "pip", "version": "23.0", "vulns": [{"id": "PYSEC-1"}]}]
    monkeypatch.setattr(audit, "audit", lambda pins, seconds=0.0: answer)
    assert audit.main(["--strict"] if strict else []) == code
