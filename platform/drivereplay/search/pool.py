"""Candidate settings for `MixtureSampler`: how they are drawn, varied, and seen by its models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.search.space import FREQUENCY, Dimension, Space

Floats = NDArray[np.float64]
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

    def first(self, number: int) -> dict[str, Any]:
        """A setting for suggestion `number` before anything is known: mixes from even to nearly pure."""
        concentration = CONCENTRATIONS[number % len(CONCENTRATIONS)]
        return {d.key: self._random(d, concentration) for d in self._space.dimensions}

    def draw(self, best: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Half new settings, half variations and blends of the best known ones."""
        fresh = [self.first(i) for i in range(SIZE // 2)]
        if not best:
            return fresh
        varied = []
        for number in range(SIZE // 2):
            one = self._whole(best[int(self._rng.integers(len(best)))])
            if number % 3 == 0 and len(best) > 1:
                one = self._blend(one, self._whole(best[int(self._rng.integers(len(best)))]))
            varied.append(self.near(one, float(10.0 ** self._rng.uniform(-2, 0))))
        return [*fresh, *varied]

    def near(self, setting: Mapping[str, Any], spread: float) -> dict[str, Any]:
        """A variation; `spread` of 1 is about the whole range."""
        return {d.key: self._vary(d, self._whole(setting)[d.key], spread) for d in self._space.dimensions}

    def encode(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """As Optuna parameters."""
        encoded: dict[str, Any] = {}
        for dimension in self._space.dimensions:
            inner = dimension.encode(setting[dimension.key])
            assert inner is not None  # a pool draws inside the space
            encoded.update(inner)
        return encoded

    def features(self, setting: Mapping[str, Any]) -> Floats:
        """(d,) what a model sees: √q for the shares of the domains, [0, 1] for the rest."""
        features: list[float] = []
        rho = float(setting.get(FREQUENCY, self._space.fixed.get(FREQUENCY, 1.0)))
        for dimension in self._space.dimensions:
            value = setting.get(dimension.key)
            if dimension.simplex is not None:
                share = np.array(value if value is not None else dimension.simplex.equal)
                features += [math.sqrt(max(1.0 - rho, 0.0)), *np.sqrt(rho * share).tolist()]
            elif dimension.kind == "choice":
                features += [0.0 if value is None else float(value == choice) for choice in dimension.choices]
            else:
                features.append(0.5 if value is None else self._unit(dimension, float(value)))
        return np.array(features)

    def _whole(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """With a value also where it does not apply."""
        missing = {d.key: self._random(d, 1.0) for d in self._space.dimensions if d.key not in setting}
        return {**setting, **missing}

    def _random(self, dimension: Dimension, concentration: float) -> Any:
        if dimension.simplex is not None:
            size = dimension.simplex.size
            return self._mix(
                dimension, self._rng.dirichlet(np.full(size, concentration * dimension.simplex.concentration))
            )
        if dimension.kind == "choice":
            return dimension.choices[int(self._rng.integers(len(dimension.choices)))]
        return self._number(dimension, float(self._rng.random()))

    def _vary(self, dimension: Dimension, value: Any, spread: float) -> Any:
        if dimension.simplex is not None:
            root = np.sqrt(np.asarray(value)) + self._rng.normal(0.0, spread / 2, dimension.simplex.size)
            root = np.maximum(root, 0.0)  # which also switches domains off
            return self._mix(dimension, root**2) if root.sum() > 0 else value
        if dimension.kind == "choice":
            return self._random(dimension, 1.0) if self._rng.random() < spread / 2 else value
        return self._number(dimension, self._unit(dimension, value) + float(self._rng.normal(0.0, spread / 2)))

    def _blend(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
        t = float(self._rng.random())
        blended: dict[str, Any] = {}
        for d in self._space.dimensions:
            if d.simplex is not None:
                blended[d.key] = self._mix(d, (1 - t) * np.asarray(a[d.key]) + t * np.asarray(b[d.key]))
            elif d.kind == "choice":
                blended[d.key] = a[d.key] if t < 0.5 else b[d.key]
            else:
                blended[d.key] = self._number(d, (1 - t) * self._unit(d, a[d.key]) + t * self._unit(d, b[d.key]))
        return blended

    @staticmethod
    def _mix(dimension: Dimension, weights: Floats) -> list[float]:
        """Normalised, and on no more domains than allowed."""
        assert dimension.simplex is not None
        w = np.asarray(weights, dtype=np.float64)
        most = dimension.simplex.most
        if most is not None:
            w = np.where(np.isin(np.arange(len(w)), np.argsort(-w, kind="stable")[:most]), w, 0.0)
        total = w.sum()
        return (w / total).tolist() if total > 0 else list(dimension.simplex.equal)

    @staticmethod
    def _unit(dimension: Dimension, value: float) -> float:
        if dimension.kind == "loguniform":
            return math.log(value / dimension.low) / math.log(dimension.high / dimension.low)
        return (value - dimension.low) / (dimension.high - dimension.low)

    @staticmethod
    def _number(dimension: Dimension, unit: float) -> Any:
        unit = min(max(unit, 0.0), 1.0)
        if dimension.kind == "loguniform":
            return float(min(dimension.low * (dimension.high / dimension.low) ** unit, dimension.high))
        number = dimension.low + unit * (dimension.high - dimension.low)
        return round(number) if dimension.kind == "int" else number
