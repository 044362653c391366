"""From frames to what the objective takes: by the model, or from the cache of what it made of them before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drivereplay.data.augment import changes_nothing
from drivereplay.data.latents import LatentCache
from drivereplay.domains import local_directory
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import Spec
from drivereplay.storage import Storage

_LATENTS, _GIVEN = "latents", "given/"


@torch.no_grad()
def encode(
    model: VideoModel, frames: NDArray[np.uint8], prompts: Sequence[str], fps: float
) -> tuple[Tensor, Conditions]:
    """Latents (B, C, t, h, w) and conditions of frames (B, T, H, W, 3) uint8."""
    # arrays from Ray's object store are read-only, which torch cannot express
    own = frames if frames.flags.writeable else frames.copy()
    there = torch.from_numpy(own).to(model.device, non_blocking=True)
    return model.encode(there), model.conditions(there, prompts, fps)


class Encoder:
    """`encode` with a cache on disk, shared by trials, runs and the workers that see the storage.

    Args:
        model: Whose autoencoder it is; one without has nothing to keep.
        spec: `training.cache` turns the cache off, and so does augmentation, with which no clip comes twice.
    """

    def __init__(self, model: VideoModel, spec: Spec) -> None:
        self._model = model
        self._fps = spec.clip.fps
        self._cache: LatentCache | None = None
        if spec.training.cache and model.has_autoencoder and changes_nothing(spec.training.augment):
            directory = local_directory(Storage.of(spec.storage).below(".shared")) / "cache" / "latents"
            made: tuple[Any, ...] = (model.family, model.fingerprint(), model.context, spec.model.base)
            made += (spec.training.condition_noise,) if spec.training.condition_noise is not None else ()
            made += ("noise",)  # what is given has held the strength of the condition image's noise since then
            self._cache = LatentCache(directory, repr(made))

    def __call__(
        self, frames: NDArray[np.uint8], prompts: Sequence[str], once: NDArray[np.bool_] | None = None
    ) -> tuple[Tensor, Conditions]:
        """Latents and conditions of a batch; clips that are missing are encoded one at a time, and kept.

        Args:
            frames: (b, T, H, W, 3).
            prompts: b texts.
            once: (b,) which clips never come again, as rendered ones: they are neither looked for nor kept.
        """
        if self._cache is None or (once is not None and once.all()):
            return encode(self._model, frames, prompts, self._fps)
        passing = np.zeros(len(frames), bool) if once is None else once
        entries = [
            self._encoded(clip) if passes else self._entry(clip, self._cache)
            for clip, passes in zip(frames, passing.tolist(), strict=True)
        ]
        stacked = {name: torch.stack([entry[name] for entry in entries]) for name in entries[0]}
        there = {name: tensor.to(self._model.device, non_blocking=True) for name, tensor in stacked.items()}
        given = {name.removeprefix(_GIVEN): tensor for name, tensor in there.items() if name.startswith(_GIVEN)}
        return there[_LATENTS], Conditions(list(prompts), self._fps, given)

    def _entry(self, clip: NDArray[np.uint8], cache: LatentCache) -> dict[str, Tensor]:
        key = cache.key(clip)
        found = cache.get(key)
        if found is None:
            made = self._encoded(clip)
            cache.put(key, {name: tensor.numpy() for name, tensor in made.items()})
            return made
        return {name: torch.from_numpy(array) for name, array in found.items()}

    def _encoded(self, clip: NDArray[np.uint8]) -> dict[str, Tensor]:
        # alone, so that an entry does not depend on what else was missing; what is given does not hang on the text
        latents, conditions = encode(self._model, clip[None], [""], self._fps)
        made = {_LATENTS: latents, **{_GIVEN + name: tensor for name, tensor in conditions.given.items()}}
        return {name: tensor[0].cpu() for name, tensor in made.items()}
