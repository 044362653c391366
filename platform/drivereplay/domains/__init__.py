"""Where videos come from: one reader per file, each giving `Recording`s."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from drivereplay.domains.recording import Recording
from drivereplay.errors import SpecError
from drivereplay.nodes import cluster_nodes
from drivereplay.spec import ClipSpec, DatasetSource, DomainSpec, VideosSource, WorldSource
from drivereplay.storage import Storage, private_directory

__all__ = ["recordings"]


def recordings(domain: DomainSpec, clip: ClipSpec, shared: Storage) -> list[Recording]:
    """The recordings of a domain; nothing is decoded. A simulated world is written first, once for all runs.

    A world whose clips are rendered when they are needed (`clips: fresh`) has none.

    Args:
        domain: Its source says which reader.
        clip: Worlds are written at this size and frame rate.
        shared: `<storage>/.shared`; worlds land in `worlds/<hash>/` below it.

    Raises:
        SpecError: The source does not exist, holds no video, or does not have the layout that it says.
    """
    source = domain.source
    if isinstance(source, WorldSource):
        return [] if source.clips == "fresh" else _world(source, source.clips, clip, shared)
    found = _some(_read(source, source.path, shared), domain, source.path)
    if source.evaluation is None:
        return found
    held_out = _some(_read(source, source.evaluation, shared), domain, source.evaluation)
    train = _beside(found, held_out, source.evaluation)
    if not train:
        raise SpecError(
            f"Domain '{domain.name}': all of {source.path} is held out by `evaluation: {source.evaluation}`.",
            "Give `evaluation` a part of the videos, or others.",
        )
    prefix = _prefix(train)
    return [_marked(r, "train", "") for r in train] + [_marked(r, "evaluation", prefix) for r in held_out]


def local_directory(shared: Storage) -> Path:
    """A directory on this machine for what must be real files: `shared` itself where it is local.

    Video decoders read files, not object stores. With remote storage, worlds and decoded clips are kept below the
    user's part of the machine's temporary directory, under a name that depends on the storage.
    """
    if shared.local is not None:
        return shared.local
    return private_directory() / hashlib.sha256(shared.uri.encode()).hexdigest()[:16]


def _require_one_machine(shared: Storage, what: str) -> None:
    """Refuse files that only this machine would see, where a cluster has more machines to read them.

    Raises:
        SpecError: The storage is remote and the connected cluster has several nodes, or may get them.
    """
    ray = sys.modules.get("ray")
    if shared.local is not None or ray is None or not ray.is_initialized() or len(cluster_nodes()) < 2:
        return
    raise SpecError(
        f"{what} would be written below {local_directory(shared)} of one node, and others could not read it: "
        f"{shared.uri} is no directory.",
        "Set `storage` to a directory that is mounted on every node.",
    )


def _world(source: WorldSource, clips: int, clip: ClipSpec, shared: Storage) -> list[Recording]:
    from drivereplay.domains.worlds import write_world
    from drivereplay.domains.worlds.writer import WORLD_VERSION

    frames = 2 * clip.frames if source.seconds is None else max(clip.frames, math.ceil(source.seconds * clip.fps))
    made = (WORLD_VERSION, source.world, source.seed, source.split, frames, clip.fps, clip.height, clip.width)
    name = hashlib.sha256(repr(made).encode()).hexdigest()[:16]
    _require_one_machine(shared, f"World {source.world}")
    return write_world(
        local_directory(shared) / "worlds" / f"{source.world}-{name}",
        source.world,
        clips=clips,
        seed=source.seed,
        frames=frames,
        fps=clip.fps,
        height=clip.height,
        width=clip.width,
        split=source.split,
    )


def _read(source: VideosSource | DatasetSource, path: str, shared: Storage) -> list[Recording]:
    out = local_directory(shared) / "annotations"
    if isinstance(source, VideosSource):
        from drivereplay.domains.videos import read_videos

        found = read_videos(path, out)
    else:
        found = [replace(r, bits=source.bits) for r in _DATASETS[source.kind](source, path, out)]
    if any(r.annotations is not None and Path(r.annotations).is_relative_to(out) for r in found):
        _require_one_machine(shared, f"Annotations of {path}")
    return found


def _kitti(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.kitti import read_kitti

    return read_kitti(path, source.camera, out)


def _nuscenes(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.nuscenes import read_nuscenes

    return read_nuscenes(path, source.camera, out)


def _bdd100k(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.bdd100k import read_bdd100k

    return read_bdd100k(path, out)


def _argoverse2(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.argoverse2 import read_argoverse2

    return read_argoverse2(path, source.camera, out)


def _comma2k19(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.comma2k19 import read_comma2k19

    return read_comma2k19(path, out)


def _lerobot(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.lerobot import read_lerobot

    del out  # it says nothing about objects or cameras
    return read_lerobot(path, source.camera)


def _images(source: DatasetSource, path: str, out: Path) -> list[Recording]:
    from drivereplay.domains.images import read_images

    del out  # only our own annotations are looked for beside pictures
    return read_images(path, source.fps, source.time_unit)


_DATASETS: dict[str, Callable[[DatasetSource, str, Path], list[Recording]]] = {
    "kitti": _kitti,
    "nuscenes": _nuscenes,
    "bdd100k": _bdd100k,
    "argoverse2": _argoverse2,
    "comma2k19": _comma2k19,
    "lerobot": _lerobot,
    "images": _images,
}
"""A reader imports what it needs only when its kind is asked for."""


def _some(found: list[Recording], domain: DomainSpec, path: str) -> list[Recording]:
    if not found:
        raise SpecError(
            f"Domain '{domain.name}': there is no video in {path}.",
            "Give a directory, a file or a glob with at least one video.",
        )
    return found


def _beside(found: list[Recording], held_out: list[Recording], evaluation: str) -> list[Recording]:
    """What is neither held out itself nor lies below the directory of what is."""
    place = Path(evaluation).expanduser().resolve()
    taken = {_footage(recording) for recording in held_out}
    return [r for r in found if _footage(r) not in taken and not Path(r.path).resolve().is_relative_to(place)]


def _footage(recording: Recording) -> tuple[Path, tuple[str, ...], tuple[float, float] | None]:
    return Path(recording.path).resolve(), recording.images, recording.part_s


def _prefix(train: list[Recording]) -> str:
    """Goes before the names of held-out recordings, so that none of them is that of one to train on."""
    prefix = "evaluation/"
    while any(name.startswith(prefix) for r in train for name in (r.key, r.group or r.key)):
        prefix = f"_{prefix}"
    return prefix


def _marked(recording: Recording, split: Literal["train", "evaluation"], prefix: str) -> Recording:
    group = prefix + (recording.group or recording.key)
    return replace(recording, key=prefix + recording.key, group=group, split=split)
