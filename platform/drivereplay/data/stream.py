"""The stream: Ray Data decodes what the sampling plan says, ahead of training, and hands it out in plan order."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.augment import augmented
from drivereplay.data.batch import Batch
from drivereplay.data.cache import ClipCache, pixel_caches
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, Window
from drivereplay.data.plan import SamplingPlan, StepPlan
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec, Spec

if TYPE_CHECKING:
    import ray.data

_BLOCK_BYTES = 120 << 20
_BLOCK_CLIPS = 192
_SHORT_BLOCK = 16
_LAST_BLOCK = 8
_TASKS_PER_CORE, _MORE_TASKS = 1.5, 1
"""Ray Data looks every tenth of a second which tasks have ended, and starts others only then; and a file is waited for.
With more tasks than cores, no core waits with them."""
_TRIES = 16
"""A bad clip is replaced by the next one of its domain that can be read, at most so many further on."""

_COLUMNS = ("sample", "slot", "domain", "clip")


def batches(
    spec: Spec,
    indexes: Sequence[ClipIndex],
    plan: SamplingPlan,
    *,
    first_step: int,
    last_step: int,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """One rank's batches of steps first_step … last_step − 1, in order.

    A Ray Data execution decodes blocks of consecutive plan rows ahead of training. Inside a block windows are decoded
    in the order of files and time and put back in plan order, so the order is the plan's whatever decodes where.
    What lies decoded and unused is bounded (back-pressure).

    Args:
        spec: The experiment.
        indexes: Of all domains, in the order of `spec.domains`.
        plan: The plan.
        rank: This worker among `world_size`.

    Raises:
        SpecError: `world_size` does not divide the batch.
        DataError: More clips than `training.bad_clips` allows cannot be read; the message lists them.
    """
    if last_step <= first_step:
        return
    count = len(plan.rank_slots(first_step, rank, world_size))
    caches = pixel_caches(spec, indexes)
    if caches is not None:
        for batch in _cached(spec, indexes, caches, plan, range(first_step, last_step), rank, world_size):
            yield batch
            first_step = batch.step + 1
        if first_step == last_step:
            return
    steps = range(first_step, last_step)
    decoded = decoded_dataset(spec, indexes, plan, steps, rank, world_size)
    yield from rebatched(decoded.iterator(), spec, indexes, count, steps)


def rebatched(
    decoded: ray.data.DataIterator, spec: Spec, indexes: Sequence[ClipIndex], count: int, steps: range
) -> Iterator[Batch]:
    """Decoded blocks cut into batches of `count` rows, one for each step.

    Raises:
        DataError: More clips than `training.bad_clips` allows could not be read, or the blocks end too early.
    """
    watch = _BadClips(spec, indexes)
    pieces = _Pieces()
    step = steps.start
    for block in decoded.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1):
        watch.seen(block)
        pieces.put(block)
        while pieces.rows >= count:
            columns = pieces.take(count)
            yield Batch(
                step=step,
                micro=0,
                **{name: columns[name] for name in _COLUMNS},
                frames=columns["frames"],
                replaced=columns["replaced"],
            )
            step += 1
    if step != steps.stop:
        raise DataError(f"The stream ended at step {step} of {steps.stop}.", "This is a defect; please report it.")


def _cached(
    spec: Spec,
    indexes: Sequence[ClipIndex],
    caches: Sequence[ClipCache | None],
    plan: SamplingPlan,
    steps: range,
    rank: int,
    world_size: int,
) -> Iterator[Batch]:
    """Batches straight from the cache, up to the first step that is not there whole."""
    for step in steps:
        rows = plan.rows(step, step + 1, rank, world_size)
        frames, found = _from_cache(rows, indexes, caches)
        if not found.all():
            return
        yield Batch(
            step=step,
            micro=0,
            sample=rows.sample,
            slot=rows.slot,
            domain=rows.domain,
            clip=rows.clip,
            frames=augmented(frames, rows.sample, spec.training.augment, spec.seed),
            replaced=np.zeros(len(rows), dtype=bool),
        )


def _from_cache(
    rows: StepPlan, indexes: Sequence[ClipIndex], caches: Sequence[ClipCache | None]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(N, T, H, W, 3) and (N,) whether each was there."""
    clip = indexes[0].clip
    frames = np.empty((len(rows), clip.frames, clip.height, clip.width, 3), dtype=np.uint8)
    found = np.zeros(len(rows), dtype=bool)
    for d in np.unique(rows.domain).tolist():
        mine, cache = np.flatnonzero(rows.domain == d), caches[d]
        if cache is not None:
            found[mine] = cache.read(indexes[d].numbers(rows.clip[mine]), frames, mine.tolist())
    return frames, found


def decoded_dataset(
    spec: Spec, indexes: Sequence[ClipIndex], plan: SamplingPlan, steps: range, rank: int, world_size: int
) -> ray.data.Dataset:
    """Plan rows → decoded blocks, as a lazy dataset in plan order."""
    import ray
    import ray.data

    from drivereplay.data.source import PlanSource
    from drivereplay.session import ensure_ray, quiet_ray_data

    ensure_ray()
    quiet_ray_data()
    if len(indexes) != plan.domains:
        raise SpecError(f"The stream got {len(indexes)} indexes for a plan of {plan.domains} domains.")
    decoders = _decoders()
    work = Work(spec, tuple(indexes), plan, steps, rank, world_size, decoders)
    decoded = ray.data.read_datasource(
        PlanSource(work),
        override_num_blocks=work.blocks,
        concurrency=math.ceil(decoders * _TASKS_PER_CORE) + _MORE_TASKS,
        num_cpus=spec.resources.decode_cpus,
    )
    decoded.context.execution_options.preserve_order = True
    return decoded


def _decoders() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _cuts(rows: int, per_step: int, clip: ClipSpec, decoders: int) -> list[int]:
    """Where to cut the rank's rows into blocks: small ones first, so that training begins at once, then large ones.

    Towards the end they become smaller again, so that no decoder is left with a large one alone.
    """
    clip_bytes = clip.frames * clip.height * clip.width * 3
    most = max(1, min(_BLOCK_CLIPS, _BLOCK_BYTES // clip_bytes, max(_SHORT_BLOCK, -(-rows // (4 * decoders)))))
    # the first batch is decoded by several processes at once
    cuts, size = [0], min(-(-per_step // 4), most)
    while cuts[-1] < rows:
        left = rows - cuts[-1]
        cuts.append(cuts[-1] + min(left, size, max(_LAST_BLOCK, -(-left // (2 * decoders)))))
        if len(cuts) % 2:
            size = min(2 * size, most)
    return cuts


class Work:
    """What there is to decode, in blocks of neighbouring rows; the same for every task, put into Ray's store once."""

    def __init__(
        self,
        spec: Spec,
        indexes: tuple[ClipIndex, ...],
        plan: SamplingPlan,
        steps: range,
        rank: int,
        world_size: int,
        decoders: int = 1,
    ) -> None:
        self.clip = spec.clip
        self._spec = spec
        self._indexes = indexes
        self._plan = plan
        self._steps = steps
        self._rank = rank
        self._world_size = world_size
        self._per_step = len(plan.rank_slots(steps.start, rank, world_size))
        self._cuts = _cuts(len(steps) * self._per_step, self._per_step, spec.clip, decoders)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return len(self._cuts) - 1

    @property
    def block_rows(self) -> list[int]:
        """Rows of each block."""
        return np.diff(self._cuts).tolist()  # type: ignore[no-any-return]

    @property
    def row_bytes(self) -> int:
        """Bytes of one decoded clip."""
        return self.clip.frames * self.clip.height * self.clip.width * 3

    def rows(self, block: int) -> StepPlan:
        """The plan's rows of a block."""
        first, last, size = self._cuts[block], self._cuts[block + 1], self._per_step
        begin, end = first // size, -(-last // size)
        steps = self._steps.start + begin, self._steps.start + end
        rows = self._plan.rows(*steps, self._rank, self._world_size)
        return rows.taken(np.arange(first - begin * size, last - begin * size))

    def decoded(self, block: int) -> dict[str, NDArray[Any]]:
        """The decoded block; runs in a Ray worker process, which keeps files open from block to block."""
        caches = pixel_caches(self._spec, self._indexes)
        columns = decoded_rows(self.rows(block), self._indexes, _decoder(self.clip), caches)
        settings = self._spec.training.augment
        columns["frames"] = augmented(columns["frames"], columns["sample"], settings, self._spec.seed)
        return columns


@functools.lru_cache(maxsize=4)
def _decoder(clip: ClipSpec) -> Decoder:
    """The decoder of this process for a size."""
    return Decoder(clip, share=True)


def decoded_rows(
    rows: StepPlan, indexes: Sequence[ClipIndex], decoder: Decoder, caches: Sequence[ClipCache | None] | None = None
) -> dict[str, NDArray[Any]]:
    """Decode plan rows; a clip that cannot be read is replaced by the next one of its domain.

    Returns:
        The plan's columns with `clip` as used, `frames` (N, T, H, W, 3), `replaced` (N,), and `error` (N,) str: why the
        planned clip was replaced, empty where it was not. `lost` (N,) marks rows for which nothing could be read.
    """
    clips = rows.clip.copy()
    errors = np.full(len(rows), "", dtype=object)
    windows = [indexes[d].window("train", c) for d, c in zip(rows.domain.tolist(), clips.tolist(), strict=True)]
    frames, failed = _filled(rows, windows, indexes, decoder, caches)
    for _ in range(_TRIES):
        if not failed:
            break
        bad = sorted(failed)
        for n in bad:
            errors[n] = errors[n] or f"{windows[n].name}: {failed[n]}"
            index = indexes[int(rows.domain[n])]
            clips[n] = (clips[n] + 1) % index.count("train")
            windows[n] = index.window("train", int(clips[n]))
        again, still = decoder.decode([windows[n] for n in bad])
        frames[bad] = again
        failed = {bad[k]: reason for k, reason in still.items()}
    lost = np.zeros(len(rows), dtype=bool)
    lost[list(failed)] = True
    return {
        "sample": rows.sample,
        "slot": rows.slot,
        "domain": rows.domain,
        "clip": clips,
        "frames": frames,
        "replaced": errors != "",
        "lost": lost,
        "error": errors.astype(str),
    }


def _filled(
    rows: StepPlan,
    windows: Sequence[Window],
    indexes: Sequence[ClipIndex],
    decoder: Decoder,
    caches: Sequence[ClipCache | None] | None,
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Frames of all rows, from the cache where it has them; what had to be decoded is put there."""
    if caches is None:
        return decoder.decode(windows)
    frames, found = _from_cache(rows, indexes, caches)
    missing = np.flatnonzero(~found)
    if not len(missing):
        return frames, {}
    frames[missing], errors = decoder.decode([windows[n] for n in missing.tolist()])
    good = np.delete(missing, list(errors))
    for d in np.unique(rows.domain[good]).tolist():
        mine, cache = good[rows.domain[good] == d], caches[d]
        if cache is not None:
            cache.put(indexes[d].numbers(rows.clip[mine]), frames[mine])
    return frames, {int(missing[k]): reason for k, reason in errors.items()}


class _Pieces:
    """Rows of decoded blocks, cut anew into batches."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, NDArray[Any]]] = []
        self.rows = 0

    def put(self, block: dict[str, NDArray[Any]]) -> None:
        self._blocks.append(block)
        self.rows += len(block["sample"])

    def take(self, count: int) -> dict[str, NDArray[Any]]:
        """The next `count` rows; no copy where they lie in one block."""
        parts: list[dict[str, NDArray[Any]]] = []
        missing = count
        while missing:
            block = self._blocks[0]
            size = len(block["sample"])
            if size <= missing:
                parts.append(self._blocks.pop(0))
                missing -= size
            else:
                parts.append({name: values[:missing] for name, values in block.items()})
                self._blocks[0] = {name: values[missing:] for name, values in block.items()}
                missing = 0
        self.rows -= count
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class _BadClips:
    """Counts clips that were replaced, and ends the run when they are too many."""

    _LEAST = 100

    def __init__(self, spec: Spec, indexes: Sequence[ClipIndex]) -> None:
        self._share = spec.training.bad_clips
        self._names = [index.name for index in indexes]
        self._rows = 0
        self._bad: dict[str, str] = {}
        self._replaced = 0

    def seen(self, block: dict[str, NDArray[Any]]) -> None:
        """Count a block.

        Raises:
            DataError: More than the accepted share is bad.
        """
        self._rows += len(block["sample"])
        for domain in block["domain"][block["lost"]].tolist():
            listed = "; ".join(sorted(set(block["error"][block["lost"]].tolist()))[:5])
            raise DataError(
                f"Domain '{self._names[domain]}': {_TRIES} clips in a row cannot be read: {listed}.",
                "Ingest the domain again.",
            )
        for error in block["error"][block["replaced"]].tolist():
            name, _, reason = str(error).partition(": ")
            self._bad[name] = reason
            self._replaced += 1
        # a share of the first few says nothing yet, and one bad clip never ends a run unless none is accepted
        accepted = max(1.0, self._share * max(self._rows, self._LEAST)) if self._share else 0.0
        if self._replaced > accepted:
            listed = "; ".join(f"{name} {reason}" for name, reason in list(self._bad.items())[:10])
            raise DataError(
                f"{self._replaced} of {self._rows} clips could not be read, more than training.bad_clips "
                f"({self._share:g}) allows: {listed}.",
                "Ingest the domain again, or raise training.bad_clips.",
            )
