"""Expected hypervolume improvement, exactly, for independent Gaussian predictions of two or three objectives."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


def expected_improvement(means: Floats, deviations: Floats, front: Floats, reference: Floats) -> Floats:
    """(k,) expected growth of the hypervolume by each of k candidates; all objectives are minimised.

    The region that is not dominated yet is cut into columns: a grid over the front's coordinates in all objectives but
    the last, each column open downwards to a height. With independent objectives the expectation of a column is a
    product of one-dimensional terms ψ(a) = E[(a − Y)⁺] = (a − μ)Φ(z) + σφ(z), z = (a − μ)/σ (Emmerich et al., 2011).

    Args:
        means, deviations: (k, m), m of 2 or 3.
        front: (n, m) non-dominated points; those beyond the reference add nothing to the hypervolume and are left out.
        reference: (m,).
    """
    front = front[np.all(front < reference, axis=1)]
    n, m = front.shape
    edges = [np.concatenate([[-np.inf], np.unique(front[:, j]), [reference[j]]]) for j in range(m - 1)]
    total = np.zeros(len(means))
    corners = list(itertools.product(*[range(len(edge) - 1) for edge in edges]))
    steps = [np.diff(_psi(edge[None, :], means[:, [j]], deviations[:, [j]]), axis=1) for j, edge in enumerate(edges)]
    heights = np.empty(len(corners))
    for number, corner in enumerate(corners):
        # a column is closed by the lowest front point that is not worse than its lower corner
        reached = np.ones(n, dtype=bool)
        for j, i in enumerate(corner):
            reached &= front[:, j] <= edges[j][i]
        heights[number] = min(float(front[reached, -1].min()), reference[-1]) if reached.any() else reference[-1]
    tops = _psi(heights[None, :], means[:, [m - 1]], deviations[:, [m - 1]])
    for number, corner in enumerate(corners):
        column = tops[:, number].copy()
        for j, i in enumerate(corner):
            column *= steps[j][:, i]
        total += column
    return total


def _psi(a: Floats, mean: Floats, deviation: Floats) -> Floats:
    z = (a - mean) / deviation
    finite = np.where(np.isfinite(z), z, 0.0)
    density = np.exp(-0.5 * finite**2) / np.sqrt(2.0 * np.pi)
    value = deviation * (finite * ndtr(finite) + density)
    return np.where(np.isfinite(z), value, 0.0)
