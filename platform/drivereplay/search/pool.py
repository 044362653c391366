"""Candidate settings for `MixtureSampler`: how they are drawn, varied, and seen by its models, many at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.search.space import FREQUENCY, Dimension, Space

Floats = NDArray[np.float64]
Columns = dict[str, Floats]
"""Key → values of n settings: (n, K) weights of a mix, (n,) positions of a choice, (n,) numbers scaled to [0, 1]."""
CONCENTRATIONS = (1.0, 0.5, 0.2, 0.1)
SIZE = 1024


class Pool:
    """Draws settings of a space.

    Args:
        space: What is searched.
        rng: Random numbers.
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space = space
        self._rng = rng

    def fresh(self, count: int) -> Columns:
        """New settings; their mixes range from even to nearly pure."""
        return {d.key: self._random(d, count) for d in self._space.dimensions}

    def draw(self, best: Sequence[Mapping[str, Any]]) -> Columns:
        """Half new settings, half variations and blends of the best known ones."""
        if not best:
            return self.fresh(SIZE // 2)
        half = SIZE // 2
        known = self.columns(best)
        chosen, others = self._rng.integers(len(best), size=(2, half))
        blend = np.where(np.arange(half) % 3 == 0, self._rng.random(half), 0.0)
        varied = self.near(self._blended(known, chosen, others, blend), 10.0 ** self._rng.uniform(-2, 0, half))
        return joined(self.fresh(half), varied)

    def near(self, columns: Columns, spread: Floats) -> Columns:
        """Variations, one of each setting; a `spread` (n,) of 1 is about the whole range."""
        return {d.key: self._varied(d, columns[d.key], spread) for d in self._space.dimensions}

    def columns(self, settings: Sequence[Mapping[str, Any]]) -> Columns:
        """Settings as columns; a value that does not apply, or lies outside, is drawn."""
        columns = self.fresh(len(settings))
        for dimension in self._space.dimensions:
            for row, setting in enumerate(settings):
                value = setting.get(dimension.key)
                if value is not None and dimension.encode(value) is not None:
                    columns[dimension.key][row] = _scaled(dimension, value)
        return columns

    def setting(self, columns: Columns, row: int) -> dict[str, Any]:
        """One setting, with a value also where it does not apply."""
        return {d.key: _value(d, columns[d.key][row]) for d in self._space.dimensions}

    def encode(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """As Optuna parameters."""
        encoded: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            inner = dimension.encode(setting[dimension.key])
            assert inner is not None  # a pool draws inside the space
            encoded.update(inner)
        return encoded

    def features(self, columns: Columns) -> Floats:
        """(n, d) what a model sees: √q for the shares, [0, 1] for the rest, ½ where it does not apply."""
        count = len(next(iter(columns.values())))
        applies = self._applying(columns, count)
        rho = np.full(count, float(self._space.fixed.get(FREQUENCY, 1.0)))
        for dimension in self._space.dimensions:
            if dimension.key == FREQUENCY:
                # not clipped to the space: an anchor may lie outside
                rho = np.array([float(_number(dimension, v)) for v in columns[FREQUENCY]])
        parts: list[Floats] = []
        for dimension in self._space.dimensions:
            column, on = columns[dimension.key], applies[dimension.key]
            if dimension.simplex is not None:
                share = np.where(on[:, None], column, 1.0 / dimension.simplex.size)
                parts += [np.sqrt(np.maximum(1.0 - rho, 0.0))[:, None], np.sqrt(rho[:, None] * share)]
            elif dimension.kind == "choice":
                one_hot = column[:, None] == np.arange(len(dimension.choices))
                parts.append(np.where(on[:, None], one_hot, 0.0))
            else:
                parts.append(np.where(on, column, 0.5)[:, None])
        return np.hstack(parts)

    def known_features(self, setting: Mapping[str, Any]) -> Floats | None:
        """(d,) features of a setting that need not lie inside the space, such as ρ = 1; None if it has none."""
        columns: Columns = {}
        for dimension in self._space.dimensions:
            value = setting.get(dimension.key)
            if value is None:
                if dimension.applies({**self._space.fixed, **setting}):
                    return None
                middle = np.array(dimension.simplex.equal) if dimension.simplex is not None else 0.0
                columns[dimension.key] = np.array([middle])
            elif dimension.kind == "choice":
                if value not in dimension.choices:
                    return None
                columns[dimension.key] = np.array([float(dimension.choices.index(value))])
            elif dimension.kind == "loguniform" and value <= 0:
                return None
            else:
                columns[dimension.key] = np.array([_scaled(dimension, value)])
        return self.features(columns)[0]

    def _applying(self, columns: Columns, count: int) -> dict[str, NDArray[np.bool_]]:
        """Which rows each dimension matters in; in the order of the space, where a condition's key comes first."""
        applies = {d.key: np.ones(count, dtype=np.bool_) for d in self._space.dimensions}
        by_key = {d.key: d for d in self._space.dimensions}
        for dimension in self._space.dimensions:
            for key, allowed in dimension.when:
                other = by_key.get(key)
                if other is None:
                    applies[dimension.key] &= self._space.fixed.get(key) in allowed
                else:
                    matches = [_value(other, v) in allowed for v in columns[key]]
                    applies[dimension.key] &= applies[key] & np.array(matches, dtype=np.bool_)
        return applies

    def _random(self, dimension: Dimension, count: int) -> Floats:
        if dimension.simplex is not None:
            prior = dimension.simplex.concentration * np.resize(CONCENTRATIONS, count)
            # a Dirichlet draw is Gamma draws, normalised; tiny concentrations underflow to an equal mix at worst
            draws = self._rng.gamma(prior[:, None], size=(count, dimension.simplex.size))
            total = draws.sum(axis=1, keepdims=True)
            shares = np.where(total > 0, draws / np.where(total > 0, total, 1.0), 1.0 / dimension.simplex.size)
            return _mix(dimension, dimension.simplex.lifted(shares))
        if dimension.kind == "choice":
            return self._rng.integers(len(dimension.choices), size=count).astype(np.float64)
        return self._rng.random(count)

    def _varied(self, dimension: Dimension, column: Floats, spread: Floats) -> Floats:
        if dimension.simplex is not None:
            root = np.sqrt(column) + self._rng.normal(size=column.shape) * spread[:, None] / 2
            return _mix(dimension, np.maximum(root, 0.0) ** 2)  # which also switches domains off
        if dimension.kind == "choice":
            return np.where(self._rng.random(len(column)) < spread / 2, self._random(dimension, len(column)), column)
        return np.clip(column + self._rng.normal(size=len(column)) * spread / 2, 0.0, 1.0)

    def _blended(self, known: Columns, a: NDArray[np.intp], b: NDArray[np.intp], t: Floats) -> Columns:
        blended: Columns = {}
        for d in self._space.dimensions:
            first, second = known[d.key][a], known[d.key][b]
            if d.simplex is not None:
                blended[d.key] = _mix(d, (1 - t)[:, None] * first + t[:, None] * second)
            elif d.kind == "choice":
                blended[d.key] = np.where(t < 0.5, first, second)
            else:
                blended[d.key] = (1 - t) * first + t * second
        return blended


def joined(*several: Columns) -> Columns:
    """The rows of all."""
    return {key: np.concatenate([columns[key] for columns in several]) for key in several[0]}


def taken(columns: Columns, rows: NDArray[np.intp]) -> Columns:
    """Some rows, also several times."""
    return {key: column[rows] for key, column in columns.items()}


def _mix(dimension: Dimension, weights: Floats) -> Floats:
    """(n, K) weights normalised, on no more domains than allowed."""
    simplex = dimension.simplex
    assert simplex is not None
    if simplex.least:
        # what is above the least is the domain's own choice; the rest is normalised as any mix
        total = weights.sum(axis=1, keepdims=True)
        weights = np.maximum(simplex.lowered(weights / np.where(total > 0, total, 1.0)), 0.0)
    if simplex.most is not None:
        order = np.argsort(-weights, axis=1, kind="stable")[:, : simplex.most]
        kept = np.zeros_like(weights)
        np.put_along_axis(kept, order, np.take_along_axis(weights, order, 1), 1)
        weights = kept
    total = weights.sum(axis=1, keepdims=True)
    equal = 1.0 / simplex.size
    return simplex.lifted(np.where(total > 0, weights / np.where(total > 0, total, 1.0), equal))


def _scaled(dimension: Dimension, value: Any) -> Any:
    if dimension.simplex is not None:
        weights = np.zeros(dimension.simplex.size)
        weights[: len(value)] = value  # a domain that was added later had no weight
        return weights / weights.sum()
    if dimension.kind == "choice":
        return float(dimension.choices.index(value))
    if dimension.kind == "loguniform":
        return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


def _value(dimension: Dimension, scaled: Any) -> Any:
    if dimension.simplex is not None:
        return scaled.tolist()
    if dimension.kind == "choice":
        return dimension.choices[int(scaled)]
    number = min(max(_number(dimension, scaled), dimension.low), dimension.high)
    return round(number) if dimension.kind == "int" else number


def _number(dimension: Dimension, scaled: Any) -> float:
    """The inverse of `_scaled` for numbers; beyond [0, 1] it lies outside the space."""
    if dimension.kind == "choice":
        return float(dimension.choices[int(scaled)])
    if dimension.kind == "loguniform":
        return float(dimension.low * (dimension.high / dimension.low) ** float(scaled))
    return float(dimension.low + float(scaled) * (dimension.high - dimension.low))
