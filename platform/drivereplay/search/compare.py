"""Two sweeps of one protocol side by side."""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np

from drivereplay.errors import DataError, ProtocolError, SpecError
from drivereplay.evaluation.report import Report
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, hypervolume, moved_out, signs
from drivereplay.search.seeds import drawn
from drivereplay.search.trial import evaluation_name

RESAMPLES = 1000


def compare_fronts(front: Front, other: Front) -> dict[str, Any]:
    """What one sweep has over another.

    Returns:
        `hypervolume`, `other_hypervolume`: Against one reference point, the worse of the two sweeps' own.
        `hypervolume_ratio`: Of the first to the second.
        `probability_larger`: Share of draws in which the first hypervolume is the larger one. Both sweeps were
        evaluated on the same clips, which are drawn once for both (see `evaluation.draws`).
        `covered`, `covers`: Share of a front's points that the other front dominates or equals.
        `epsilon`: Additive ε-indicator in units of the joint ranges: how much the first has to be shifted so that it
        is nowhere worse; `other_epsilon` the other way round.

    Raises:
        SpecError: The objectives differ, or a front is empty.
        ProtocolError: The protocols differ; the message names the fields where the reports are at hand.
    """
    if (front.objectives, front.directions) != (other.objectives, other.directions):
        raise SpecError(
            f"The objectives differ: {', '.join(front.objectives)} against {', '.join(other.objectives)}.",
            "Compare sweeps with the same `search.objectives`.",
        )
    if not front.front or not other.front:
        raise SpecError("A sweep without a finished candidate has no front to compare.")
    _same_protocol(front, other)
    sign = signs(front.directions)
    reference = _reference(front, other)
    a, b = front.points * sign, other.points * sign
    joint = np.vstack([a, b])
    span = np.where(np.ptp(joint, axis=0) > 0, np.ptp(joint, axis=0), 1.0)
    low = joint.min(axis=0)
    first = hypervolume(front.points, reference, front.directions)
    second = hypervolume(other.points, reference, front.directions)
    return {
        "protocol": front.front[0].protocol,
        "reference": list(reference),
        "hypervolume": first,
        "other_hypervolume": second,
        "hypervolume_ratio": first / second if second else None,
        "probability_larger": _probability(front, other, reference),
        "covers": _covered(a, b),
        "covered": _covered(b, a),
        "epsilon": float(moocore.epsilon_additive((a - low) / span, ref=(b - low) / span)),
        "other_epsilon": float(moocore.epsilon_additive((b - low) / span, ref=(a - low) / span)),
    }


def _covered(a: np.ndarray, b: np.ndarray) -> float:
    """Share of the rows of `b` that some row of `a` dominates or equals."""
    return float(np.mean([bool(np.any(np.all(a <= row, axis=1))) for row in b]))


def _reference(front: Front, other: Front) -> tuple[float, ...]:
    sign = signs(front.directions)
    known = [np.asarray(f.reference) * sign for f in (front, other) if f.reference]
    if not known:
        known = [moved_out(np.vstack([front.points, other.points]) * sign)]
    return tuple((np.max(known, axis=0) * sign).tolist())


def _probability(front: Front, other: Front, reference: tuple[float, ...]) -> float:
    ours = front.rivals()[: len(front.front)]
    both = drawn([*ours, *other.rivals()[: len(other.front)]], front.objectives, RESAMPLES, 0)
    larger = [
        hypervolume(draw[: len(ours)], reference, front.directions)
        > hypervolume(draw[len(ours) :], reference, front.directions)
        for draw in both
    ]
    return float(np.mean(larger))


def _same_protocol(front: Front, other: Front) -> None:
    a, b = front.front[0], other.front[0]
    if a.protocol == b.protocol:
        return
    reports = [_report(f, c) for f, c in ((front, a), (other, b))]
    if reports[0] is not None and reports[1] is not None:
        reports[0].protocol.require_same(reports[1].protocol)
    raise ProtocolError(
        f"The sweeps were judged by different protocols, {a.protocol} and {b.protocol}.",
        "Figures of different protocols are never compared: evaluate both with the same settings.",
    )


def _report(front: Front, candidate: Candidate) -> Report | None:
    if front.directory is None:
        return None
    place = front.directory.below("trials", candidate.trial, "evaluations")
    try:
        return Report.load(place, f"{evaluation_name(candidate.step, candidate.variant)}.json")
    except DataError:
        return None  # the hashes are named instead
