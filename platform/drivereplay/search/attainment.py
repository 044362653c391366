"""Empirical attainment surfaces: what a share of several fronts reaches, over seeds or over bootstrap draws."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.search.front import Front, non_dominated, signs
from drivereplay.search.seeds import drawn

Floats = NDArray[np.float64]
RESAMPLES = 200


def attainment(fronts: Sequence[Front], share: float = 0.5) -> Floats:
    """(k, m) points of the attainment surface: what a share of the fronts reaches (`moocore.eaf`), in the own units.

    Args:
        fronts: Of sweeps that differ in their seed only.
        share: In (0, 1]; 0.5 is the median front.
    """
    sign = signs(fronts[0].directions)
    (surface,) = _surfaces([front.points * sign for front in fronts], (share,))
    return surface * sign


def bootstrap_attainment(
    front: Front, shares: Sequence[float] = (0.25, 0.5, 0.75), resamples: int = RESAMPLES
) -> list[Floats]:
    """The attainment surface of each share over bootstrap draws of one front, in the own units.

    The draws are those of `Front.probabilities`: paired over clips, with seeds on top. The surface of share p is
    reached in p of the draws.

    Args:
        front: Of two objectives or three.
        shares: In (0, 1].
        resamples: Number of draws.

    Returns:
        (k, m) points for each share, along the first objective from best to worst; an empty list where no interval has
        a width, so that all draws would be the same.
    """
    rivals = front.rivals()
    if not rivals:
        return []
    sign = signs(front.directions)
    draws = drawn(rivals, front.objectives, resamples, 0)
    if not np.ptp(draws, axis=0).any():
        return []
    costs = draws * sign
    return [surface * sign for surface in _surfaces([draw[non_dominated(draw)] for draw in costs], shares)]


def _surfaces(sets: Sequence[Floats], shares: Sequence[float]) -> list[Floats]:
    """The surface of each share of sets of costs, sorted by cost."""
    which = np.repeat(np.arange(len(sets)) + 1, [len(rows) for rows in sets])
    percentiles = [100.0 * share for share in shares]
    found = np.asarray(moocore.eaf(np.vstack(sets), which, percentiles=percentiles))
    surfaces = [found[np.isclose(found[:, -1], percentile), :-1] for percentile in percentiles]
    return [surface[np.lexsort(surface.T[::-1])] for surface in surfaces]
