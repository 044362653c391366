"""The sampling plan: a pure function from (experiment, step) to clips, domains and slots."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.chairman import Chairman, Piece, integer_weights
from drivereplay.data.dealing import Dealer
from drivereplay.data.permutation import permuted, unit_interval
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import Spec

_RANGES = 1000
"""A ramp moves in at most this many equal pieces, so that the plan's memory does not grow with the run."""
_EXACT = 1 << 60
_LONG_RUN = 1 << 22
_LONG_RUN_EXACT = 1 << 20
_TURNS = (0.7548776662466927, 0.5698402909980532)
"""1/p and 1/p² of the plastic number p: multiples of them fill the unit square evenly, with no period."""


@dataclass(frozen=True)
class StepPlan:
    """What one optimiser step trains on: B samples in the order of their slots.

    Attributes:
        step: Number of the (first) step, from 0.
        sample: (B,) int64, global sample numbers, a permutation of step·B … step·B + B − 1; noise and timestep hang on
            them, and in their order the domains' counts are exact at every sample.
        slot: (B,) int64, 0 … B−1: the place in the batch, which decides the rank.
        domain: (B,) int64, numbers into `Spec.domains`.
        clip: (B,) int64, numbers of the clips within their domain's training split.
        epoch: (B,) int64, how often the domain had been used up before.
    """

    step: int
    sample: NDArray[np.int64]
    slot: NDArray[np.int64]
    domain: NDArray[np.int64]
    clip: NDArray[np.int64]
    epoch: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sample)

    def taken(self, rows: NDArray[np.int64]) -> StepPlan:
        """The part of the step at `rows`, in that order."""
        columns = {name: getattr(self, name)[rows] for name in ("sample", "slot", "domain", "clip", "epoch")}
        return StepPlan(step=self.step, **columns)


@dataclass(frozen=True)
class _Part:
    """The plan from `first_step` on, until the next part; adaptive weights begin a new one at each update."""

    first_step: int
    mix: tuple[Fraction, ...] | None
    base: tuple[int, ...]


class SamplingPlan:
    """Which clips, from which domains, in which slots, at every step.

    Shares are exact: with `interleaved`, at every sample n and for every domain, |count − n·w| ≤ 1 − 1/(2D − 2)
    (Tijdeman; see `drivereplay.data.chairman`). With `periodic` and `burst` the same holds for the steps that are all
    replay, and for the replay domains among the replay samples. Weights are the decimal numbers of the experiment file,
    taken as exact fractions; only runs of more than 2^22 samples round them, to multiples of 2^-20, so that any step of
    them is found without counting from the start.

    Each domain is used up in a fresh pseudo-random order in each epoch, every clip once.

    Nothing here depends on the number of workers; `rank_slots` cuts a step for any number that divides the batch.
    """

    def __init__(self, spec: Spec, counts: tuple[int, ...], parts: tuple[_Part, ...]) -> None:
        self._spec = spec
        self.counts = counts
        self.batch_size = spec.training.batch_size
        self.steps = spec.training.steps
        self.domains = len(counts)
        self._parts = parts
        self._mixers = [_Mixer(spec, part) for part in parts]
        self._check()

    @classmethod
    def of(cls, spec: Spec, counts: Sequence[int]) -> SamplingPlan:
        """The plan of an experiment.

        Args:
            spec: The experiment; seed, batch size, steps and the replay section count.
            counts: Training clips of each domain, in the order of `spec.domains`.

        Raises:
            SpecError: `counts` does not fit the domains.
            DataError: A domain that the plan draws from has no clips.
        """
        if len(counts) != len(spec.domains):
            raise SpecError(f"The plan got {len(counts)} clip counts for {len(spec.domains)} domains.")
        return cls(spec, tuple(int(c) for c in counts), (_Part(0, None, (0,) * len(counts)),))

    def with_mix(self, first_step: int, mix: Sequence[float]) -> SamplingPlan:
        """The same plan up to `first_step`, other replay weights from there on (adaptive replay).

        Args:
            first_step: Must not lie before the latest change.
            mix: Weights of the replay domains, not all zero.

        Raises:
            SpecError: The weights do not fit, or the step lies before an earlier change.
        """
        values = [Fraction(repr(float(x))) for x in mix]
        if len(values) != self.domains - 1 or sum(values) <= 0 or min(values, default=Fraction(0)) < 0:
            raise SpecError(
                f"Weights {list(mix)} do not fit {self.domains - 1} replay domains: not negative, not all zero."
            )
        if first_step < self._parts[-1].first_step:
            raise SpecError(f"The plan changed at step {self._parts[-1].first_step}; step {first_step} is before that.")
        base = tuple(int(c) for c in self.counts_before(first_step))
        total = sum(values)
        part = _Part(first_step, tuple(v / total for v in values), base)
        kept = tuple(p for p in self._parts if p.first_step < first_step)
        return SamplingPlan(self._spec, self.counts, (*kept, part))

    @property
    def weights(self) -> tuple[float, ...]:
        """Shares of the domains at the first step of the latest part, in the order of `Spec.domains`."""
        return self._mixers[-1].shares(self._parts[-1].first_step)

    def weights_at(self, step: int) -> tuple[float, ...]:
        """Shares of the domains that hold at `step`."""
        return self._mixer(step).shares(step)

    def counts_before(self, step: int) -> NDArray[np.int64]:
        """Samples of each domain in steps 0 … step−1, (D,) int64."""
        number = self._part_number(max(0, step - 1)) if step else 0
        return np.asarray(self._parts[number].base, dtype=np.int64) + self._mixers[number].counts_before(step)

    def step(self, step: int) -> StepPlan:
        """The plan of one step."""
        return self.rows(step, step + 1)

    def rows(self, first_step: int, last_step: int, rank: int = 0, world_size: int = 1) -> StepPlan:
        """One rank's rows of steps first_step … last_step − 1, step after step, in the order of their slots.

        The same as `step` for each of them, computed together.
        """
        mine = self.rank_slots(first_step, rank, world_size)
        parts = []
        for step in range(first_step, last_step):
            number = self._part_number(step)
            mixer = self._mixers[number]
            domain = mixer.domains(step)
            before = np.asarray(self._parts[number].base, dtype=np.int64) + mixer.counts_before(step)
            use = before[domain] + _occurrence(domain, self.domains)
            # order[slot] is the place in the sequence of samples of what lies in that slot
            order = self._order(step, domain, before)[mine]
            parts.append((step * self.batch_size + order, mine, domain[order], use[order]))
        sample, slot, domain, use = (np.concatenate(column) for column in zip(*parts, strict=True))
        clip, epoch = self._clips(domain, use)
        return StepPlan(first_step, sample, slot, domain, clip, epoch)

    def rank_slots(self, step: int, rank: int, world_size: int) -> NDArray[np.int64]:
        """Slots that worker `rank` of `world_size` trains in `step`, ascending, (B / world_size,) int64.

        In every step each rank has each domain's due within one sample. Over the whole run it stays within one sample
        where there is one replay domain, and within few where there are more and the batch is a power of two;
        `docs/data.md` has figures.

        Raises:
            SpecError: The number of workers does not divide the batch, or there is no such rank.
        """
        if world_size < 1 or self.batch_size % world_size:
            raise SpecError(
                f"{world_size} workers cannot share a batch of {self.batch_size} evenly.",
                "Choose a number of workers that divides training.batch_size.",
            )
        if not 0 <= rank < world_size:
            raise SpecError(f"There is no rank {rank} among {world_size} workers.")
        del step  # the same slots in every step: what moves from step to step is which sample lies in which slot
        return np.arange(rank, self.batch_size, world_size, dtype=np.int64)

    def rank_step(self, step: int, rank: int, world_size: int) -> StepPlan:
        """The part of `step` that worker `rank` trains, in the order of its slots."""
        return self.rows(step, step + 1, rank, world_size)

    def _turn(self, name: str, number: int, angle: int) -> float:
        return (number * _TURNS[angle] + unit_interval(name, self._spec.seed)) % 1.0

    def _part_number(self, step: int) -> int:
        number = len(self._parts) - 1
        while number and self._parts[number].first_step > step:
            number -= 1
        return number

    def _mixer(self, step: int) -> _Mixer:
        return self._mixers[self._part_number(step)]

    def _clips(self, domain: NDArray[np.int64], use: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sizes = np.asarray(self.counts, dtype=np.int64)[domain]
        epoch, position = np.divmod(use, sizes)
        clip = permuted(position, sizes, "clip", self._spec.seed, rows=(domain, epoch))
        return clip, epoch

    def _order(self, step: int, domain: NDArray[np.int64], before: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which of the step's samples lies in each slot, (B,); rank r of W has the slots ≡ r modulo W.

        With several replay domains and a batch of 2^a, a dealer decides (`drivereplay.data.dealing`). Otherwise L
        neighbouring slots give every rank ⌊L/W⌋ or ⌈L/W⌉ of them, for every W at once, and each domain gets such a run.

        With one replay domain, its run begins where that of the last step ended (modulo B): over many steps it is one
        unbroken deal, and no rank is ever ahead by more than one sample. Whenever the deal comes out even, the next one
        may begin anywhere. With more domains no start serves all of them: start and order are turned from step to
        step by irrational angles, which have no period in common with the domains' own.
        """
        size = self.batch_size
        replayed_now = int((domain > 0).sum())
        if self.domains > 2 and Dealer.fits(size):
            order = np.empty(size, dtype=np.int64)
            order[np.argsort(self._dealer.slots(step), kind="stable")] = np.argsort(domain, kind="stable")
            return order
        even = self._mixer(step).steps_of_a_deal
        if self.domains > 2 or replayed_now in (0, size):
            start = int(size * self._turn("start", step, 0))
            first = int(self.domains * self._turn("order", step, 1))
        else:
            turned = self._turn("start", step // even if even else 0, 0)
            start = int(before[1:].sum()) + int(size * turned)
            first = 1
        return np.roll(np.argsort((domain - first) % self.domains, kind="stable"), start)

    @functools.cached_property
    def _dealer(self) -> Dealer:
        return Dealer(self.batch_size, self.domains, self._spec.seed, self._domains_of)

    def _domains_of(self, step: int) -> NDArray[np.int64]:
        return self._mixer(step).domains(step)

    def _check(self) -> None:
        for mixer in self._mixers:
            for d in mixer.drawn:
                if self.counts[d] < 1:
                    name = self._spec.domains[d].name
                    raise DataError(
                        f"Domain '{name}' has no training clip, but the plan draws from it.",
                        "Give it longer or more videos, shorten clip.frames, or set its weight to 0.",
                    )


def _occurrence(domain: NDArray[np.int64], domains: int) -> NDArray[np.int64]:
    """For each sample of a batch, how many earlier ones of the batch have its domain."""
    order = np.argsort(domain, kind="stable")
    counts = np.bincount(domain, minlength=domains)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    result = np.empty_like(domain)
    result[order] = np.arange(len(domain)) - starts
    return result


class _Mixer:
    """Domains of the samples of one part of the plan; steps count from the run's start, samples from the part's."""

    def __init__(self, spec: Spec, part: _Part) -> None:
        self._replay = spec.replay
        self._batch = spec.training.batch_size
        self._first = part.first_step
        self._fixed_mix = part.mix
        self._steps = max(1, spec.training.steps)
        self._domains = len(spec.domains)
        ramp = self._replay.frequency_end is not None or (self._replay.weights_end is not None and part.mix is None)
        self._group = spec.replay.burst if spec.replay.layout == "burst" else 1
        # a range is a run of steps with one ρ and one w
        self._range = -(-self._steps // _RANGES) if ramp else None
        if self._range is not None:
            self._range = -(-self._range // self._group) * self._group
        self._count = 1 if self._range is None else -(-self._steps // self._range)
        self._limit = _LONG_RUN_EXACT if self._steps * self._batch > _LONG_RUN else _EXACT
        self._raw = (
            _fractions(self._replay.weights or [d.weight for d in self._replay.domains]),
            _fractions(self._replay.weights_end or ()),
        )
        ends = (self._row(0), self._row(self._count - 1))
        self.drawn = [d for d in range(self._domains) if any(row[d] > 0 for row in ends)]

    @functools.cached_property
    def steps_of_a_deal(self) -> int:
        """Steps after which replay has filled every slot equally often; 0 if its number changes from step to step."""
        due = self._frequency(0) * self._batch
        if not self._interleaved or self._count > 1 or due.denominator != 1 or not due:
            return 0
        return self._batch // math.gcd(int(due), self._batch)

    def shares(self, step: int) -> tuple[float, ...]:
        return tuple(float(x) for x in self._row(self._range_of(step)))

    def domains(self, step: int) -> NDArray[np.int64]:
        """(B,) int64, in the order of the samples."""
        local = step - self._first
        if self._interleaved:
            return self._samples.domain(local * self._batch, (local + 1) * self._batch)
        if self._groups.domain(local // self._group, local // self._group + 1)[0] == 0:
            return np.zeros(self._batch, dtype=np.int64)
        first = self._replay_steps_before(step) * self._batch
        return 1 + self._samples.domain(first, first + self._batch)

    def counts_before(self, step: int) -> NDArray[np.int64]:
        """Samples of each domain from the part's first step up to `step`, (D,) int64."""
        local = step - self._first
        if self._interleaved:
            return self._samples.counts(local * self._batch)
        replay = self._replay_steps_before(step)
        target = np.asarray([(local - replay) * self._batch], dtype=np.int64)
        if self._domains == 1:
            return target
        return np.concatenate([target, self._samples.counts(replay * self._batch)])

    @property
    def _interleaved(self) -> bool:
        return self._replay.layout == "interleaved" or self._domains == 1

    def _replay_steps_before(self, step: int) -> int:
        group, rest = divmod(step - self._first, self._group)
        steps = int(self._groups.counts(group)[1]) * self._group
        if rest and self._groups.domain(group, group + 1)[0] == 1:
            steps += rest
        return steps

    @functools.cached_property
    def _groups(self) -> Chairman:
        """Target (0) or replay (1) for each group of steps, layouts `periodic` and `burst`."""
        rows = [(1 - self._frequency(k), self._frequency(k)) for k in range(self._count)]
        return Chairman(functools.partial(_piece, integer_weights(rows, self._limit), self._ends(self._group)))

    @functools.cached_property
    def _samples(self) -> Chairman:
        """Domain of each sample; with `periodic` and `burst`, replay domain (from 0) of each replay sample."""
        if self._interleaved:
            rows: list[tuple[Fraction, ...]] = [self._row(k) for k in range(self._count)]
            return Chairman(functools.partial(_piece, integer_weights(rows, self._limit), self._ends(1, self._batch)))
        rows = [self._mix(k) for k in range(self._count)]
        ends = [self._replay_steps_before(self._first + end) * self._batch for end in self._ends(1)]
        return Chairman(functools.partial(_piece, integer_weights(rows, self._limit), ends))

    def _ends(self, group: int, batch: int = 1) -> list[int]:
        """Ends of all ranges but the last, in groups of steps (or samples) from the part's first step."""
        if self._range is None:
            return []
        ends = ((k + 1) * self._range - self._first for k in range(self._count - 1))
        return [max(0, -(-end // group)) * batch for end in ends]

    def _range_of(self, step: int) -> int:
        return 0 if self._range is None else min(step // self._range, self._count - 1)

    def _row(self, k: int) -> tuple[Fraction, ...]:
        frequency = self._frequency(k)
        return (1 - frequency, *(frequency * w for w in self._mix(k)))

    def _frequency(self, k: int) -> Fraction:
        start = Fraction(repr(self._replay.frequency))
        if self._domains == 1:
            return Fraction(0)
        if self._replay.frequency_end is None:
            return start
        return start + (Fraction(repr(self._replay.frequency_end)) - start) * self._progress(k)

    def _mix(self, k: int) -> tuple[Fraction, ...]:
        if self._fixed_mix is not None:
            return self._fixed_mix
        start, end = self._raw
        if not end:
            return start
        return tuple(a + (b - a) * self._progress(k) for a, b in zip(start, end, strict=True))

    def _progress(self, k: int) -> Fraction:
        return Fraction(k, max(1, self._count - 1))


def _piece(weights: list[tuple[int, ...]], ends: list[int], k: int) -> Piece:
    if k >= len(ends):
        return None, weights[len(ends)]
    return ends[k] - (ends[k - 1] if k else 0), weights[k]


def _fractions(values: Sequence[float]) -> tuple[Fraction, ...]:
    """Numbers as they stand in the experiment file, exactly, normalised to sum 1."""
    exact = [Fraction(repr(float(value))) for value in values]
    total = sum(exact)
    return tuple(value / total for value in exact) if total else tuple(exact)


def concatenated(plans: Sequence[StepPlan]) -> StepPlan:
    """Several (parts of) steps as one table; `step` is that of the first."""
    names = ("sample", "slot", "domain", "clip", "epoch")
    columns = {name: np.concatenate([getattr(plan, name) for plan in plans]) for name in names}
    return StepPlan(step=plans[0].step, **columns)
