from __future__ import annotations

from pathlib import Path

import pytest

from drivereplay.evaluation.catalogue import BEGIN, END, catalogue, inserted
from drivereplay.evaluation.metric import metric_names


def test_every_metric_has_its_row() -> None:
    rows = catalogue().splitlines()
    assert len(rows) == 2 + len(metric_names())
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows)


def test_the_docs_hold_the_registry_s_table(project_root: Path) -> None:
    text = (project_root / "platform" / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert inserted(text) == text
    with pytest.raises(ValueError, match="marks"):
        inserted(text.replace(END, "").replace(BEGIN, ""))
