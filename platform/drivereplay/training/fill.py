"""Everything that trials would decode and encode for the first time, done once beforehand by a Ray Data job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from drivereplay.data.cache import pixel_caches
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex
from drivereplay.errors import SpecError
from drivereplay.models import load_model
from drivereplay.session import quiet_ray_data
from drivereplay.spec import Spec
from drivereplay.training.encoded import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BLOCK = 32
"""Clips that one worker takes at a time."""


@dataclass
class Filled:
    """What a fill did.

    Attributes:
        clips: Training clips of each domain.
        decoded: Of those, how many were decoded now; the others were there.
        bad: Why clips could not be read, by name; a run replaces them.
        rendered: Domains whose clips are rendered when they are needed: there is nothing to fill for them.
    """

    clips: dict[str, int] = field(default_factory=dict)
    decoded: dict[str, int] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    rendered: list[str] = field(default_factory=list)

    def rows(self) -> list[dict[str, Any]]:
        """For a table, a row per domain."""
        return [
            {"domain": name, "clips": count, "decoded now": self.decoded[name]} for name, count in self.clips.items()
        ]


def fill(spec: Spec, indexes: Sequence[ClipIndex], progress: Callable[[int], None] | None = None) -> Filled:
    """Put every training clip, and its latents where the model has an autoencoder, into the caches.

    Actors decode and encode, each with a GPU of its own where Ray has GPUs. What is there already is not made again, so
    a call that was interrupted goes on. The caches must lie where trials see them: on storage that all nodes share.

    Args:
        spec: The experiment.
        indexes: Of its domains, in order.
        progress: Called with the number of clips that are done.

    Raises:
        SpecError: The experiment does without a cache.
    """
    import ray
    import ray.data

    if not spec.training.cache:
        raise SpecError("training.cache is false, so there is nothing to fill.", "Remove it, or --no-cache.")
    kept = {d: index for d, index in enumerate(indexes) if not index.rendered}
    filled = Filled({i.name: i.count("train") for i in kept.values()}, {i.name: 0 for i in kept.values()})
    filled.rendered = [index.name for index in indexes if index.rendered]
    parts = [
        {"domain": d, "first": first, "last": min(first + _BLOCK, index.count("train"))}
        for d, index in kept.items()
        for first in range(0, index.count("train"), _BLOCK)
    ]
    if not parts:
        return filled
    offered = ray.cluster_resources()
    gpus = int(offered.get("GPU", 0)) if spec.training.device != "cpu" else 0
    # to start one costs as much as several parts
    workers = max(1, min(len(parts) // 4, gpus or int(offered.get("CPU", 1))))
    quiet_ray_data()
    done = (
        ray.data.from_items(parts, override_num_blocks=len(parts))
        .map_batches(
            _Filler,
            fn_constructor_args=(spec, tuple(indexes)),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
            num_cpus=1,
            num_gpus=1 if gpus else 0,
        )
        .iter_rows()
    )
    count = 0
    for row in done:
        count += int(row["clips"])
        if progress is not None:
            progress(count)
        filled.decoded[indexes[int(row["domain"])].name] += int(row["decoded"])
        filled.bad.update(zip(row["bad"], row["reason"], strict=True))
    return filled


class _Filler:
    """One worker's files, autoencoder and caches."""

    def __init__(self, spec: Spec, indexes: tuple[ClipIndex, ...]) -> None:
        self._indexes = indexes
        caches = pixel_caches(spec, indexes)
        assert caches is not None
        self._caches = caches
        self._decoder = Decoder(spec.clip)
        torch.set_num_threads(1)
        cuda = torch.cuda.is_available() and spec.training.device != "cpu"
        model = load_model(spec).to("cuda" if cuda else "cpu")
        self._encoder = Encoder(model, spec) if model.has_autoencoder else None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        domain, first, last = (int(batch[name][0]) for name in ("domain", "first", "last"))
        index, cache = self._indexes[domain], self._caches[domain]
        assert cache is not None
        clips = np.arange(first, last)
        frames, found = cache.get(index.numbers(clips))
        missing = np.flatnonzero(~found)
        windows = [index.window("train", int(clips[n])) for n in missing]
        frames[missing], failed = self._decoder.decode(windows)
        good = np.delete(missing, sorted(failed))
        cache.put(index.numbers(clips[good]), frames[good])
        if self._encoder is not None:
            usable = np.delete(frames, missing[sorted(failed)], axis=0)
            self._encoder(usable, [""] * len(usable))
        return {
            "domain": [domain],
            "clips": [last - first],
            "decoded": [len(good)],
            "bad": [[windows[n].name for n in failed]],
            "reason": [list(failed.values())],
        }
