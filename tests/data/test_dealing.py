"""Slots dealt to domains: exact in every step, even over many, the same from wherever one looks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivereplay.data import dealing
from drivereplay.data.dealing import Dealer

BLOCK = 64
"""Steps of a block in these tests."""


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "BLOCK", BLOCK)


class Mix:
    """Domains drawn at random with fixed chances: harder to deal than any plan's, which are evenly spread."""

    def __init__(self, batch: int, domains: int, seed: int) -> None:
        self.batch, self.seed = batch, seed
        self.chances = np.random.default_rng(seed).dirichlet(np.ones(domains))

    def __call__(self, step: int) -> np.ndarray:
        return np.random.default_rng((self.seed, step)).choice(len(self.chances), self.batch, p=self.chances)


def dealt(batch: int, domains: int, seed: int, steps: int) -> np.ndarray:
    dealer = Dealer(batch, domains, seed, Mix(batch, domains, seed))
    return np.stack([dealer.slots(step) for step in range(steps)])


@given(st.integers(0, 5), st.integers(1, 9), st.integers(0, 2**31))
def test_each_rank_of_any_group_has_its_due_in_every_step(power: int, domains: int, seed: int) -> None:
    batch, steps = 1 << power, 5
    slots = dealt(batch, domains, seed, steps)
    mix = Mix(batch, domains, seed)
    for step in range(steps):
        count = np.bincount(mix(step), minlength=domains)
        assert np.array_equal(np.bincount(slots[step], minlength=domains), count)
        for ranks in (1 << p for p in range(power + 1)):
            for rank in range(ranks):
                mine = np.bincount(slots[step][rank::ranks], minlength=domains)
                assert np.all((mine == count // ranks) | (mine == -(-count // ranks)))


@pytest.mark.parametrize("domains", [2, 4, 9])
def test_nobody_drifts_away_over_many_steps(domains: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, steps = 16, 1000
    monkeypatch.setattr(dealing, "BLOCK", steps)
    slots = dealt(batch, domains, 3, steps)
    for ranks in (2, 4, 8, 16):
        for domain in range(domains):
            hit = (slots == domain).reshape(steps, batch // ranks, ranks).sum(axis=1)
            ahead = np.cumsum(hit - hit.sum(axis=1, keepdims=True) / ranks, axis=0)
            # a coin tossed for each odd sample would be ten times as far off
            assert np.abs(ahead).max() < 3


def test_a_step_is_the_same_from_wherever_one_comes() -> None:
    whole = dealt(8, 5, 1, 2 * BLOCK + 3)
    dealer = Dealer(8, 5, 1, Mix(8, 5, 1))
    for step in (2 * BLOCK + 1, 3, 3, 2, BLOCK, BLOCK - 1, 4):
        assert np.array_equal(dealer.slots(step), whole[step])
    assert np.array_equal(pickle.loads(pickle.dumps(dealer)).slots(7), whole[7])
    assert not np.array_equal(whole, dealt(8, 5, 2, 2 * BLOCK + 3))


def test_only_powers_of_two_can_be_halved_to_the_end() -> None:
    assert [n for n in range(1, 20) if Dealer.fits(n)] == [1, 2, 4, 8, 16]
