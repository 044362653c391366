"""Event files on local and other storage, and the HParams tab's records."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs as pafs
from tensorboard.plugins.hparams import metadata
from tests.dashboard.helpers import accumulated

from drivereplay.dashboard.events import EventFiles, add_hparams, add_hparams_columns
from drivereplay.storage import Storage


def test_a_kept_writer_is_flushed_and_used_again(tmp_path: Path) -> None:
    files = EventFiles(Storage.of(tmp_path))
    for step in range(3):
        with files.run("sweep", keep=True) as writer:
            writer.add_scalar("x", step, step)
        assert len(accumulated(tmp_path / "tensorboard/sweep").Scalars("x")) == step + 1
    files.close()
    files.close()
    assert len(list((tmp_path / "tensorboard/sweep").iterdir())) == 1


def test_other_storage_gets_whole_files(tmp_path: Path) -> None:
    # a filesystem that is not the local one, as an object store is not
    root = Storage(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "bucket/run", "mock://bucket/run")
    assert root.local is None
    (tmp_path / "bucket/run/tensorboard/sweep").mkdir(parents=True)
    files = EventFiles(root)
    for step in range(12):
        with files.run("sweep", keep=True) as writer:
            writer.add_scalar("x", step, step)
    files.close()
    names = root.names("tensorboard/sweep")
    assert len(names) == 12 and all("tfevents" in name for name in names)
    # in the writers' own names the tenth file of a second would sort before the second one and be passed over
    found = accumulated(tmp_path / "bucket/run/tensorboard/sweep").Scalars("x")
    assert [event.step for event in found] == list(range(12))


def test_hparams_with_both_objectives(tmp_path: Path) -> None:
    files = EventFiles(Storage.of(tmp_path))
    with files.run("sweep") as writer:
        add_hparams_columns(writer, {"rho": True, "kind": False}, {"fvd": "min", "psnr": "max"})
    with files.run("trials/t") as writer:
        add_hparams(writer, {"rho": 0.5, "kind": "naive", "list": [1]}, "t", failed=True)
    sweep = accumulated(tmp_path / "tensorboard/sweep").SummaryMetadata(metadata.EXPERIMENT_TAG)
    experiment = metadata.parse_experiment_plugin_data(sweep.plugin_data.content)
    assert [info.name.tag for info in experiment.metric_infos] == ["fvd", "psnr"]
    assert [info.description for info in experiment.metric_infos] == ["lower is better", "higher is better"]
    trial = accumulated(tmp_path / "tensorboard/trials/t")
    start = metadata.parse_session_start_info_plugin_data(
        trial.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    )
    assert (
        start.group_name == "t"
        and start.hparams["rho"].number_value == 0.5
        and start.hparams["list"].string_value == "[1]"
    )
    end = metadata.parse_session_end_info_plugin_data(
        trial.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    )
    assert end.status == 2
