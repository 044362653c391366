"""Each mistake gets one clear message and the right exit code, or is set aside in the ingest report."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.footage import moving_square


def one_message(outcome: Any, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    assert outcome.err.startswith("error: "), outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


@pytest.fixture
def bad_directory(tmp_path: Path) -> Path:
    """Every kind of file that is no good, and two that are."""
    import av

    from drivereplay.domains.mp4 import write_video

    root = tmp_path / "mixed"
    root.mkdir()
    write_video(root / "good.mp4", moving_square(1, 40), 16.0)
    write_video(root / "odd.mp4", moving_square(2, 40, 71, 95), 16.0)
    write_video(root / "one-frame.mp4", moving_square(3, 1), 16.0)
    write_video(root / "short.mp4", moving_square(4, 3), 16.0)
    (root / "empty.mp4").write_bytes(b"")
    (root / "text.mp4").write_text("this is no video\n" * 50)
    whole = (root / "good.mp4").read_bytes()
    (root / "truncated.mp4").write_bytes(whole[: len(whole) // 3])
    with av.open(str(root / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        for _ in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return root


def test_ingest_sets_bad_files_aside_with_the_reason(cli: Any, bad_directory: Path, tmp_path: Path) -> None:
    done = cli("ingest", bad_directory, "--domain", "mixed", "--out", tmp_path / "index.parquet", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    aside = {Path(row["key"]).name: row["reason"] for row in report["set_aside"]}
    assert set(aside) == {"one-frame.mp4", "short.mp4", "empty.mp4", "text.mp4", "truncated.mp4", "audio.mp4"}
    assert all(aside.values())
    assert {Path(row["key"]).name for row in report["recordings"]} == {"good.mp4", "odd.mp4"}


def test_empty_and_missing_directories(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    for path in (tmp_path / "nothing", tmp_path / "nowhere"):
        outcome = cli("ingest", path, "--domain", "d", "--out", tmp_path / "i.parquet")
        one_message(outcome, 2, str(path))


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["replay.frequency=1.5"], ["replay.frequency"]),
        (["replay.domains.street.weight=-1"], ["weight"]),
        (["replay.weights=[0, 0]"], ["all zero"]),
        (["evaluation.metrics=[fidelity.psnrr]"], ["fidelity.psnrr", "fidelity.psnr"]),
        (["search.objectives=[fidelity.nonsense, agents.flow_epe]"], ["fidelity.nonsense"]),
        (["target.source.path=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["model.base=/nowhere/at/all"], ["/nowhere/at/all"]),
        (["model.family=none"], ["none", "wan"]),
        (["clip.height=17"], ["17"]),
        (["search.space={replay.frequncy: {uniform: [0, 1]}}"], ["replay.frequncy"]),
        (["search.space={replay.frequency: {uniform: [1, 0]}}"], ["replay.frequency"]),
    ],
)
def test_wrong_experiments_start_nothing(cli: Any, experiment: Path, sets: list[str], words: list[str]) -> None:
    outcome = cli("sweep", experiment, *[part for item in sets for part in ("--set", item)])
    one_message(outcome, 2, *words)
    run = experiment.parent / "runs" / "small"
    assert not (run / "candidates.parquet").exists()


def test_a_spec_that_is_no_mapping(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(["a", "b"]))
    one_message(cli("train", path), 2, "not a mapping")


def test_an_unwritable_storage(cli: Any, experiment: Path, tmp_path: Path) -> None:
    # a file where the directory should be: root may write anywhere else
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    for verb in ("train", "sweep"):
        one_message(cli(verb, experiment, "--set", f"storage={blocked}/runs"), 2, "blocked")


def test_a_target_with_one_recording_cannot_be_split(cli: Any, experiment: Path, footage: Path) -> None:
    alone = footage / "driving" / "0.mp4"
    outcome = cli("train", experiment, "--set", f"target.source.path={alone}")
    one_message(outcome, 2, "driving", "evaluation")


def test_videos_shorter_than_a_clip_are_said_so(cli: Any, experiment: Path) -> None:
    outcome = cli("train", experiment, "--set", "clip.frames=600", "--set", "clip.context=2")
    assert outcome.code in (1, 2)
    one_message(outcome, outcome.code, "driving")


def test_front_of_a_directory_without_a_sweep(cli: Any, tmp_path: Path) -> None:
    one_message(cli("front", tmp_path), 2, str(tmp_path))


def test_evaluate_wants_one_of_its_two_forms(cli: Any, tmp_path: Path) -> None:
    one_message(cli("evaluate"), 2, "CHECKPOINT")
    one_message(cli("evaluate", "--generated", tmp_path), 2, "--real")
    one_message(cli("evaluate", tmp_path / "no-checkpoint"), 2, "no-checkpoint")


def test_unknown_world_and_zero_clips(cli: Any, tmp_path: Path) -> None:
    one_message(cli("worlds", tmp_path / "w", "--world", "hihgway"), 2, "hihgway", "highway")
    one_message(cli("worlds", tmp_path / "w", "--clips", 0), 2, "0")


def test_environment_is_clean_of_a_foreign_cluster() -> None:
    assert "RAY_ADDRESS" not in os.environ
