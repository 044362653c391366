"""The stream against what one would use instead: a pool of decord readers, a DataLoader, Ray's own reader and mix.

    python tests/bench/bench_stream.py [--quick]

Prints ratios of rates measured in one run, on windows of 16 frames at 160×96 from three one-minute files (512×320, GOP
30) and from as many short files as there are windows.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from drivereplay.data.index import ClipIndex, Window
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.stream import batches
from drivereplay.session import ensure_ray
from drivereplay.spec import Spec, parse_spec

CORES = 2


def write(path: Path, frames: int, seed: int, fps: int = 30) -> None:
    """Moving blobs over a drifting texture, 512×320, a key frame every 30."""
    import av

    generator = np.random.default_rng(seed)
    ground = generator.integers(0, 255, (40, 128, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"g": "30", "preset": "veryfast", "crf": "23"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = 512, 320, "yuv420p"
        for n in range(frames):
            picture = np.ascontiguousarray(np.roll(ground, 2 * n, axis=1)[:, :512])
            x = (7 * n + 31 * seed) % 440
            picture[100:160, x : x + 60] = (250, 240, n % 200)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def experiment(videos: Path, storage: Path, steps: int, batch: int, cache: bool) -> Spec:
    return parse_spec(
        {
            "name": "bench",
            "storage": str(storage),
            "clip": {"frames": 16, "context": 4, "fps": 30, "height": 96, "width": 160, "resize": "stretch"},
            "target": {"name": "footage", "source": {"kind": "videos", "path": str(videos)}},
            "evaluation": {"held_out": 0.25},
            "training": {"steps": steps, "batch_size": batch, "cache": cache},
        }
    )


def planned(spec: Spec, index: ClipIndex) -> list[Window]:
    plan = SamplingPlan.of(spec, [index.count("train")])
    return [index.window("train", int(c)) for c in plan.rows(0, spec.training.steps).clip]


def in_pool(windows: Sequence[Window]) -> float:
    """Windows per second of two threads, each with its own decord readers that stay open."""
    import threading

    import decord

    own = threading.local()

    def read(window: Window) -> int:
        readers = own.__dict__.setdefault("readers", {})
        if window.path not in readers:
            if len(readers) >= 16:
                readers.pop(next(iter(readers)))
            readers[window.path] = decord.VideoReader(window.path, width=160, height=96, num_threads=1)
        return len(readers[window.path].get_batch(list(window.frames)).asnumpy())

    with ThreadPoolExecutor(CORES) as pool:
        begin = time.perf_counter()
        for _ in pool.map(read, windows):
            pass
        return len(windows) / (time.perf_counter() - begin)


def sorted_within(windows: Sequence[Window], size: int = 192) -> list[Window]:
    parts = (windows[n : n + size] for n in range(0, len(windows), size))
    return [w for part in parts for w in sorted(part, key=lambda w: (w.path, w.frames))]


class _Windows:
    """A map-style data set; not defined inside a function, so that worker processes can load it."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = windows
        self.readers: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, n: int) -> np.ndarray:
        import decord

        window = self.windows[n]
        if window.path not in self.readers:
            if len(self.readers) >= 16:
                self.readers.pop(next(iter(self.readers)))
            self.readers[window.path] = decord.VideoReader(window.path, width=160, height=96, num_threads=1)
        frames: np.ndarray = self.readers[window.path].get_batch(list(window.frames)).asnumpy()
        return frames


def in_loader(windows: Sequence[Window], batch: int) -> float:
    """Windows per second of torch's DataLoader with two worker processes; its start is not counted."""
    from torch.utils.data import DataLoader

    loader = DataLoader(_Windows(windows), batch_size=batch, num_workers=CORES)
    return rate(iter(loader), len(windows), batch)


def rate(produced: Iterator[Any], windows: int, batch: int) -> float:
    """Windows per second from the first batch on."""
    next(produced)
    begin, count = time.perf_counter(), 0
    for _ in produced:
        count += 1
    return (windows - batch) / (time.perf_counter() - begin) if count else float("nan")


def in_ray(windows: Sequence[Window], in_order: bool) -> float:
    """Windows per second, start included, of `read_videos` and `Dataset.mix` until they have made the same windows.

    `read_videos` gives every frame of a file, resized while it reads; a file's windows are cut from them in the order
    in which the plan has them, and the files are mixed in the plan's shares. Each frame is decoded once, and all frames
    of a file are in memory together. The mix keeps each file's own order and no other, so to come to the plan's
    batches (`in_order`) its rows are sorted by their numbers in the plan.
    """
    import ray.data

    of_file: dict[str, list[int]] = {}
    for number, window in enumerate(windows):
        of_file.setdefault(window.path, []).append(number)
    begin = time.perf_counter()
    first, *others = (
        ray.data.read_videos(path, resize=(96, 160), override_num_blocks=1).map_batches(
            _Cut(wanted, [windows[n] for n in wanted]), batch_size=_frames(path), batch_format="numpy"
        )
        for path, wanted in of_file.items()
    )
    mixed = first.mix(*others, weights=[float(len(wanted)) for wanted in of_file.values()])
    if in_order:
        mixed = mixed.sort("sample")
    made: list[int] = []
    for batch in mixed.iter_batches(batch_size=32, batch_format="numpy"):
        assert len(batch["clip"]) == len(batch["sample"])
        made += batch["sample"].tolist()
    seconds = time.perf_counter() - begin
    assert (made if in_order else sorted(made)) == list(range(len(windows)))
    return len(made) / seconds


def _frames(path: str) -> int:
    import decord

    return len(decord.VideoReader(path, num_threads=1))


class _Cut:
    """A file's frames, in any order, to the wanted windows of them, with their numbers in the plan."""

    def __init__(self, samples: Sequence[int], windows: Sequence[Window]) -> None:
        self.samples = np.asarray(samples)
        self.wanted = np.asarray([window.frames for window in windows])

    def __call__(self, batch: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        frames = np.empty_like(batch["frame"])
        frames[batch["frame_index"]] = batch["frame"]
        for n in range(0, len(self.wanted), 32):
            yield {"clip": frames[self.wanted[n : n + 32]], "sample": self.samples[n : n + 32]}


def streamed(spec: Spec, index: ClipIndex) -> tuple[float, float, float]:
    """Windows per second after the first batch, seconds to the first batch, and windows per second of it all."""
    plan = SamplingPlan.of(spec, [index.count("train")])
    begin = time.perf_counter()
    produced = batches(spec, [index], plan, first_step=0, last_step=spec.training.steps)
    started = len(next(produced))
    first = time.perf_counter() - begin
    count = sum(len(batch) for batch in produced)
    whole = time.perf_counter() - begin
    return count / (whole - first), first, (started + count) / whole


def row(what: str, measured: str, rates: str = "") -> None:
    """Print a row of the table."""
    print(f"| {what} | {measured} | {rates} |", flush=True)


def case(name: str, footage: Sequence[Path], other: Path, storage: Path, steps: int, batch: int) -> None:
    """Print the rows of one case: medians over rounds, in each of which all are measured on footage of its own.

    Processes are warmed up on `other` footage.
    """
    found: dict[str, list[float]] = {name: [] for name in ("ours", "first", "pool", "ahead", "loader")}
    for number, videos in enumerate(footage):
        spec = experiment(videos, storage / str(number), steps, batch, cache=False)
        index = prepare(spec)["footage"]
        windows = planned(spec, index)
        found["pool"].append(in_pool(windows))
        found["ahead"].append(in_pool(sorted_within(windows)))
        found["loader"].append(in_loader(windows, batch))
        # last, as Ray ends processes that have been idle for long
        warm = experiment(other, storage / "warm", 4, batch, cache=False)
        streamed(warm, prepare(warm)["footage"])
        ours, first, _ = streamed(spec, index)
        found["ours"].append(ours)
        found["first"].append(first)
    for key, what in (("pool", "pool in plan order"), ("ahead", "pool of sorted windows"), ("loader", "DataLoader")):
        ratios = [ours / theirs for ours, theirs in zip(found["ours"], found[key], strict=True)]
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        rates = f"{statistics.median(found['ours']):.0f} / {statistics.median(found[key]):.0f} windows/s"
        row(f"{name}: stream / {what}", f"{statistics.median(ratios):.2f}{spread}", rates)
    row(f"{name}: first batch, warm", f"{statistics.median(found['first']):.2f} s")


def cached_and_ray(name: str, videos: Path, other: Path, storage: Path, steps: int, batch: int) -> None:
    """Print the rows of the cache, and of Ray's own reader and mix."""
    spec = experiment(videos, storage, steps, batch, cache=False)
    index = prepare(spec)["footage"]
    windows = planned(spec, index)
    for order, what in ((True, "to the same batches"), (False, "the same windows in another order")):
        # the stream is measured beside each, on processes that have seen nothing of the footage
        theirs = in_ray(windows, order)
        ensure_fresh()
        warm = experiment(other, storage / "warm", 4, batch, cache=False)
        streamed(warm, prepare(warm)["footage"])
        ours, _, whole = streamed(spec, index)
        rates = f"{whole:.0f} / {theirs:.0f}, starts included"
        row(f"{name}: stream / read_videos + mix, {what}", f"{whole / theirs:.2f}", rates)
    cached = experiment(videos, storage, steps, batch, cache=True)
    streamed(cached, index)
    again, first, _ = streamed(cached, index)
    row(f"{name}: cached epoch / decoded epoch", f"{again / ours:.1f}", f"{again:.0f} / {ours:.0f}")
    row(f"{name}: first batch, cached", f"{first:.3f} s")


def ensure_fresh() -> None:
    """Start Ray anew, so that nothing decoded is remembered."""
    import ray

    ray.shutdown()
    ensure_ray(num_cpus=CORES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a quarter of the windows")
    parser.add_argument("--rounds", type=int, default=3, help="of the case of short files")
    parser.add_argument("--only", choices=["long", "short"])
    arguments = parser.parse_args()
    quick = arguments.quick
    logging.getLogger("ray").setLevel(logging.ERROR)
    root = Path(tempfile.mkdtemp(prefix="bench-stream-"))
    steps = 15 if quick else 60
    try:
        ensure_ray(num_cpus=CORES)
        for n in range(4):
            write(root / "other" / f"{n}.mp4", 600, 10_000 + n)
        print("| what | measured | rates |\n| --- | --- | --- |")
        if arguments.only != "short":
            for n in range(4):
                write(root / "long" / f"{n}.mp4", 1800 if n < 3 else 600, n)
            name = "three one-minute files"
            case(name, [root / "long"], root / "other", root / "runs", steps, 32)
            cached_and_ray(name, root / "long", root / "other", root / "cached", steps, 32)
        if arguments.only != "long":
            count = 64 if quick else 192
            for n in range(arguments.rounds * (count * 4 // 3 + 1)):
                write(root / "short" / str(n % arguments.rounds) / f"{n:04d}.mp4", 17, n)
            footage = sorted((root / "short").iterdir())
            case(f"{count} short files", footage, root / "other", root / "brief", count // 8, 8)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
