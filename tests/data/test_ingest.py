"""Ingest: what is used, what is set aside, and how train and evaluation are divided."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.footage import moving_square

from drivereplay.data import ingest as ingest_module
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.ingest import divide, probed
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

CLIP = ClipSpec(frames=8, context=2, fps=8, height=32, width=48)


def ingested(directory: Path, out: Path) -> ClipIndex:
    return ingest(read_videos(str(directory)), domain="d", clip=CLIP, held_out=0.25, seed=0, out=out)


@pytest.mark.usefixtures("ray_session")
def test_bad_files_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for number in range(3):
        write_video(videos / f"good{number}.mp4", moving_square(number, 20), 8.0)
    write_video(videos / "short.mp4", moving_square(5, 6), 8.0)
    write_video(videos / "one.mp4", moving_square(6, 1), 8.0)
    (videos / "zero.mp4").write_bytes(b"")
    (videos / "text.mp4").write_text("no video " * 200)
    whole = (videos / "good0.mp4").read_bytes()
    (videos / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    index = ingested(videos, tmp_path / "index")
    assert index.report.videos == 3
    reasons = index.report.set_aside
    assert sorted(reasons) == ["cut.mp4", "one.mp4", "short.mp4", "text.mp4", "zero.mp4"]
    assert "shorter than a clip" in reasons["short.mp4"]
    assert "1 frame" in reasons["one.mp4"]
    assert "empty" in reasons["zero.mp4"]
    assert "cannot be decoded" in reasons["text.mp4"] and "cannot be decoded" in reasons["cut.mp4"]


def test_only_new_and_changed_files_are_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = tmp_path / "videos"
    for number in range(2):
        write_video(videos / f"{number}.mp4", moving_square(number, 20), 8.0)
    seen: list[list[str]] = []

    def watched(recordings: list[Recording]) -> object:
        seen.append([r.key for r in recordings])
        return probed(recordings)

    monkeypatch.setattr(ingest_module, "probed", watched)
    first = ingested(videos, tmp_path / "index")
    again = ingested(videos, tmp_path / "index")
    assert again.table.equals(first.table)
    write_video(videos / "1.mp4", moving_square(8, 24), 8.0)
    write_video(videos / "2.mp4", moving_square(9, 20), 8.0)
    (videos / "0.mp4").unlink()
    changed = ingested(videos, tmp_path / "index")
    assert seen == [["0.mp4", "1.mp4"], [], ["1.mp4", "2.mp4"]]
    assert changed.table["key"].to_pylist() == ["1.mp4", "2.mp4"]
    assert changed.table["frames"].to_pylist() == [24, 20]


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "a.mp4", moving_square(0, 20), 8.0)
    first = ingested(tmp_path / "videos", tmp_path / "index")
    head = tmp_path / "index" / "index.json"
    head.write_text(json.dumps({**json.loads(head.read_text()), "version": 1}))
    # as before there was `part_s`
    pq.write_table(first.table.drop_columns("part_s"), tmp_path / "index" / "videos.parquet")
    with pytest.raises(DataError, match="clip index of version 1"):
        ClipIndex.open(tmp_path / "index")
    assert ingested(tmp_path / "videos", tmp_path / "index").table.equals(first.table)
    assert ClipIndex.open(tmp_path / "index").table.equals(first.table)


def test_nothing_usable(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"no clip in 1 videos. a.mp4 the file is empty"):
        ingested(tmp_path / "videos", tmp_path / "index")


def test_keys_must_differ(tmp_path: Path) -> None:
    twice = [Recording(key="a", path="x"), Recording(key="a", path="y")]
    with pytest.raises(DataError, match="several recordings are called a"):
        ingest(twice, domain="d", clip=CLIP, held_out=0.25, seed=0, out=tmp_path / "index")


def test_an_interrupted_ingest_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = tmp_path / "videos"
    for number in range(3):
        write_video(videos / f"{number}.mp4", moving_square(number, 20), 8.0)
    seen: list[list[str]] = []

    def interrupted(recordings: list[Recording]) -> Iterator[object]:
        seen.append([r.key for r in recordings])
        for count, found in enumerate(probed(recordings)):
            if count == 2:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(ingest_module, "probed", interrupted)
    monkeypatch.setattr(ingest_module, "_SAVE_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        ingested(videos, tmp_path / "index")
    index = ingested(videos, tmp_path / "index")
    assert len(seen[0]) == 3 and len(seen[1]) == 1
    monkeypatch.undo()
    assert index.table.equals(ingested(videos, tmp_path / "fresh").table)
    assert sorted(p.name for p in (tmp_path / "index").iterdir()) == ["index.json", "videos.parquet"]


def stubborn(recording: Recording) -> str:
    """Stands in for decoding: the recording's key says what the file does to its process."""
    if recording.key.startswith("kills"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if recording.key.startswith("hangs"):
        threading.Event().wait()
    return "fine"


@pytest.mark.usefixtures("ray_session")
def test_files_that_kill_or_hang_the_decoder_are_set_aside_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_module, "_probed", stubborn)
    monkeypatch.setattr(ingest_module, "PATIENCE_S", 3.0)
    keys = ["a", "kills", "b", "hangs", "c", "kills too", "d"]
    found = {r.key: result for r, result in probed([Recording(key=k, path="") for k in keys])}
    assert all(found[key] == "fine" for key in "abcd")
    assert found["kills"] == found["kills too"] == "crashes the decoder (signal 11)"
    assert found["hangs"] == "was given up: decoding took more than 3 s"


@pytest.mark.parametrize("keys", [["kills"], ["a", "kills", "b"]])
def test_without_ray_too_files_are_decoded_in_a_process_apart(monkeypatch: pytest.MonkeyPatch, keys: list[str]) -> None:
    monkeypatch.setattr(ingest_module, "_probed", stubborn)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    found = {r.key: result for r, result in probed([Recording(key=k, path="") for k in keys])}
    assert found == {key: "crashes the decoder (signal 11)" if key == "kills" else "fine" for key in keys}


def test_episodes_of_one_file_are_no_duplicates_and_are_probed_anew_when_they_move(tmp_path: Path) -> None:
    video = np.concatenate([moving_square(seed, 10) for seed in range(3)])
    write_video(tmp_path / "a.mp4", video, 8.0)

    def made(*ends_s: float) -> ClipIndex:
        parts = zip((0.0, *ends_s), ends_s, strict=False)
        found = [Recording(key=f"{n}", path=str(tmp_path / "a.mp4"), part_s=part) for n, part in enumerate(parts)]
        return ingest(found, domain="d", clip=CLIP, held_out=0.25, seed=0, out=tmp_path / "index")

    index = made(1.25, 2.5, 3.75)
    assert index.table["duplicate_of"].to_pylist() == [None] * 3
    assert len(set(index.table["digest"].to_pylist())) == 3
    assert index.table["group"].to_pylist() == ["0", "1", "2"]
    moved = made(1.5, 2.5, 3.75)
    assert moved.table["frames"].to_pylist() == [12, 8, 10]
    assert moved.table["part_s"].to_pylist() == [[0.0, 1.5], [1.5, 2.5], [2.5, 3.75]]


def huge_png(path: Path) -> None:
    """A PNG that says it is of 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_a_picture_that_claims_to_be_huge_is_set_aside(tmp_path: Path) -> None:
    write_video(tmp_path / "good.mp4", moving_square(0, 20), 8.0)
    huge_png(tmp_path / "0.png")
    found = [
        Recording(key="good", path=str(tmp_path / "good.mp4")),
        Recording(key="huge", path=str(tmp_path), images=("0.png", "0.png"), fps=8.0),
    ]
    index = ingest(found, domain="d", clip=CLIP, held_out=0.25, seed=0, out=tmp_path / "index")
    assert index.table["key"].to_pylist() == ["good"]
    assert "image 0.png cannot be decoded" in index.report.set_aside["huge"]


def test_whatever_a_library_raises_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(recording: Recording) -> None:
        raise ZeroDivisionError("a header\nfull of zeros")

    monkeypatch.setattr(ingest_module, "probe", raises)
    assert ingest_module._probed(Recording(key="a", path="")) == "cannot be read: ZeroDivisionError: full of zeros"


def test_a_name_that_is_not_utf8_is_set_aside(tmp_path: Path) -> None:
    write_video(tmp_path / "videos" / "good.mp4", moving_square(0, 20), 8.0)
    (tmp_path / "videos" / os.fsdecode(b"caf\xe9.mp4")).write_bytes((tmp_path / "videos" / "good.mp4").read_bytes())
    index = ingested(tmp_path / "videos", tmp_path / "index")
    assert index.report.set_aside == {"caf\\udce9.mp4": "its name is not UTF-8: rename it"}
    index.report.summary().encode()


@pytest.mark.parametrize("stride", [4, 80])
def test_a_time_lapse_has_no_clip(tmp_path: Path, stride: int) -> None:
    # an image every ten seconds, clips of .875 s
    write_video(tmp_path / "v" / "slow.mp4", moving_square(0, 6), 0.1)
    write_video(tmp_path / "v" / "good.mp4", moving_square(1, 20), 8.0)
    clip = CLIP.model_copy(update={"stride": stride})
    index = ingest(
        read_videos(str(tmp_path / "v")), domain="d", clip=clip, held_out=0.4, seed=0, out=tmp_path / "index"
    )
    assert "shows one image for longer than a clip" in index.report.set_aside["slow.mp4"]
    assert index.videos("train") == ["good.mp4"]


@settings(deadline=None)
@given(
    windows=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    groups=st.integers(1, 10),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 99),
)
def test_division(windows: list[int], groups: int, share: float, seed: int) -> None:
    rows = [{"group": f"g{n % groups}", "windows": w, "split": None} for n, w in enumerate(windows)]
    divide(rows, share, seed)
    splits = defaultdict(set)
    clips = {"train": 0, "evaluation": 0}
    for row in rows:
        splits[row["group"]].add(row["split"])
        clips[row["split"]] += row["windows"]
    assert all(len(found) == 1 for found in splits.values())
    assert clips["train"] > 0
    assert (clips["evaluation"] > 0) == (len(splits) > 1)


def test_equal_videos_are_divided_to_the_very_share() -> None:
    rows = [{"group": f"g{n}", "windows": 3, "split": None} for n in range(40)]
    divide(rows, 0.25, 0)
    assert sum(row["split"] == "evaluation" for row in rows) == 10
    other = [{"group": f"g{n}", "windows": 3, "split": None} for n in range(40)]
    divide(other, 0.25, 1)
    assert [r["split"] for r in rows] != [r["split"] for r in other]


def test_a_large_recording_is_not_held_out_for_a_small_share() -> None:
    for seed in range(10):
        rows = [{"group": g, "windows": w, "split": None} for g, w in (("long", 16), ("short", 2))]
        divide(rows, 0.25, seed)
        assert [row["split"] for row in rows] == ["train", "evaluation"]


def test_what_the_reader_decided_stays() -> None:
    rows = [{"group": "a", "windows": 5, "split": "evaluation"}, {"group": "b", "windows": 5, "split": None}]
    divide(rows, 0.9, 0)
    assert [row["split"] for row in rows] == ["evaluation", "train"]
