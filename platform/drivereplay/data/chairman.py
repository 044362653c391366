"""Which domain each sample comes from: Tijdeman's chairman assignment, in exact integer arithmetic.

R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32 (1980): states that take turns as chairman in
proportion to weights λ_i(n), Σ_i λ_i(n) = 1, can be ordered so that at every n and for every i

    |count_i(n) − Λ_i(n)| ≤ 1 − 1/(2D − 2),      Λ_i(n) = Σ_{m ≤ n} λ_i(m).

The order: at n a state is *released* once Λ_i(n) − count_i ≥ 1/(2D − 2); of the released ones the one is taken whose
*deadline*, the first t with Λ_i(t) − count_i ≥ 1 − 1/(2D − 2), is the earliest. Weights may change with n.
"""

from __future__ import annotations

import bisect
import heapq
import math
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Piece = tuple[int | None, tuple[int, ...]]
"""(length in samples or None for ever, weight of each domain as an integer); weights sum to the same Q everywhere."""

_BLOCK = 4096
_KEPT = 64


class Chairman:
    """The endless sequence of domains for weights that are constant in pieces.

    Random access costs nothing for samples that were asked for lately, and for a constant mix whose period is short;
    otherwise the sequence is computed once up to the sample that is asked for. Memory does not grow with the number of
    samples beyond one row of counts for each 4,096 of them.

    Args:
        piece: Gives piece k; the last one has no length. Q, the sum of its weights, is the same for all.
    """

    def __init__(self, piece: Callable[[int], Piece]) -> None:
        self._piece = piece
        length, weights = piece(0)
        self.domains = len(weights)
        self._q = sum(weights)
        # ends and cumulative weights of the pieces seen so far
        self._starts: list[int] = [0]
        self._pieces: list[Piece] = [(length, weights)]
        self._sums: list[tuple[int, ...]] = [(0,) * self.domains]
        # counts before each block: all the state there is
        self._snapshots: list[NDArray[np.int64]] = [np.zeros(self.domains, dtype=np.int64)]
        self._blocks: dict[int, NDArray[np.int64]] = {}
        self._period = self._q if length is None and self._q <= 1 << 20 else None

    def domain(self, first: int, last: int) -> NDArray[np.int64]:
        """Domains of samples first … last−1, (last − first,) int64."""
        if last <= first:
            return np.zeros(0, dtype=np.int64)
        parts = []
        n = first
        while n < last:
            block, offset = divmod(self._folded(n)[1], _BLOCK)
            values = self._block(block)
            take = min(last - n, len(values) - offset)
            parts.append(values[offset : offset + take])
            n += take
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def counts(self, n: int) -> NDArray[np.int64]:
        """How often each domain occurs among samples 0 … n−1, (D,) int64."""
        whole, rest = self._folded(n)
        block, offset = divmod(rest, _BLOCK)
        result = np.zeros(self.domains, dtype=np.int64)
        if whole:
            result += whole * np.asarray(self._pieces[0][1], dtype=np.int64)
        if rest:
            self._advance(block)
            result += self._snapshots[block]
            if offset:
                result += np.bincount(self._block(block)[:offset], minlength=self.domains)
        return result

    def cumulative(self, n: int) -> tuple[list[int], int]:
        """Λ_i(n) as integers over a common denominator: (numerators, denominator)."""
        return [self._weight_sum(i, n) for i in range(self.domains)], self._q

    def _folded(self, n: int) -> tuple[int, int]:
        """(whole periods before n, n within its period): after a period every count is exactly what it should be."""
        return divmod(n, self._period) if self._period else (0, n)

    def _block(self, number: int) -> NDArray[np.int64]:
        block = self._blocks.get(number)
        if block is None:
            self._advance(number)
            block = self._computed(number)
        return block

    def _advance(self, number: int) -> None:
        """Make sure that the state before block `number` is known."""
        while len(self._snapshots) <= number:
            self._computed(len(self._snapshots) - 1)

    def _computed(self, number: int) -> NDArray[np.int64]:
        first = number * _BLOCK
        size = min(_BLOCK, self._period - first) if self._period else _BLOCK
        values, counts = self._run(first, size, self._snapshots[number].tolist())
        if len(self._snapshots) == number + 1:
            self._snapshots.append(np.asarray(counts, dtype=np.int64))
        if len(self._blocks) >= _KEPT and not (self._period and self._period <= 1 << 16):
            self._blocks.pop(next(iter(self._blocks)))
        self._blocks[number] = values
        return values

    def _run(self, first: int, size: int, counts: list[int]) -> tuple[NDArray[np.int64], list[int]]:
        """Earliest deadline first over the released domains, for samples first … first + size − 1 (n counts from 1)."""
        if self.domains == 1:
            return np.zeros(size, dtype=np.int64), [first + size]
        if self._pieces[0][0] is None:
            # one mix for ever, which is the rule
            return self._constant(first, size, counts)
        release, deadline = self._release, self._deadline
        waiting = [(release(i, counts[i]), i) for i in range(self.domains)]
        heapq.heapify(waiting)
        ready: list[tuple[int, int]] = []
        chosen = array("q", bytes(8 * size))
        push, pop, replace = heapq.heappush, heapq.heappop, heapq.heapreplace
        for k in range(size):
            n = first + k + 1
            while waiting and waiting[0][0] <= n:
                i = pop(waiting)[1]
                push(ready, (deadline(i, counts[i]), i))
            i = ready[0][1]
            chosen[k] = i
            counts[i] = count = counts[i] + 1
            moment = release(i, count)
            if moment <= n + 1:
                replace(ready, (deadline(i, count), i))
            else:
                pop(ready)
                push(waiting, (moment, i))
        return np.frombuffer(chosen, dtype=np.int64), counts

    def _constant(self, first: int, size: int, counts: list[int]) -> tuple[NDArray[np.int64], list[int]]:
        """`_run` for a single piece without end: all moments at once, and one heap.

        A domain's turns need not be released one by one: a later one has a later deadline.
        """
        m = 2 * self.domains - 2
        last, step = first + size, self._q * m
        # Python's integers where 64 bits might not hold the moments' numerators
        kind = np.int64 if (last + 2 * self._q + 2) * step < 1 << 62 else np.object_
        below = m * np.asarray(self._pieces[0][1], dtype=kind)
        had = np.asarray(counts, dtype=np.int64)
        turns = np.maximum(0, ((last * below - self._q) // step + 1).astype(np.int64) - had)
        domain = np.repeat(np.arange(self.domains), turns)
        count = had[domain] + np.arange(len(domain)) - np.repeat(np.cumsum(turns) - turns, turns)
        earned = count.astype(kind) * step + self._q
        released = (-(-earned // below[domain])).astype(np.int64)
        # the deadline, then the domain: one number decides
        urgency = -(-(earned + self._q * (m - 2)) // below[domain]) * self.domains + domain
        order = np.argsort(released, kind="stable")
        waiting = urgency[order].tolist()
        # how many have been released by each sample
        until = np.searchsorted(released[order], np.arange(first + 1, last + 1), side="right").tolist()
        ready: list[int] = []
        chosen: list[int] = []
        push, pop, replace = heapq.heappush, heapq.heappop, heapq.heappushpop
        begin = 0
        for end in until:
            if end == begin:
                chosen.append(pop(ready))
                continue
            for k in range(begin, end - 1):
                push(ready, waiting[k])
            chosen.append(replace(ready, waiting[end - 1]))
            begin = end
        values = np.asarray([number % self.domains for number in chosen], dtype=np.int64)
        return values, (had + np.bincount(values, minlength=self.domains)).tolist()

    def _release(self, i: int, count: int) -> int:
        """The first n with Λ_i(n) ≥ count + 1/(2D − 2)."""
        m = 2 * self.domains - 2
        return self._first(i, count * m + 1, m)

    def _deadline(self, i: int, count: int) -> int:
        """The first n with Λ_i(n) ≥ count + 1 − 1/(2D − 2)."""
        m = 2 * self.domains - 2
        return self._first(i, (count + 1) * m - 1, m)

    def _first(self, i: int, numerator: int, m: int) -> int:
        """The first n ≥ 0 with Λ_i(n) ≥ numerator / m; _NEVER if there is none."""
        needed = -(-numerator * self._q // m)
        k = bisect.bisect_left(self._sums, needed, key=lambda sums: sums[i]) - 1
        k = max(k, 0)
        while True:
            length, weights = self._pieces[k]
            missing = needed - self._sums[k][i]
            if weights[i] > 0:
                steps = -(-missing // weights[i])
                if length is None or steps <= length:
                    return self._starts[k] + max(0, steps)
            if length is None:
                return _NEVER
            k += 1
            self._have_piece(k)

    def _weight_sum(self, i: int, n: int) -> int:
        k = 0
        while self._pieces[k][0] is not None and self._starts[k] + (self._pieces[k][0] or 0) < n:
            k += 1
            self._have_piece(k)
        return self._sums[k][i] + (n - self._starts[k]) * self._pieces[k][1][i]

    def _have_piece(self, k: int) -> None:
        while len(self._pieces) <= k:
            length, weights = self._pieces[-1]
            assert length is not None
            self._starts.append(self._starts[-1] + length)
            self._sums.append(tuple(s + length * w for s, w in zip(self._sums[-1], weights, strict=True)))
            self._pieces.append(self._piece(len(self._pieces)))


_NEVER = 1 << 200


def integer_weights(rows: Sequence[Sequence[Fraction]], limit: int) -> list[tuple[int, ...]]:
    """Rows of fractions, each summing to 1, as integers that sum to one and the same Q in every row.

    Exact while Q stays within `limit`; beyond, each row is rounded to multiples of 1/`limit` by largest remainder, a
    positive weight never to zero.
    """
    q = math.lcm(*(value.denominator for row in rows for value in row))
    if q <= limit:
        return [tuple(int(value * q) for value in row) for row in rows]
    return [_rounded(row, limit) for row in rows]


def _rounded(row: Sequence[Fraction], q: int) -> tuple[int, ...]:
    floors = [max(int(value * q), 1 if value > 0 else 0) for value in row]
    order = sorted(range(len(row)), key=lambda i: (floors[i] - row[i] * q, i))
    short = q - sum(floors)
    for k in range(abs(short)):
        if short > 0:
            floors[order[k % len(order)]] += 1
        else:
            floors[max(range(len(row)), key=lambda i: floors[i])] -= 1
    return tuple(floors)
