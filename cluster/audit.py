#!/usr/bin/env python3
"""Compares the pinned packages with the advisories that pip-audit knows, where its database can be reached.

python cluster/audit.py            says what is known; `make lint` calls it, and an advisory does not make lint fail
python cluster/audit.py --strict   ends with 1 if there is an advisory (`make audit`)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parents[1] / "constraints.txt"
PROBE = "pip==23.0"
"""A release with a published advisory (CVE-2023-5752): a database that knows nothing of it is none."""


def audit(pins: str, seconds: float = 300.0) -> list[dict[str, Any]] | None:
    """Ask pip-audit about `name==version` lines.

    Returns:
        Its `dependencies`, each with `name`, `version` and `vulns` or `skip_reason`; None where it got no answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pins.txt"
        file.write_text(pins, encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
            found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            return None
    return found


def said(found: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each advisory, and one for what could not be asked."""
    lines = [
        f"{row['name']} {row['version']}: {', '.join([flaw['id'], *flaw.get('aliases', ())])}, "
        f"mended in {', '.join(flaw.get('fix_versions', ())) or 'no release yet'}"
        for row in found
        for flaw in row.get("vulns", ())
    ]
    unknown = [row["name"] for row in found if "skip_reason" in row]
    if unknown:
        lines.append(f"not known to the database: {', '.join(unknown)}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="end with 1 if there is an advisory")
    strict = parser.parse_args(arguments).strict
    probe = audit(PROBE, 60.0)
    if not probe or not any(row.get("vulns") for row in probe):
        print("audit: no database of advisories can be reached from here; nothing was audited")
        return 0
    pins = "\n".join(line for line in PINS.read_text(encoding="utf-8").splitlines() if "==" in line)
    found = audit(pins)
    if found is None:
        print("audit: the database stopped answering; nothing was audited")
        return 0
    for line in said(found):
        print(f"audit: {line}")
    flaws = sum(len(row.get("vulns", ())) for row in found)
    print(f"audit: {len(found)} pinned packages, {flaws} advisories")
    return int(strict and flaws > 0)


if __name__ == "__main__":
    sys.exit(main())
