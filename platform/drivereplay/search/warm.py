"""Warm start: the sampler begins with what an earlier sweep of the same protocol has found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite

from drivereplay.errors import ProtocolError, SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit, violations_of
from drivereplay.search.front import eligible, load_front
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions
from drivereplay.spec import Spec


def warm_start(
    suggestions: Suggestions, *, spec: Spec, protocol: Callable[[], str | None], limits: Sequence[Limit] = ()
) -> None:
    """Tell the study of the last checkpoint of each finished trial of the sweep in `search.warm_start`.

    They teach the sampler only: none of them becomes a candidate of this sweep. What lies outside this sweep's space is
    left out. It happens after the anchors have been evaluated, because only then is this sweep's protocol known.

    Args:
        suggestions: The study.
        spec: The experiment.
        protocol: Hash of this sweep's protocol; None where nothing has finished.
        limits: Constraints of this sweep; the earlier sweep's candidates count by them.

    Raises:
        SpecError: There is no sweep there, or it had other objectives.
        ProtocolError: Its figures mean something else.
    """
    place = spec.search.warm_start
    assert place is not None
    earlier = load_front(place)
    if earlier.objectives != spec.search.objectives:
        raise SpecError(
            f"search.warm_start: the sweep in {place} had the objectives {', '.join(earlier.objectives)}.",
            "Start from one with the same objectives.",
        )
    space = Space.of(spec)
    last: dict[str, Candidate] = {}
    for row in eligible(earlier.candidates, earlier.objectives):
        inside = space.encode(row.parameters, spec) is not None
        if inside and row.kind != "base" and not row.variant and row.step >= last.get(row.trial, row).step:
            last[row.trial] = row
    here = protocol()
    for name, row in last.items():
        if here is not None and row.protocol != here:
            raise ProtocolError(
                f"search.warm_start: the sweep in {place} was judged by protocol {row.protocol}, this one by {here}.",
                "Give both the same `clip`, `target` and `evaluation` sections, or leave warm_start out.",
            )
        worse_by = [v if isfinite(v) else 1e9 for v in violations_of(row, limits, earlier.candidates)]
        suggestions.tell(f"warm-{name}", row.values(spec.search.objectives), row.parameters, worse_by)
