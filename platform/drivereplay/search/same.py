"""What may change when a sweep is resumed, and the hash of what a candidate was trained with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from drivereplay.errors import SpecError
from drivereplay.search.constraints import BUDGET
from drivereplay.search.space import WEIGHTS, Dimension, Space
from drivereplay.spec import Spec

_PLACES = (
    "storage", "resources", "training.workers", "training.accumulate", "training.device", "training.max_failures",
    "training.log_every", "training.cache", "training.keep", "training.keep_best", "training.checkpoint_every",
    "training.gradient_checkpointing", "evaluation.apart", "evaluation.loss_every",
)  # fmt: skip
"""Where and how a run is executed; neither its samples nor its figures depend on it."""
_GROWTH = (
    "search.trials", "search.concurrent", "search.racing", "search.proposals", "search.patience",
    f"search.constraints.{BUDGET}",
)  # fmt: skip
_CHECKED = ("search.space", "replay.domains", "training.steps", WEIGHTS)
"""These may grow; `check_same` looks at how."""


def trained_with(spec: Spec) -> str:
    """Hash of all that decides what a candidate of this experiment is, but for the searched values and its seed.

    What a resume may change is left out as well. The evaluation is left out because the protocol's hash covers it.
    """
    searched = tuple(spec.search.space)
    left_out = ("name", "seed", "search", "evaluation", "training.steps", *_PLACES, *searched)
    values = {key: value for key, value in _flat(spec).items() if not _below(key, left_out)}
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_same(earlier: Spec, spec: Spec) -> None:
    """Refuse to resume a sweep with anything changed but what may grow.

    Trials, wider spaces, domains added at the end, resources, budgets and more steps may change.

    Raises:
        SpecError: Something else has changed; the message holds both values.
    """
    before, now = _flat(earlier), _flat(spec)
    # a searched value is the trial's own; one that is searched only from now on had the experiment's value until now
    allowed = (*_PLACES, *_GROWTH, *_CHECKED, *earlier.search.space)
    keys = [key for key in dict.fromkeys([*before, *now]) if not _below(key, allowed)]
    changed = {key: (before.get(key), now.get(key)) for key in keys if before.get(key) != now.get(key)}
    changed |= _narrowed(earlier, spec) | _other_domains(earlier, spec) | _other_steps(earlier, spec)
    if changed:
        shown = "; ".join(f"{key} was {_text(old)} and is {_text(new)}" for key, (old, new) in changed.items())
        raise SpecError(
            f"The sweep '{spec.name}' cannot be continued with other values: {shown}. "
            "Its candidates could not be compared with new ones.",
            "Set them back, or choose another name by --set name=NAME. Trials, wider spaces, further domains, "
            "resources, budgets and more steps may change.",
        )


Changes = dict[str, tuple[Any, Any]]


def _narrowed(earlier: Spec, spec: Spec) -> Changes:
    """Dimensions of the space that are not at least as wide as before."""
    forms = (earlier.search.space, spec.search.space)
    if forms[0] == forms[1] and len(earlier.replay.domains) == len(spec.replay.domains):
        return {}
    old = {d.key: d for d in Space.of(earlier).dimensions}
    new = {d.key: d for d in Space.of(spec).dimensions}
    found: Changes = {}
    for key in dict.fromkeys([*old, *new]):
        before, now = old.get(key), new.get(key)
        wide = now is not None and (before is None or _holds(now, before))
        if not wide:
            found[f"search.space.{key}"] = (forms[0].get(key), forms[1].get(key))
        elif before is None and now is not None:
            value = _flat(earlier).get(key)
            if key != WEIGHTS and now.encode(value) is None:
                found[f"search.space.{key}"] = (f"not searched ({value!r})", forms[1][key])
    return found


def _holds(now: Dimension, before: Dimension) -> bool:
    """Whether a dimension has every value that it had before, drawn in the same way."""
    if (now.kind, now.when) != (before.kind, before.when):
        return False
    if now.simplex is not None and before.simplex is not None:
        return now.simplex.holds(before.simplex)
    if now.kind == "choice":
        return all(choice in now.choices for choice in before.choices)
    return now.low <= before.low and before.high <= now.high


def _other_domains(earlier: Spec, spec: Spec) -> Changes:
    """Replay domains may be added behind those that there were; a mix that is not searched has to stay as it was."""
    before, now = earlier.replay.domains, spec.replay.domains

    def known(domains: Any) -> list[Any]:
        return [d.model_dump(mode="json", exclude={"weight"}) for d in domains]

    found: Changes = {}
    if known(before) != known(now[: len(before)]):
        found["replay.domains"] = (known(before), known(now))
    elif WEIGHTS not in earlier.search.space:
        padded = (*earlier.replay.mix, *[0.0] * (len(now) - len(before)))
        if padded != spec.replay.mix:
            found[WEIGHTS] = (list(earlier.replay.mix), list(spec.replay.mix))
    return found


def _other_steps(earlier: Spec, spec: Spec) -> Changes:
    """More steps only where the first ones are the same with them: neither a schedule nor a ramp depends on the end."""
    before, now = earlier.training.steps, spec.training.steps
    if before == now or "training.steps" in earlier.search.space:
        return {}
    replay = spec.replay
    ends = (replay.frequency_end, replay.weights_end) != (None, None) or spec.training.schedule != "constant"
    return {"training.steps": (before, now)} if now < before or ends else {}


def _flat(spec: Spec) -> dict[str, Any]:
    """Dotted key → value of every field; lists stay values."""
    found: dict[str, Any] = {}

    def put(prefix: str, node: Any) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                put(f"{prefix}.{key}" if prefix else str(key), value)
        else:
            found[prefix] = node

    put("", spec.model_dump(mode="json"))
    return found


def _below(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def _text(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 200 else f"{text[:197]}..."
