"""Footage and experiments that the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.footage import moving_square

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording
from drivereplay.spec import ClipSpec, Spec, parse_spec


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three domains of real mp4 files; every frame of every video differs."""
    root = tmp_path_factory.mktemp("footage")
    for place, (domain, lengths) in enumerate(
        {"driving": (40, 32, 24), "street": (30, 45), "objects": (20, 20)}.items()
    ):
        for number, length in enumerate(lengths):
            write_video(root / domain / f"{number}.mp4", moving_square(10 * place + number, length), 8.0)
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def make_spec(footage: dict[str, Path], tmp_path: Path) -> Callable[..., Spec]:
    """An experiment on `footage`; dotted keys override."""

    def made(**sections: Any) -> Spec:
        data: dict[str, Any] = {
            "name": "run",
            "storage": str(tmp_path / "runs"),
            "clip": {"frames": 8, "context": 2, "fps": 8, "height": 32, "width": 48},
            "target": {"name": "driving", "source": {"kind": "videos", "path": str(footage["driving"])}},
            "replay": {
                "frequency": 0.5,
                "domains": [
                    {"name": name, "source": {"kind": "videos", "path": str(footage[name])}}
                    for name in ("street", "objects")
                ],
            },
            "training": {"steps": 6, "batch_size": 8},
        }
        for section, values in sections.items():
            if isinstance(values, dict):
                data[section] = {**data.get(section, {}), **values}
            else:
                data[section] = values
        return parse_spec(data)

    return made


def plan_spec(domains: int = 3, **sections: Any) -> Spec:
    """An experiment whose sources are never opened, for tests of the plan alone."""
    data: dict[str, Any] = {
        "name": "plan",
        "target": {"name": "target", "source": {"kind": "world", "world": "highway"}},
        "replay": {
            "frequency": 0.25 if domains else 0.0,
            "domains": [
                {"name": f"d{i}", "weight": i + 1.0, "source": {"kind": "world", "world": "shapes"}}
                for i in range(domains)
            ],
        },
        "training": {"steps": 50, "batch_size": 8},
    }
    for section, values in sections.items():
        data[section] = {**data[section], **values} if isinstance(values, dict) else values
    return parse_spec(data)


def numbered(count: int) -> np.ndarray:
    """(count, 36, 80, 3): pictures that show their number in 10 bright or dark columns."""
    bits = np.arange(count)[:, None] >> np.arange(10) & 1
    rows = np.where(bits, 220, 40).astype(np.uint8).repeat(8, axis=1)
    return np.broadcast_to(rows[:, None, :, None], (count, 36, 80, 3)).copy()


def number_of(picture: np.ndarray) -> int:
    """What a picture of `numbered` shows."""
    columns = picture.reshape(picture.shape[0], 10, -1, 3)[:, :, 2:-2].mean(axis=(0, 2, 3))
    return int(((columns > 128) << np.arange(10)).sum())


def write_timed(
    path: Path,
    frames: np.ndarray,
    times_s: Sequence[float],
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 3,
    pixel_aspect: Fraction = Fraction(1),
) -> None:
    """A file of any format whose frames (T, H, W, 3) are shown at `times_s`, with pixels of this width by height."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        context = stream.codec_context
        # MPEG-1 and -2 know few rates
        context.time_base = Fraction(1, 30) if codec.startswith("mpeg") else Fraction(1, 90_000)
        context.sample_aspect_ratio = pixel_aspect
        context.gop_size, context.max_b_frames = gop, b_frames
        for picture, time_s in zip(frames, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s / context.time_base), context.time_base
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def spoil_group(path: Path, group: int) -> tuple[int, int]:
    """Overwrite a group of pictures of an mp4 file with zeros; its first frame and the one behind its last."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    keys = [n for n, packet in enumerate(packets) if packet[2]]
    first, after = keys[group], keys[group + 1]
    for position, size, _ in packets[first:after]:
        data[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(bytes(data))
    return first, after


def frames_differ(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference of two pictures in levels of 255."""
    return float(np.abs(a.astype(np.int16) - b).mean())


def assert_shows(path: Path, video: np.ndarray, out: Path, reader: str | None = None) -> ClipIndex:
    """Ingest a file of 10 frames per second and see that every frame of every clip is that of `video` (T, H, W, 3).

    Args:
        path: The file.
        video: What was written into it.
        out: Where the index is put.
        reader: Decode with this one instead of the one that the index names.
    """
    clip = ClipSpec(frames=4, context=1, fps=10, height=video.shape[1], width=video.shape[2], resize="stretch")
    found = [Recording(key=path.name, path=str(path), split="train")]
    index = ingest(found, domain="d", clip=clip, held_out=0.2, seed=0, out=out)
    windows = [index.window("train", n) for n in range(index.count("train"))]
    frames, failed = Decoder(clip).decode([replace(window, reader=reader or window.reader) for window in windows])
    assert not failed
    for window, shown in zip(windows, frames, strict=True):
        for number, picture in zip(window.frames, shown, strict=True):
            error = np.abs(picture.astype(np.int16) - video).mean(axis=(1, 2, 3))
            assert error[number] <= error.min() + 0.1, (number, int(error.argmin()))
    return index
