"""Which slot of a batch each domain gets, so that every rank of a worker group has its due, at once and over time.

Rank r of W has the slots ≡ r modulo W. A batch of 2^a is halved a times: slots by their last binary digit, each half by
the next digit, and so on. In each halving a domain's samples are halved too; where their number is odd, one half gets
one more, and that is the half that so far had fewer of this domain: the fair car pool of Ajtai and others (Fairness in
scheduling, 1998), once for each halving. So for every power of two W each rank has ⌊c/W⌋ or ⌈c/W⌉ of a domain's c
samples in every step, and over many steps few too many or too few.

What the halves have had is counted anew every `BLOCK` steps, so that any step is found in constant time; from block to
block the last odd ones add up like the tosses of a coin (figures in `docs/data.md`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
"""Steps after which the counts begin anew, and at most so many are looked through to find a step."""
_BLOCK_SAMPLES = 1 << 18


class Dealer:
    """Deals the samples of each step to its slots; a pure function of its arguments and the step.

    Args:
        batch: B, a power of two.
        domains: D.
        seed: Decides ties.
        domains_of: Step → (B,) int64, the domain of each sample of the step.
    """

    def __init__(self, batch: int, domains: int, seed: int, domains_of: Callable[[int], NDArray[np.int64]]) -> None:
        self._batch = batch
        self._domains = domains
        self._seed = seed
        self._domains_of = domains_of
        # what is looked through takes a fraction of a second for large batches, too
        self._block = min(BLOCK, max(64, _BLOCK_SAMPLES // batch))
        self._first = self._next = -1
        self._ahead: list[NDArray[np.float64]] = []
        self._ties = np.random.default_rng(0)
        self._last: tuple[int, NDArray[np.int64]] | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # what it has looked through is a matter of this process
        return Dealer, (self._batch, self._domains, self._seed, self._domains_of)

    @staticmethod
    def fits(batch: int) -> bool:
        """Whether a batch of this size can be dealt."""
        return batch & (batch - 1) == 0

    def slots(self, step: int) -> NDArray[np.int64]:
        """(B,) int64, the domain in each slot of the step."""
        with self._lock:
            if self._last is not None and self._last[0] == step:
                return self._last[1]
            first = step - step % self._block
            if self._first != first or self._next > step:
                self._begin(first)
            while self._next <= step:
                dealt = self._deal(self._next)
                self._next += 1
            self._last = (step, dealt)
            return dealt

    def _begin(self, first: int) -> None:
        self._first = self._next = first
        self._ties = np.random.default_rng((self._seed, first))
        levels = self._batch.bit_length() - 1
        # how many more of the odd ones the first half has had than the second, (nodes of the level, D)
        self._ahead = [np.zeros((1 << level, self._domains)) for level in range(levels)]

    def _deal(self, step: int) -> NDArray[np.int64]:
        counts = np.bincount(self._domains_of(step), minlength=self._domains)
        # what is there, as (node, domain, count) rows
        domain = np.flatnonzero(counts)
        count, node = counts[domain], np.zeros_like(domain)
        for ahead in self._ahead:
            odd = np.flatnonzero(count & 1)
            # half of a node's odd ones go to its first half: those of which that has had least
            where = node[odd]
            wants = ahead[where, domain[odd]] + self._ties.random(len(odd))
            sorting = np.argsort(where * (2.0 * BLOCK + 2.0) + wants)  # by node first: |ahead| is at most BLOCK
            odd, where = odd[sorting], where[sorting]
            group = np.bincount(where, minlength=len(ahead))
            rank = np.arange(len(odd)) - (np.cumsum(group) - group)[where]
            gets = 2 * rank < group[where]
            ahead[where, domain[odd]] += 2.0 * gets - 1.0
            first = count >> 1
            first[odd] += gets
            count = np.concatenate([first, count - first])
            node = np.concatenate([node, node + len(ahead)])
            domain = np.concatenate([domain, domain])
            there = np.flatnonzero(count)
            count, node, domain = count[there], node[there], domain[there]
        slots = np.empty(self._batch, dtype=np.int64)
        slots[node] = domain
        return slots
