"""The search space: which values of the experiment file vary, as Optuna parameters without a degenerate direction."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from drivereplay.errors import SpecError
from drivereplay.search.simplex import Simplex
from drivereplay.spec import Spec, with_values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FREQUENCY = "replay.frequency"
WEIGHTS = "replay.weights"
_RAMP = "replay.frequency_end"
_MIXES = (WEIGHTS, "replay.weights_end")
_FORMS = "{uniform: [a, b]}, {loguniform: [a, b]}, {int: [a, b]}, {choice: [...]} or `simplex`"


class Suggester(Protocol):
    """What the space asks of a trial; `optuna.Trial` is one."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Dimension:
    """One searched value.

    Attributes:
        key: Dotted key of the experiment file.
        kind: `uniform`, `loguniform`, `int`, `choice` or `simplex`.
        low, high: Bounds of a number.
        choices: Values of a choice.
        simplex: Parametrisation of a mix.
        when: Key → values of other keys under which this one matters; it is not suggested otherwise.
    """

    key: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Any, ...] = ()
    simplex: Simplex | None = None
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def applies(self, values: Mapping[str, Any]) -> bool:
        """Whether this value matters, given the values of the keys it depends on."""
        if self.kind == "simplex" and not values.get(FREQUENCY, 1.0):
            return False  # at ρ = 0 no replay clip is drawn, so that every mix is the same run
        return all(values.get(key) in allowed for key, allowed in self.when)

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna parameters of this value."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.simplex is not None:
            return {f"{self.key}.{name}": FloatDistribution(0.0, 1.0) for name in self.simplex.names}
        if self.kind == "choice":
            return {self.key: CategoricalDistribution(_labels(self.choices))}
        if self.kind == "int":
            return {self.key: IntDistribution(int(self.low), int(self.high))}
        return {self.key: FloatDistribution(self.low, self.high, log=self.kind == "loguniform")}

    def suggest(self, trial: Suggester) -> Any:
        """A value of the experiment file."""
        if self.simplex is not None:
            units = [trial.suggest_float(f"{self.key}.{name}", 0.0, 1.0) for name in self.simplex.names]
            return list(self.simplex.weights(units))
        if self.kind == "choice":
            labels = _labels(self.choices)
            return self.choices[labels.index(trial.suggest_categorical(self.key, labels))]
        if self.kind == "int":
            return trial.suggest_int(self.key, int(self.low), int(self.high))
        return trial.suggest_float(self.key, self.low, self.high, log=self.kind == "loguniform")

    @property
    def size(self) -> float:
        """Number of values; infinity for a continuous one."""
        if self.kind == "choice":
            return len(self.choices)
        return self.high - self.low + 1 if self.kind == "int" else math.inf

    def labels(self) -> Sequence[Any]:
        """The Optuna values of a choice or a whole number."""
        return _labels(self.choices) if self.kind == "choice" else range(int(self.low), int(self.high) + 1)

    def encode(self, value: Any) -> dict[str, Any] | None:
        """Optuna parameters of a value; None if it lies outside."""
        if self.simplex is not None:
            # a domain that was added later had no weight
            padded = [*value, *[0.0] * (self.simplex.size - len(value))] if isinstance(value, list | tuple) else []
            units = self.simplex.units(padded)
            if units is None:
                return None
            return {f"{self.key}.{name}": unit for name, unit in zip(self.simplex.names, units, strict=True)}
        if self.kind == "choice":
            choices = [_plain(choice) for choice in self.choices]
            return {self.key: _labels(self.choices)[choices.index(_plain(value))]} if _plain(value) in choices else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        return {self.key: int(value) if self.kind == "int" else float(value)}


@dataclass(frozen=True)
class Space:
    """All dimensions, each after those it depends on.

    Attributes:
        dimensions: What is searched.
        fixed: Values of keys that conditions name and that are not searched.
    """

    dimensions: tuple[Dimension, ...]
    fixed: Mapping[str, Any]

    @classmethod
    def of(cls, spec: Spec) -> Space:
        """Read `search.space` and check it against the experiment.

        Raises:
            SpecError: A form is unknown, bounds are reversed, a key is no key of the experiment file, a bound is no
                valid value of its key, a condition names something unknown, or conditions go in a circle.
        """
        if not spec.search.space:
            raise SpecError("search.space is empty: nothing is searched.", f"Give KEY: one of {_FORMS}.")
        dimensions = [_dimension(spec, key, form) for key, form in spec.search.space.items()]
        space = cls(_ordered(dimensions), _fixed(spec, dimensions))
        space._check(spec)
        return space

    def suggest(self, trial: Suggester) -> dict[str, Any]:
        """Dotted key → value of the experiment file, for the dimensions that matter."""
        values = dict(self.fixed)
        suggested: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.applies(values):
                values[dimension.key] = suggested[dimension.key] = dimension.suggest(trial)
        return suggested

    def values_of(self, encoded: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `suggest`: dotted key → value, of a trial's Optuna parameters."""
        from optuna.trial import FixedTrial

        return self.suggest(FixedTrial(dict(encoded)))

    def encode(self, parameters: Mapping[str, Any], spec: Spec) -> dict[str, Any] | None:
        """Optuna parameters of a setting, values that it does not name taken from the experiment; None if outside.

        At ρ = 0 every mix is the same run, and the middle of its numbers stands for all: most samplers only model
        parameters that all trials of a study have, and a single `naive` without a mix would leave mixes to chance.
        """
        values = {**self.fixed, **{d.key: value_of(spec, d.key) for d in self.dimensions}, **parameters}
        if any(values[key] != value for key, value in self.fixed.items()):
            return None  # such as ρ = 0 where the search is at another ρ
        encoded: dict[str, Any] = {}
        for dimension in self.dimensions:
            if not dimension.applies(values):
                if dimension.simplex is not None and dimension.applies({**values, FREQUENCY: 1.0}):
                    encoded.update(dict.fromkeys(dimension.distributions(), 0.5))
                continue
            inner = dimension.encode(values[dimension.key])
            if inner is None:
                return None
            encoded.update(inner)
        return encoded

    def identity(self, parameters: Mapping[str, Any], spec: Spec) -> str:
        """Text that two settings share if they train the same run but for the seed.

        Values that a setting does not name are the experiment's. At ρ = 0 all mixes are the same run, and so is every ρ
        at which a run of this length draws no replay sample: the plan's counts differ from their due by at least half a
        sample before the first one is drawn.
        """
        keys = dict.fromkeys([*(d.key for d in self.dimensions), *self.fixed, *parameters])
        values = {key: parameters[key] if key in parameters else value_of(spec, key) for key in keys}
        ramp = values.get(_RAMP, value_of(spec, _RAMP))
        frequency = values.get(FREQUENCY, value_of(spec, FREQUENCY))
        steps, batch = (values.get(key, value_of(spec, key)) for key in ("training.steps", "training.batch_size"))
        if frequency * steps * batch < 0.5 and not ramp:
            values = {key: 0.0 if key == FREQUENCY else value for key, value in values.items() if key not in _MIXES}
        return json.dumps({key: _rounded(values[key], key in _MIXES) for key in sorted(values)}, default=str)

    @property
    def size(self) -> float:
        """Number of settings, an upper bound where conditions leave some out; infinity with a continuous value."""
        return math.prod(d.size for d in self.dimensions)

    def all_encoded(self) -> Iterator[dict[str, Any]]:
        """The Optuna parameters of every setting of a finite space."""
        names = list(self.distributions())
        for values in itertools.product(*(d.labels() for d in self.dimensions)):
            yield dict(zip(names, values, strict=True))

    def distributions(self, parameters: Mapping[str, Any] | None = None) -> dict[str, BaseDistribution]:
        """Optuna distributions; of all parameters, or of the given (encoded) ones only."""
        found = {name: d for dimension in self.dimensions for name, d in dimension.distributions().items()}
        return found if parameters is None else {name: found[name] for name in parameters}

    def _check(self, spec: Spec) -> None:
        """Every end of every dimension has to make a valid experiment."""
        for dimension in self.dimensions:
            if dimension.simplex is not None:
                ends: tuple[Any, ...] = (list(dimension.simplex.equal),)
            elif dimension.kind == "choice":
                ends = dimension.choices
            elif dimension.kind == "int":
                ends = (int(dimension.low), int(dimension.high))
            else:
                ends = (dimension.low, dimension.high)
            for end in ends:
                try:
                    with_values(spec, {dimension.key: end})
                except SpecError as error:
                    raise SpecError(f"search.space: {error.what}", error.fix) from error


def value_of(spec: Spec, key: str) -> Any:
    """The value of a dotted key in an experiment, as plain data; the mix stands for weights that are not given."""
    if key == WEIGHTS:
        return list(spec.replay.mix)
    node: Any = spec.model_dump(mode="json")
    for part in key.split("."):
        if isinstance(node, list):
            found = [item for n, item in enumerate(node) if str(n) == part or item.get("name") == part]
            node = found[0] if found else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _dimension(spec: Spec, key: str, form: Any) -> Dimension:
    where = f"search.space.{key}"
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    if isinstance(form, dict) and "when" in form:
        conditions = form["when"]
        if not isinstance(conditions, dict):
            raise SpecError(f"{where}.when: expected KEY: VALUE, got {conditions!r}.")
        when = tuple((k, tuple(v) if isinstance(v, list) else (v,)) for k, v in conditions.items())
        form = {name: value for name, value in form.items() if name != "when"}
    if form == "simplex" or (isinstance(form, dict) and set(form) == {"simplex"}):
        return Dimension(key, "simplex", simplex=_simplex(spec, key, form), when=when)
    if not isinstance(form, dict) or len(form) != 1:
        raise SpecError(f"{where}: {form!r} is not understood.", f"Give {_FORMS}.")
    ((kind, value),) = form.items()
    if kind == "choice":
        if not isinstance(value, list) or not value:
            raise SpecError(f"{where}.choice: expected a list of values, got {value!r}.")
        return Dimension(key, kind, choices=tuple(value), when=when)
    if kind not in ("uniform", "loguniform", "int"):
        raise SpecError(f"{where}: '{kind}' is not understood.", f"Give {_FORMS}.")
    low, high = _bounds(where, kind, value)
    return Dimension(key, kind, low=low, high=high, when=when)


def _bounds(where: str, kind: str, value: Any) -> tuple[float, float]:
    numbers = int if kind == "int" else int | float
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(v, numbers) and not isinstance(v, bool) and math.isfinite(v) for v in value)
    ):
        whole = "whole " if kind == "int" else ""
        raise SpecError(f"{where}.{kind}: expected two {whole}numbers [low, high], got {value!r}.")
    low, high = value
    if low >= high:
        raise SpecError(f"{where}.{kind}: the bounds are reversed or equal: {value}.", "Write the lower one first.")
    if kind == "loguniform" and low <= 0:
        raise SpecError(f"{where}.loguniform: the lower bound must be above 0, got {low}.")
    return low, high


def _simplex(spec: Spec, key: str, form: Any) -> Simplex:
    if key not in (WEIGHTS, "replay.weights_end"):
        raise SpecError(f"search.space.{key}: `simplex` is for {WEIGHTS} only.", f"Give one of {_FORMS}.")
    if not spec.replay.domains:
        raise SpecError(f"search.space.{key}: there are no replay domains to weigh.", "Name them in `replay.domains`.")
    options = form["simplex"] if isinstance(form, dict) else {}
    unknown = set(options or {}) - {"concentration", "most", "least"}
    if not isinstance(options, dict) or unknown:
        raise SpecError(f"search.space.{key}.simplex: expected `concentration`, `most` and `least`, got {options!r}.")
    return Simplex.of(
        len(spec.replay.domains),
        concentration=float(options.get("concentration", spec.search.simplex_concentration)),
        most=options.get("most"),
        least=_least(spec, key, options.get("least")),
    )


def _least(spec: Spec, key: str, given: Any) -> tuple[float, ...]:
    """`least` for each domain: one number for all, or a mapping from names."""
    names = [domain.name for domain in spec.replay.domains]
    if given is None:
        return ()
    by_name = dict.fromkeys(names, given) if isinstance(given, int | float) else given
    if not isinstance(by_name, dict) or not all(isinstance(v, int | float) for v in by_name.values()):
        raise SpecError(f"search.space.{key}.simplex.least: expected a weight, or DOMAIN: WEIGHT, got {given!r}.")
    unknown = set(by_name) - set(names)
    if unknown:
        raise SpecError(
            f"search.space.{key}.simplex.least: there is no replay domain {', '.join(sorted(unknown))}.",
            f"There are {', '.join(names)}.",
        )
    return tuple(float(by_name.get(name, 0.0)) for name in names)


def _ordered(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    searched = {d.key for d in dimensions}
    waiting, placed = list(dimensions), list[Dimension]()
    while waiting:
        done = {d.key for d in placed}
        ready = [d for d in waiting if (_needs(d) & searched) <= done]
        if not ready:
            raise SpecError(f"search.space: the conditions of {', '.join(d.key for d in waiting)} go in a circle.")
        placed += ready
        waiting = [d for d in waiting if d not in ready]
    return tuple(placed)


def _needs(dimension: Dimension) -> set[str]:
    keys = {key for key, _ in dimension.when}
    return keys | {FREQUENCY} if dimension.kind == "simplex" else keys


def _fixed(spec: Spec, dimensions: Sequence[Dimension]) -> dict[str, Any]:
    searched = {d.key for d in dimensions}
    fixed: dict[str, Any] = {}
    for dimension in dimensions:
        for key in sorted(_needs(dimension) - searched):
            with_values(spec, {key: value_of(spec, key)})  # an unknown key fails here, with the nearest name
            fixed[key] = value_of(spec, key)
    if fixed.get(FREQUENCY) == 0 and (spec.replay.frequency_end or 0) > 0:
        del fixed[FREQUENCY]  # a ramp from 0 does draw replay clips
    return fixed


def _labels(choices: Sequence[Any]) -> list[Any]:
    """Optuna takes plain scalars as choices; lists and mappings go by their text."""
    return [c if isinstance(c, str | int | float | bool | None) else repr(_plain(c)) for c in choices]


def _rounded(value: Any, mix: bool) -> Any:
    """A number to nine digits; a mix normalised, as it is trained on."""
    if mix and isinstance(value, list | tuple) and sum(value) > 0:
        shares = [round(float(v) / sum(value), 9) for v in value]
        return shares[: max(n for n, v in enumerate(shares, 1) if v)]  # a domain added later has no weight
    if isinstance(value, list | tuple):
        return [_rounded(v, False) for v in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return float(f"{value:.9g}")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
