"""Points of the simplex from independent numbers in [0, 1], without a degenerate direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivereplay.errors import SpecError

_EDGE = 1e-12


@dataclass(frozen=True)
class Simplex:
    """Stick-breaking: K weights from K − 1 numbers.

    With u_k uniform on [0, 1], v_k = F⁻¹(u_k) of Beta(c, c·(K−k)) and w_k = v_k · Π_{j<k} (1 − v_j), the weights
    follow Dirichlet(c, ..., c) exactly (Connor and Mosimann, 1969), which for c = 1 is uniform on the simplex. There
    are as many numbers as degrees of freedom, so that no direction of the cube leaves the weights unchanged; the usual
    normalised exponentials have one number too many.

    With `most`, only that many of the K domains get weight: K further numbers rank the domains and the first `most` of
    them share the stick. That is for many domains, where most mixes of few are never met by a uniform draw.

    Attributes:
        size: K.
        concentration: c; below 1 the mixes are sparse, above 1 near to equal.
        most: Largest number of domains with weight; None for all.
        least: (K,) weights that the domains have at least; empty for none.
    """

    size: int
    concentration: float = 1.0
    most: int | None = None
    least: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, size: int, *, concentration: float = 1.0, most: int | None = None, least: Sequence[float] = ()
    ) -> Simplex:
        """Check the options.

        Raises:
            SpecError: The concentration is not positive, `most` is not between 1 and K, or the least weights leave
                nothing to choose.
        """
        if any(least):
            if most is not None and most < size:
                raise SpecError("simplex: `least` and `most` exclude each other: a domain left out has no weight.")
            if min(least) < 0 or sum(least) >= 1:
                raise SpecError(f"simplex: the least weights must be 0 or more and sum to less than 1, got {least}.")
        if concentration <= 0:
            raise SpecError(f"simplex: the concentration must be above 0, got {concentration}.")
        if most is not None and not 1 <= most <= size:
            raise SpecError(f"simplex: `most` must be between 1 and the {size} domains, got {most}.")
        return cls(size, concentration, None if most == size else most, tuple(least) if any(least) else ())

    def holds(self, other: Simplex) -> bool:
        """Whether it has every mix of another one, which may have fewer domains, drawn alike."""
        least = (*self.least, *[0.0] * self.size)[: self.size]
        theirs = (*other.least, *[0.0] * self.size)[: self.size]
        return (
            self.concentration == other.concentration
            and self.size >= other.size
            and (self.most or self.size) >= (other.most or other.size)
            and all(mine <= before for mine, before in zip(least, theirs, strict=True))
        )

    def lifted(self, weights: np.ndarray) -> np.ndarray:
        """(..., K) weights with sum 1, of which each domain first gets its least: l + (1 − Σl)·w."""
        if not self.least:
            return weights
        least = np.array(self.least)
        return np.asarray(least + (1.0 - least.sum()) * weights)

    def lowered(self, weights: np.ndarray) -> np.ndarray:
        """The inverse of `lifted`; below 0 where a weight is less than its least."""
        if not self.least:
            return weights
        least = np.array(self.least)
        return np.asarray((weights - least) / (1.0 - least.sum()))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers: `u1` ... for the stick, `rank1` ... for the choice of domains."""
        sticks = tuple(f"u{k + 1}" for k in range((self.most or self.size) - 1))
        return sticks if self.most is None else (*(f"rank{k + 1}" for k in range(self.size)), *sticks)

    @property
    def equal(self) -> tuple[float, ...]:
        """The centre."""
        return tuple(self.lifted(np.full(self.size, 1.0 / self.size)).tolist())

    def weights(self, units: Sequence[float]) -> tuple[float, ...]:
        """(K,) weights with sum 1 of numbers in [0, 1], in the order of `names`."""
        if self.most is None:
            return tuple(self.lifted(np.array(_stick(units, self.concentration))).tolist())
        ranks, sticks = np.asarray(units[: self.size]), units[self.size :]
        chosen = sorted(np.argsort(-ranks, kind="stable")[: self.most].tolist())
        weights = np.zeros(self.size)
        weights[chosen] = _stick(sticks, self.concentration)
        return tuple(weights.tolist())

    def units(self, weights: Sequence[float]) -> tuple[float, ...] | None:
        """Numbers that give these weights; None for weights of another size, or on more domains than `most`.

        A number very near to 1 stands for weights in a far corner of the simplex, so rare under the distribution that
        double precision tells them apart badly: from 1 − 1e-9 on they are given back less exactly than to 1e-6.
        """
        w = np.asarray(weights, dtype=np.float64)
        if w.shape != (self.size,) or w.min() < 0 or w.sum() <= 0:
            return None
        w = self.lowered(w / w.sum())
        if w.min() < -1e-9:
            return None
        w = np.maximum(w, 0.0) / np.maximum(w, 0.0).sum()
        if self.most is None:
            return _unstick(w, self.concentration)
        chosen = np.sort(np.argsort(-w, kind="stable")[: self.most])
        if w[chosen].sum() < 1.0 - 1e-9:
            return None
        ranks = np.where(np.isin(np.arange(self.size), chosen), 0.75, 0.25)
        return (*ranks.tolist(), *_unstick(w[chosen], self.concentration))


def _stick(units: Sequence[float], c: float) -> tuple[float, ...]:
    from scipy.special import betaincinv

    rest, weights = 1.0, []
    for k, unit in enumerate(units):
        v = float(betaincinv(c, c * (len(units) - k), min(max(unit, 0.0), 1.0)))
        weights.append(rest * v)
        rest *= 1.0 - v
    return (*weights, rest)


def _unstick(weights: np.ndarray, c: float) -> tuple[float, ...]:
    from scipy.special import betainc

    rest, units = 1.0, []
    for k, w in enumerate(weights[:-1].tolist()):
        # behind a used-up stick any number gives the same weights: the middle one stands for all
        v = min(1.0, w / rest) if rest > _EDGE else None
        units.append(0.5 if v is None else float(betainc(c, c * (len(weights) - 1 - k), v)))
        rest -= w
    return tuple(units)
