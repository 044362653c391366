"""Peak memory of decoding clips out of a long file, against a short one.

    python tests/bench/bench_memory.py [--minutes 10 120] [--height 1080]

Each file is decoded in a process of its own: 40 clips spread over the file, at training size.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FPS = 10


def write(path: Path, seconds: float, height: int) -> None:
    """A drifting texture, encoded for a minute at most; a longer file is that minute's packets again and again.

    So a file of two hours is written in seconds, and to a reader it is a file of two hours: each of its minutes begins
    with a key frame, and times go on.
    """
    import av

    width = height * 16 // 9 // 2 * 2
    ground = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    ground = np.ascontiguousarray(ground.repeat(8, 0).repeat(8, 1))
    frames = int(min(seconds, 60.0) * FPS)
    with av.open(str(path), "w") as container:
        options = {"g": "50", "preset": "ultrafast", "crf": "35"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = ground.shape[1], ground.shape[0], "yuv420p"
        packets = []
        for n in range(frames):
            picture = np.ascontiguousarray(np.roll(ground, 4 * n, axis=1))
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode(None)
        kept = [(bytes(p), p.pts, p.dts, p.is_keyframe, p.time_base) for p in packets]
        for repeat in range(round(seconds * FPS / frames)):
            for data, pts, dts, is_key, time_base in kept:
                shift = round(repeat * frames / FPS / time_base)
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, time_base
                packet.pts, packet.dts, packet.is_keyframe = pts + shift, dts + shift, is_key
                container.mux(packet)


CHILD = """
import json, resource, sys
import numpy as np
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ingest
from drivereplay.domains.recording import Recording
from drivereplay.spec import ClipSpec
clip = ClipSpec(frames=16, context=4, fps=5, height=96, width=160)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = [Recording("a", sys.argv[1], split="train")]
index = ingest(found, domain="d", clip=clip, held_out=0.2, seed=0, out=sys.argv[2])
ingested = peak()
count = index.count("train")
decoder = Decoder(clip)
for n in np.linspace(0, count - 1, 40).round().astype(int):
    frames, failed = decoder.decode([index.window("train", int(n))])
    assert not failed, failed
print(json.dumps({"clips": count, "ingest": ingested, "decode": peak()}))
"""


def measured(path: Path, scratch: Path) -> dict[str, float]:
    """Peak resident megabytes of a process that ingests a file and decodes clips of it."""
    command = [sys.executable, "-c", CHILD, str(path), str(scratch / f"{path.stem}-index")]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, nargs="+", default=[10], help="lengths to compare with 10 s")
    parser.add_argument("--height", type=int, default=320)
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="bench-memory-"))
    try:
        print("| file | clips | peak MB, ingest | peak MB, ingest and decode |\n| --- | --- | --- | --- |", flush=True)
        lengths = [("10 s", 10.0), *((f"{minutes:g} min", minutes * 60) for minutes in arguments.minutes)]
        for name, seconds in lengths:
            path = root / f"{int(seconds)}.mp4"
            write(path, seconds, arguments.height)
            found = measured(path, root)
            peaks = f"{found['ingest']:.0f} | {found['decode']:.0f}"
            print(f"| {name}, {arguments.height} lines | {found['clips']} | {peaks} |", flush=True)
            path.unlink()
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
