"""The contact sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from drivereplay.domains.worlds.sheet import contact_sheet, main


def test_the_sheet_shows_every_world(tmp_path: Path) -> None:
    assert main([str(tmp_path / "docs" / "sheet.png"), "16x24"]) == 0
    picture = np.round(imread(tmp_path / "docs" / "sheet.png")[..., :3] * 255).astype(np.uint8)
    # twelve rows in two columns: a label of 10 and a picture of 16 pixels each
    assert picture.shape == (6 * 26, 2 * 4 * 24 + 6, 3)
    assert (contact_sheet(16, 24) == picture).all()


def test_a_wrong_call_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["a.png", "large"]) == 2
    assert "HEIGHTxWIDTH" in capsys.readouterr().err
