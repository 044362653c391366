"""The saved page of a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.dashboards.helpers import write_sweep

from drivereplay.dashboard.static import write_static
from drivereplay.errors import SpecError


def embedded(page: Path) -> dict[str, list[dict[str, object]]]:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'id="pareto-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return data


def test_one_file_with_everything(tmp_path: Path) -> None:
    write_sweep(tmp_path / "run" / "tensorboard", count=8)
    file = write_static(tmp_path / "run", tmp_path / "out" / "page.html")
    data = embedded(file)
    assert len(data["candidates"]) == 8
    assert data["details"][0]["settings"]
    assert len(data["videos"]) == 7
    text = file.read_text(encoding="utf-8")
    assert "src=" not in text.split("<body>")[0].replace("-src", "") and "href=" not in text.split("</style>")[0]
    assert "default-src 'none'" in text


def test_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="There are no candidates"):
        write_static(tmp_path, tmp_path / "page.html")
    with pytest.raises(SpecError, match="There is no directory"):
        write_static(tmp_path / "none", tmp_path / "page.html")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    write_sweep(tmp_path / "log", count=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot be written"):
        write_static(tmp_path / "log", tmp_path / "file" / "page.html")
