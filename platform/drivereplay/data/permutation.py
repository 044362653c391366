"""Keyed pseudo-random permutations of 0 … n−1 in constant memory, for any n up to 2^62."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 6
_ONE = np.uint64(1)
_WEYL = np.asarray([0x9E3779B97F4A7C15], dtype=np.uint64)  # an array: scalars warn where arithmetic wraps

_ROUND_KEYS = np.arange(1, _ROUNDS + 1, dtype=np.uint64) * _WEYL


def permuted(
    positions: NDArray[np.int64],
    n: int | NDArray[np.int64],
    *key: object,
    rows: tuple[NDArray[np.int64], ...] = (),
) -> NDArray[np.int64]:
    """Where permutations of 0 … n−1, chosen by `key` and `rows`, send each of `positions`.

    An alternating Feistel network on the fewest bits that hold n − 1, walked along its cycle until the value lies
    below n again (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). It is a bijection for every key.

    Args:
        positions: (K,) int64, each in 0 … n−1.
        n: Size of the set, one for all or (K,).
        key: Anything with a stable `repr`, such as a seed.
        rows: Further keys that differ from element to element, each (K,), such as domain and epoch.

    Returns:
        (K,) int64, each in 0 … n−1.
    """
    sizes: NDArray[np.uint64] = np.broadcast_to(np.asarray(n, dtype=np.uint64), positions.shape)
    seed = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    keys = np.full(positions.shape, int.from_bytes(seed, "little"), dtype=np.uint64)
    for row in rows:
        keys = _mixed((keys + _WEYL + row.astype(np.uint64)).astype(np.uint64))
    # float64 may round up to the next power of two: one bit too many does no harm
    bits = np.frexp((sizes - _ONE).astype(np.float64))[1].astype(np.uint64)
    low = (bits + _ONE) >> _ONE
    high = bits - low
    values = positions.astype(np.uint64)
    walking = np.arange(len(values))
    while len(walking):
        values[walking] = _feistel(values[walking], low[walking], high[walking], keys[walking])
        walking = walking[values[walking] >= sizes[walking]]
    return values.astype(np.int64)


def unit_interval(*key: object) -> float:
    """A number in [0, 1) that depends on `key` alone; the same on every machine."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2.0**53


def _feistel(
    values: NDArray[np.uint64], low: NDArray[np.uint64], high: NDArray[np.uint64], keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    masks = ((_ONE << low) - _ONE, (_ONE << high) - _ONE)
    halves = [values & masks[0], values >> low]
    for number in range(_ROUNDS):
        changed = number % 2
        halves[changed] = halves[changed] ^ (_mixed(halves[1 - changed] + keys + _ROUND_KEYS[number]) & masks[changed])
    return (halves[1] << low) | halves[0]


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64; arithmetic is modulo 2^64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
