"""Writing a world to a directory: manifest first, then clips in parallel, each there whole or not at all."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from drivereplay.domains.annotations import annotation_directory, write_annotations
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording
from drivereplay.domains.whole import write_whole
from drivereplay.domains.worlds.clips import WorldClips
from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.truth import GroundTruth
from drivereplay.errors import DataError, SpecError

MANIFEST = "world.json"
WORLD_VERSION = 2
"""Goes up whenever the same seed would give other pictures, so that old and new clips are never mixed."""


@dataclass(frozen=True)
class Manifest(WorldClips):
    """What a world's directory holds; two directories with the same values hold the same bytes."""

    version: int
    clips: int
    state: Literal["writing", "complete"]


def write_world(
    directory: Path,
    world: str,
    *,
    clips: int,
    seed: int,
    frames: int,
    fps: float,
    height: int,
    width: int,
    split: str = "regular",
    beginning: Callable[[], None] | None = None,
) -> list[Recording]:
    """Write `clips` videos of a world with their annotations, and return them.

    A directory that was left half written is finished; one that holds fewer clips of the same world is extended.
    Where this process is connected to Ray the clips are divided among its workers, which must see `directory`.

    Args:
        directory: Where `clip-000000.mp4` and so on are put.
        world: A key of `WORLDS`.
        clips: Number of videos.
        seed: The same seed and sizes write the same bytes.
        frames: Frames of each video.
        fps: Frames per second.
        height: Height in pixels.
        width: Width in pixels.
        split: `regular`, `rare-motion` or `both` (half of each); only driving worlds have rare motion.
        beginning: Called when all that is asked for is possible and something has to be written, as to connect to Ray.

    Raises:
        SpecError: Something asked for is impossible, or the directory holds something else. Nothing was written.
        DataError: Writing failed, for example on a full disk. The same call continues where it stopped.
    """
    directory = Path(directory)
    wanted = Manifest(world, seed, split, frames, float(fps), height, width, WORLD_VERSION, clips, "writing")
    wanted.check()
    if clips < 1:
        raise SpecError(f"World {world}: clips is {clips}.", "Ask for at least 1.")
    found = _manifest(directory)
    if found is None:
        _check_empty(directory)
    else:
        _check_same(found, wanted, directory)
        if found.state == "complete" and found.clips >= clips:
            return open_world(directory)[:clips]
        # what an interrupted, larger call had begun stays part of the directory
        wanted = Manifest(**{**asdict(wanted), "clips": max(clips, found.clips)})
    try:
        _put_manifest(directory, wanted)
        missing = [clip for clip in range(wanted.clips) if not _video(directory, clip).exists()]
        if missing and beginning is not None:
            beginning()
        for _ in _written(directory, wanted, missing):
            pass
        _put_manifest(directory, Manifest(**{**asdict(wanted), "state": "complete"}))
    except OSError as error:
        done = sum(_video(directory, clip).exists() for clip in range(wanted.clips))
        raise DataError(
            f"World {world} could not be written to {directory}: {error}; {done} of {wanted.clips} clips are there.",
            "Make room or choose another directory and run the same again: it goes on where it stopped.",
        ) from error
    return open_world(directory)[:clips]


def open_world(directory: Path) -> list[Recording]:
    """The recordings of a directory that `write_world` has finished.

    Raises:
        DataError: There is no world, it was left half written, or files of it are missing.
    """
    directory = Path(directory)
    manifest = _finished(directory)
    recordings = []
    for clip in range(manifest.clips):
        video = _video(directory, clip)
        if not video.exists():
            raise DataError(
                f"{directory}: {video.name} of world {manifest.world} is missing.",
                f"Remove {MANIFEST} and all clips there, and write the world anew.",
            )
        recordings.append(
            Recording(
                key=video.name,
                path=str(video),
                fps=manifest.fps,
                subset=manifest.subset(clip),
                annotations=str(annotation_directory(video)),
            )
        )
    return recordings


def render_ground_truth(directory: Path, clip: int, frame: int) -> GroundTruth:
    """Instance masks, depth and optical flow of one frame of a written world, rendered again from its seed.

    Args:
        directory: A world's directory.
        clip: Number of the clip.
        frame: Number of the frame.

    Raises:
        DataError: The directory holds no finished world of this version.
        SpecError: There is no such clip or frame.
    """
    manifest = _finished(Path(directory))
    if not (0 <= clip < manifest.clips and 0 <= frame < manifest.frames):
        raise SpecError(
            f"{directory}: there is no frame {frame} of clip {clip}.",
            f"It holds {manifest.clips} clips of {manifest.frames} frames, counted from 0.",
        )
    return world_named(manifest.world).truth(manifest.shot(clip), frame)


def write_ground_truth(directory: Path, clip: int) -> Path:
    """Write masks, depth and flow of all frames of a clip to `truth.npz` beside its annotations, and return the file.

    The arrays are `ids` (T, H, W) int32, `depth_m` (T, H, W) float32, `flow_px` (T, H, W, 2) float32 and `followed`
    (T, H, W) bool; `truth.GroundTruth` says what they mean.

    Raises:
        DataError, SpecError: As `render_ground_truth`.
        OSError: The file cannot be written.
    """
    directory = Path(directory)
    frames = [render_ground_truth(directory, clip, frame) for frame in range(_finished(directory).frames)]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        ids=np.stack([frame.ids for frame in frames]).astype(np.int32),
        depth_m=np.stack([frame.depth_m for frame in frames]),
        flow_px=np.stack([frame.flow_px for frame in frames]),
        followed=np.stack([frame.followed for frame in frames]),
    )
    path = annotation_directory(_video(directory, clip)) / "truth.npz"
    write_whole(path, buffer.getvalue())
    return path


def _finished(directory: Path) -> Manifest:
    manifest = _manifest(directory)
    if manifest is None:
        raise DataError(f"{directory} holds no world: there is no {MANIFEST}.", "Write one with `drivereplay worlds`.")
    if manifest.version != WORLD_VERSION:
        raise DataError(
            f"{directory}: written by version {manifest.version} of the worlds, this is {WORLD_VERSION}.",
            "Write it anew into another directory.",
        )
    if manifest.state != "complete":
        raise DataError(
            f"{directory}: world {manifest.world} was left half written.",
            f"Finish it: drivereplay worlds {directory} --world {manifest.world} with the values in {MANIFEST}.",
        )
    return manifest


def _check_empty(directory: Path) -> None:
    if directory.is_dir() and any(directory.iterdir()):
        raise SpecError(f"{directory} holds other files and no {MANIFEST}.", "Give an empty or a new directory.")
    if directory.exists() and not directory.is_dir():
        raise SpecError(f"{directory} is not a directory.", "Give an empty or a new directory.")


def _check_same(found: Manifest, wanted: Manifest, directory: Path) -> None:
    free = ("clips", "state")
    there, asked = asdict(found), asdict(wanted)
    differ = [f"{key} {there[key]}, not {asked[key]}" for key in asked if key not in free and there[key] != asked[key]]
    if differ:
        raise SpecError(f"{directory} holds another world: {'; '.join(differ)}.", "Give an empty or a new directory.")


def _manifest(directory: Path) -> Manifest | None:
    path = directory / MANIFEST
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}.", "Remove the directory and write the world anew.") from error


def _put_manifest(directory: Path, manifest: Manifest) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / MANIFEST, (json.dumps(asdict(manifest), indent=1) + "\n").encode())


def _video(directory: Path, clip: int) -> Path:
    return directory / f"clip-{clip:06d}.mp4"


def _written(directory: Path, manifest: Manifest, clips: Sequence[int]) -> Iterator[None]:
    """Write the clips, on Ray where this process is connected to it."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or len(clips) < 2:
        for clip in clips:
            write_clip(directory, manifest, clip)
            yield
        return
    # a task carries enough clips to be worth its start, and there are enough tasks to even out the load
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    size = max(1, min(16, len(clips) // (4 * cpus)))
    task = ray.remote(num_cpus=1)(_write_clips)
    where = directory.absolute()
    pending = [task.remote(where, manifest, clips[n : n + size]) for n in range(0, len(clips), size)]
    try:
        while pending:
            done, pending = ray.wait(pending)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            yield
    finally:
        for reference in pending:
            ray.cancel(reference)


def _write_clips(directory: Path, manifest: Manifest, clips: Sequence[int]) -> None:
    import cv2

    # one task has one CPU
    cv2.setNumThreads(1)
    for clip in clips:
        write_clip(directory, manifest, clip)


def write_clip(directory: Path, manifest: Manifest, clip: int) -> None:
    """Record one clip and write it: annotations first, so that a video that is there has them."""
    footage = manifest.record(clip)
    video = _video(directory, clip)
    write_annotations(
        annotation_directory(video),
        frames=footage.frame_columns,
        objects=footage.object_columns,
        # odd sizes are padded to even ones in the video
        size=(manifest.width + manifest.width % 2, manifest.height + manifest.height % 2),
    )
    write_video(video, footage.frames, manifest.fps)
