"""The videos that an evaluation kept, into event files: as moving pictures, and as film strips for the Pareto tab."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from drivereplay.dashboard.animation import side_by_side
from drivereplay.dashboard.events import add_animation
from drivereplay.search.candidates import Candidate
from drivereplay.search.trial import evaluation_name
from drivereplay.spec import Spec
from drivereplay.storage import Storage

VIDEOS = "videos"
_REAL = re.compile(r"(?P<clip>.+)-real\.mp4")


def add_films(
    writer: Any, candidate: Candidate, trial: Storage, spec: Spec, *, known: Collection[str] = (), animate: bool = True
) -> set[str]:
    """Write the candidate's generated videos beside the real ones.

    Args:
        writer: A `SummaryWriter` of the sweep's run.
        candidate: Whose videos they are.
        trial: The trial's directory; videos are pairs `NN-real.mp4`, `NN-generated.mp4` in its `videos/step-S/`, with
            the tracks of the objects in them as `NN-tracks.json` where there are any.
        spec: For frame rate, size and the number of context frames.
        animate: Also as moving pictures for the image tab.
        known: Clips whose real video has been written before; all candidates of a protocol share them.

    Returns:
        The clips.
    """
    from tensorboard_pareto import add_video

    storage = trial.below(VIDEOS, evaluation_name(candidate.step, candidate.variant))
    names = set(storage.names())
    clips = [m["clip"] for m in map(_REAL.fullmatch, sorted(names)) if m and f"{m['clip']}-generated.mp4" in names]
    if not clips:
        return set()
    from drivereplay.videos import read_video

    shared: dict[str, Any] = {"fps": spec.clip.fps, "context": spec.clip.context, "step": max(candidate.step, 0)}
    for clip in clips:
        with tempfile.TemporaryDirectory() as scratch:
            frames = []
            for kind in ("real", "generated"):
                path = Path(scratch) / f"{kind}.mp4"
                path.write_bytes(storage.read(f"{clip}-{kind}.mp4"))
                frames.append(read_video(path))
        real, generated = (video[:, : spec.clip.height, : spec.clip.width] for video in frames)
        if animate:
            add_animation(
                writer, f"videos/{candidate.name}/{clip}", side_by_side(real, generated), spec.clip.fps, shared["step"]
            )
        tracks = json.loads(storage.read(f"{clip}-tracks.json")) if f"{clip}-tracks.json" in names else {}
        if clip not in known:
            add_video(writer, None, clip, real, tracks=tracks.get("real", ()), **shared)
        add_video(writer, candidate.name, clip, generated, tracks=tracks.get("generated", ()), **shared)
    return set(clips)
