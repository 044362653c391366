"""Latents of clips of the worlds, in files on disk: a clip is rendered and encoded once and used many times.

A clip of 24 frames costs a tenth of a second (a training step of 8 windows of 8 frames costs half of one), and holds
17 windows. So a few thousand clips of each world are a twentieth of the whole training's time. Clips go through the
encoder of the mp4 files that the worlds are written to, so that the model sees the frames that it will be given.

    python experiments/recipes/base/latents.py --out DIRECTORY      # goes on where it was stopped
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from recipe import LENGTH, SHARD, Recipe, load_recipe

from drivereplay.domains.mp4 import encode_video
from drivereplay.domains.whole import write_whole
from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot, render
from drivereplay.models.wan import Wan
from drivereplay.spec import ClipSpec

HELD_OUT_SEED = 900
"""Seed of the clips of which the held-out loss is computed; the gates' clips have another one again."""


def shard_path(directory: Path, world: str, seed: int, number: int) -> Path:
    """The file of a shard: (clips, C, frames, h, w) float16."""
    return directory / f"{world}-{seed}-{number:03d}.npy"


def write_latents(directory: Path, recipe: Recipe) -> Iterator[tuple[int, int]]:
    """Write the shards that are missing, held-out ones first, then a shard of each world in turn.

    Yields:
        Number of shards that are there and of all.
    """
    model = Wan.open(recipe.base, context=recipe.clip.context)
    wanted = [(world, HELD_OUT_SEED, 0) for world in recipe.worlds]
    most = max(world.shards for world in recipe.worlds.values())
    for number in range(most):
        wanted += [(name, recipe.seed, number) for name, world in recipe.worlds.items() if number < world.shards]
    for n, (world, seed, number) in enumerate(wanted):
        path = shard_path(directory, world, seed, number)
        if not path.exists():
            clips = SHARD if seed == recipe.seed else SHARD // 2
            buffer = io.BytesIO()
            np.save(buffer, encode_clips(model, world, recipe.clip, seed, range(number * clips, (number + 1) * clips)))
            write_whole(path, buffer.getvalue())
        yield n + 1, len(wanted)


def encode_clips(model: Wan, world: str, clip: ClipSpec, seed: int, numbers: Sequence[int]) -> NDArray[np.float16]:
    """Latents (clips, C, LENGTH, h, w) of a world's clips; of a driving world every second one shows rare motion."""
    latents = []
    for number in numbers:
        frames = torch.from_numpy(clip_frames(world, clip, seed, number, LENGTH))
        with torch.no_grad():
            latents.append(model.encode(frames[None])[0].numpy().astype(np.float16))
    return np.stack(latents)


def clip_frames(world: str, clip: ClipSpec, seed: int, number: int, length: int) -> NDArray[np.uint8]:
    """Frames (length, H, W, 3) of a clip as they are read from the mp4 file of `drivereplay worlds --split both`."""
    import av

    source = world_named(world)
    subset: Literal["regular", "rare-motion"] = "rare-motion" if source.driving and number % 2 else "regular"
    take = source.take(Shot(seed, number, length, float(clip.fps), clip.height, clip.width, subset))
    video = encode_video((render(take, t)[0] for t in range(length)), clip.fps)
    with av.open(io.BytesIO(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def main(arguments: list[str] | None = None) -> None:
    """The command line: --out DIRECTORY."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the shards")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for done, total in write_latents(options.out, load_recipe()):
        print(f"\rlatents: shard {done} of {total}", end="" if done < total else "\n", flush=True)


if __name__ == "__main__":
    main()
