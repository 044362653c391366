"""A LeRobot v3 data set: two episodes in one file, one in another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.footage import moving_square
from tests.marked import make, needs_ffmpeg, numbers_in

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ingest
from drivereplay.domains.lerobot import read_lerobot
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import SpecError
from drivereplay.spec import ClipSpec
from drivereplay.videos import read_video

CAMERA = "observation.images.front"


def write(root: Path) -> None:
    episodes = [moving_square(0, 30), moving_square(4, 40), moving_square(9, 24)]
    video = root / "videos" / CAMERA / "chunk-000"
    write_video(video / "file-000.mp4", np.concatenate(episodes[:2]), 10.0)
    write_video(video / "file-001.mp4", episodes[2], 10.0)
    _tables(root, [(0, 0, 0.0, 3.0), (1, 0, 3.0, 7.0), (2, 1, 0.0, 2.4)], [30, 40, 24], 10)


def _tables(root: Path, rows: list[tuple[int, int, float, float]], lengths: list[int], fps: int) -> None:
    """Rows are episode, file, start and end."""
    columns = {
        "episode_index": [r[0] for r in rows],
        "length": lengths,
        f"videos/{CAMERA}/chunk_index": [0] * len(rows),
        f"videos/{CAMERA}/file_index": [r[1] for r in rows],
        f"videos/{CAMERA}/from_timestamp": [r[2] for r in rows],
        f"videos/{CAMERA}/to_timestamp": [r[3] for r in rows],
    }
    meta = root / "meta" / "episodes" / "chunk-000"
    meta.mkdir(parents=True)
    pq.write_table(pa.table(columns), meta / "file-000.parquet")
    features = {"action": {"dtype": "float32", "shape": [6]}, CAMERA: {"dtype": "video", "shape": [72, 96, 3]}}
    info = {
        "codebase_version": "v3.0", "fps": fps, "features": features,
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }  # fmt: skip
    (root / "meta" / "info.json").write_text(json.dumps(info))


def test_episodes_are_parts_of_files(tmp_path: Path) -> None:
    write(tmp_path / "l")
    found = read_lerobot(str(tmp_path / "l"), None)
    assert [r.key for r in found] == ["episode-000000", "episode-000001", "episode-000002"]
    assert [r.part_s for r in found] == [(0.0, 3.0), (3.0, 7.0), (0.0, 2.4)]
    clip = ClipSpec(frames=8, context=2, fps=10, height=36, width=48)
    index = ingest(found, domain="l", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index")
    assert sorted(zip(index.table["key"].to_pylist(), index.table["frames"].to_pylist(), strict=True)) == [
        ("episode-000000", 30), ("episode-000001", 40), ("episode-000002", 24)
    ]  # fmt: skip
    whole = read_video(found[1].path, ClipSpec(frames=2, context=1, fps=10, height=36, width=48))
    decoder = Decoder(clip)
    for split in ("train", "evaluation"):
        for n in range(index.count(split)):
            window = index.window(split, n)
            if window.key == "episode-000001":
                frames, failed = decoder.decode([window])
                assert not failed
                expected = whole[[30 + number for number in window.frames]]
                assert np.abs(frames[0].astype(int) - expected).mean() < 0.5


def test_other_versions_and_cameras(tmp_path: Path) -> None:
    write(tmp_path / "l")
    with pytest.raises(SpecError, match="no camera 'wrist'"):
        read_lerobot(str(tmp_path / "l"), "wrist")
    info = json.loads((tmp_path / "l" / "meta" / "info.json").read_text())
    (tmp_path / "l" / "meta" / "info.json").write_text(json.dumps({**info, "codebase_version": "v2.1"}))
    with pytest.raises(SpecError, match=r"version v2\.1"):
        read_lerobot(str(tmp_path / "l"), None)
    with pytest.raises(SpecError, match="cannot be read"):
        read_lerobot(str(tmp_path), None)


@needs_ffmpeg
@pytest.mark.parametrize("drift_s", [0.0, 1e-4, 4e-4, 8e-4, 0.0167, -0.0167])
def test_episodes_whose_times_drift_have_their_own_frames(tmp_path: Path, drift_s: float) -> None:
    """Times of episodes are sums of rounded durations; of the frames that carry their number none is another's."""
    length, episodes = 60, 6
    video = tmp_path / "videos" / CAMERA / "chunk-000"
    video.mkdir(parents=True)
    make(video / "file-000.mp4", length * episodes, "-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p", fps=30)
    starts = [number * (length / 30 + drift_s) for number in range(episodes)]
    _tables(tmp_path, [(n, 0, start, start + length / 30) for n, start in enumerate(starts)], [length] * episodes, 30)
    found = read_lerobot(str(tmp_path), None)
    clip = ClipSpec(frames=4, context=2, fps=30, height=108, width=192, stride=4)
    index = ingest(found, domain="l", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index")
    assert index.table["frames"].to_pylist() == [length] * episodes
    decoder = Decoder(clip)
    seen: dict[int, list[int]] = {}
    for split in ("train", "evaluation"):
        for n in range(index.count(split)):
            window = index.window(split, n)
            frames, failed = decoder.decode([window])
            assert not failed
            seen.setdefault(int(window.key[-6:]), []).extend(numbers_in(frames[0]))
    decoder.close()
    assert {episode: sorted(numbers) for episode, numbers in seen.items()} == {
        episode: list(range(episode * length, (episode + 1) * length)) for episode in range(episodes)
    }
