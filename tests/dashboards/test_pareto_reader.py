"""Reading through the data provider: only what is new, whatever state the files are in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tests.dashboards.helpers import provider, write_sweep

from tensorboard_pareto import add_candidate, add_setup, add_video
from tensorboard_pareto.reader import CHUNK, Reader, batches, resolve_run

CTX = RequestContext()


def live(logdir: Path) -> tuple[Any, Reader]:
    multiplexer = EventMultiplexer()
    return multiplexer, Reader(MultiplexerDataProvider(multiplexer, str(logdir)))


def reload(multiplexer: Any, logdir: Path) -> None:
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()


def names(page: Any) -> list[str]:
    return [json.loads(data)["name"] for data in page.candidates]


def test_a_poll_reads_only_what_is_new(tmp_path: Path) -> None:
    multiplexer, reader = live(tmp_path)
    writer = EventFileWriter(str(tmp_path))
    for i in range(5):
        add_candidate(writer, {"i": i}, {"m": float(i)}, name=f"c{i}")
    writer.flush()
    reload(multiplexer, tmp_path)
    reader.refresh(CTX)
    first = reader.page()
    assert sorted(names(first)) == [f"c{i}" for i in range(5)]
    assert reader.reads == 5
    reader.refresh(CTX)
    assert reader.reads == 5
    assert names(reader.page(since=first.version, epoch=first.epoch)) == []
    add_candidate(writer, {"i": 9}, {"m": 9.0}, name="late")
    add_candidate(writer, {"i": 0}, {"m": -1.0}, name="c0")
    writer.close()
    reload(multiplexer, tmp_path)
    reader.refresh(CTX)
    news = reader.page(since=first.version, epoch=first.epoch)
    assert sorted(names(news)) == ["c0", "late"]
    assert reader.reads == 7
    assert len(names(reader.page(since=first.version, epoch=0))) == 6, "another epoch starts anew"


def test_pages(tmp_path: Path) -> None:
    writer = EventFileWriter(str(tmp_path))
    for i in range(25):
        add_candidate(writer, {"i": i}, {"m": float(i)}, name=f"c{i}")
    writer.close()
    reader = Reader(provider(tmp_path))
    reader.refresh(CTX)
    found: list[str] = []
    since, epoch, more = 0, None, True
    while more:
        page = reader.page(since=since, epoch=epoch, limit=10)
        found += names(page)
        since, epoch, more = page.version, page.epoch, page.more
    assert sorted(found) == sorted(f"c{i}" for i in range(25))


def test_many_runs_are_read_together_but_nothing_twice() -> None:
    new = {f"run{i}": {"pareto/candidate/a": (1, 0.0)} for i in range(1200)}
    everything = {run: list(tags) for run, tags in new.items()}
    assert [len(batch) for batch in batches(new, everything)] == [CHUNK, CHUNK, 1200 - 2 * CHUNK]
    # run1 has had an `a` for long: asking for run0's `a` together with run1's `b` would read it again
    moved = {"run0": {"a": (1, 0.0)}, "run1": {"b": (1, 0.0)}, "run2": {"a": (1, 0.0)}}
    listing = {"run0": ["a"], "run1": ["a", "b"], "run2": ["a"]}
    assert [set(batch) for batch in batches(moved, listing)] == [{"run0"}, {"run1"}, {"run2"}]
    assert [set(batch) for batch in batches({"run": dict.fromkeys(map(str, range(700)), (1, 0.0))}, {"run": []})] == [
        {"run"}, {"run"},
    ]  # fmt: skip
    assert list(batches({"run": {}}, {"run": ["a"]})) == []


def test_poll_answers_while_the_provider_hangs(tmp_path: Path) -> None:
    import threading

    released = threading.Event()

    class Hanging(MultiplexerDataProvider):
        def list_tensors(self, *arguments: Any, **options: Any) -> Any:
            released.wait(30)
            return super().list_tensors(*arguments, **options)

    writer = EventFileWriter(str(tmp_path))
    add_candidate(writer, {}, {"m": 1.0}, name="c")
    writer.close()
    multiplexer = EventMultiplexer()
    reload(multiplexer, tmp_path)
    reader = Reader(Hanging(multiplexer, str(tmp_path)))
    first = reader.poll(CTX, wait_s=0.01)
    assert first.candidates == [] and first.busy, "the client should ask again soon"
    assert reader.poll(CTX, wait_s=0.01).candidates == [], "a second poll does not wait for the first one's listing"
    released.set()
    reader.refresh(CTX)
    assert names(reader.page()) == ["c"] and not reader.page().busy


def test_what_vanishes_is_forgotten(tmp_path: Path) -> None:
    for run in ("a", "b"):
        writer = EventFileWriter(str(tmp_path / run))
        add_setup(writer, title=run)
        add_candidate(writer, {}, {"m": 1.0}, name=run)
        writer.close()
    multiplexer, reader = live(tmp_path)
    reload(multiplexer, tmp_path)
    reader.refresh(CTX)
    before = reader.page()
    assert sorted(names(before)) == ["a", "b"]
    shutil.rmtree(tmp_path / "b")
    fresh = EventMultiplexer()
    reload(fresh, tmp_path)
    reader._provider = MultiplexerDataProvider(fresh, str(tmp_path))
    reader.refresh(CTX)
    after = reader.page(since=before.version, epoch=before.epoch)
    assert after.epoch != before.epoch
    assert names(after) == ["a"]
    assert set(after.setups) == {"a"}


def test_a_truncated_event_file_gives_what_is_whole(tmp_path: Path) -> None:
    writer = EventFileWriter(str(tmp_path))
    for i in range(10):
        add_candidate(writer, {"i": i}, {"m": float(i)}, name=f"c{i}")
    writer.close()
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 2 // 3])
    reader = Reader(provider(tmp_path))
    reader.refresh(CTX)
    found = names(reader.page())
    assert 0 < len(found) < 10
    assert found == [f"c{i}" for i in range(len(found))]


def test_a_record_that_is_none_is_reported_not_fatal(tmp_path: Path) -> None:
    from tensorboard_pareto import records
    from tensorboard_pareto.writer import _add

    writer = EventFileWriter(str(tmp_path))
    bad = [
        b"no json",
        b"[]",
        b'{"version": 99}',
        b'{"version":1,"metrics":[],"parameters":{}}',
        b'{"version":1,"metrics":{"x":3},"parameters":{}}',
        b'{"version":1}',
        b"\xff\xfe",
    ]
    for i, data in enumerate(bad):
        _add(writer, f"{records.CANDIDATE}bad{i}", [data, b""], 0)
    add_candidate(writer, {}, {"m": 1.0}, name="good")
    writer.close()
    reader = Reader(provider(tmp_path))
    reader.refresh(CTX)
    page = reader.page()
    assert names(page) == ["good"]
    assert len(page.problems) == len(bad)
    assert any("version 99" in problem for problem in page.problems)
    reads = reader.reads
    reader.refresh(CTX)
    assert reader.reads == reads, "a bad record is not read again and again"


def test_settings_curves_and_videos(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    reader = Reader(provider(tmp_path))
    reader.refresh(CTX)
    assert reader.settings(CTX, "sweep", "t0003@60") == "name: t0003\nseed: 1\n"
    assert reader.settings(CTX, "sweep", "nobody") is None
    curves = reader.curves(CTX, "sweep", "t0000@60")
    assert list(curves) == ["trials/t0000"]
    assert curves["trials/t0000"]["loss/total"][0] == [0, 1.0]
    assert reader.curves(CTX, "sweep", "t0003@60") == {}
    videos = reader.videos(CTX, "sweep", "t0000@60")
    assert [video["candidate"] for video in videos] == ["", "t0000@60"]
    assert videos[1]["tracks"] == [[2, 3, 2.0, 2.0, 9.0, 9.0, ""]]
    strip = reader.strip(CTX, videos[0]["key"])
    assert strip is not None and strip.startswith(b"\x89PNG")
    assert reader.strip(CTX, "no key") is None
    assert reader.videos(CTX, "sweep", "t0020@60") == []


def test_frames_come_back_exactly(tmp_path: Path) -> None:
    import io

    frames = np.random.default_rng(0).integers(0, 255, (7, 10, 14, 3), dtype=np.uint8)
    writer = EventFileWriter(str(tmp_path))
    add_candidate(writer, {}, {"m": 1.0}, name="c")
    add_video(writer, "c", "clip/ä", frames, fps=7.5, context=2)
    writer.close()
    reader = Reader(provider(tmp_path))
    (video,) = reader.videos(CTX, ".", "c")
    strip = np.asarray(Image.open(io.BytesIO(reader.strip(CTX, video["key"]) or b"")))
    for t in range(7):
        row, column = divmod(t, video["columns"])
        assert (strip[row * 10 : row * 10 + 10, column * 14 : column * 14 + 14] == frames[t]).all()
    assert (video["clip"], video["fps"], video["context"]) == ("clip/ä", 7.5, 2)


def test_runs_outside_the_log_directory_are_refused() -> None:
    assert resolve_run("sweep", "../trials/a") == "trials/a"
    assert resolve_run("a/b", ".") == "a/b"
    assert resolve_run(".", "x") == "x"
    for relative in ("../../etc", "/etc/passwd", "..\\x", "a\0b"):
        assert resolve_run("sweep", relative) is None


def test_curves_of_a_foreign_path_are_empty(tmp_path: Path) -> None:
    writer = EventFileWriter(str(tmp_path / "log" / "run"))
    add_candidate(writer, {}, {"m": 1.0}, name="c", curves=["../../outside", "/etc"])
    writer.close()
    outside = EventFileWriter(str(tmp_path / "outside"))
    add_candidate(outside, {}, {"m": 1.0}, name="secret")
    outside.close()
    reader = Reader(provider(tmp_path / "log"))
    reader.refresh(CTX)
    assert reader.curves(CTX, "run", "c") == {}
