"""Distances between two sets of features: Fréchet, and the unbiased polynomial maximum mean discrepancy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def frechet_distance(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    """‖μ1 − μ2‖² + tr(Σ1 + Σ2 − 2(Σ1Σ2)^½) of features (N, D) and (M, D), covariances with 1/(N−1).

    With Σi = AiᵀAi (Ai the centred features over √(N−1)) the eigenvalues of Σ1Σ2 are the squared singular values of
    A1A2ᵀ, so that tr (Σ1Σ2)^½ is the sum of singular values of a matrix no larger than min(N, D) × min(M, D). No matrix
    square root is taken, and nothing goes wrong where the covariances are rank-deficient (N ≤ D).

    Raises:
        ValueError: A set has fewer than two features.
    """
    if len(real) < 2 or len(generated) < 2:
        raise ValueError("a covariance needs at least two features")
    difference = real.mean(0) - generated.mean(0)
    first, second = _root(real), _root(generated)
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(max(difference @ difference + (first**2).sum() + (second**2).sum() - 2 * cross, 0.0))


def _root(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """A with AᵀA the covariance, at most min(N, D) rows."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    if len(centred) > centred.shape[1]:
        return np.asarray(np.linalg.qr(centred, mode="r"))
    return np.asarray(centred)


def polynomial_mmd(real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
    """Unbiased MMD² of pairs (N, D) with k(x, y) = (x·y/d + 1)³; can be a little below zero.

    Generated clip i begins with the context of real clip i, so that the two are no independent draws. The mean is over
    i ≠ j of k(x_i, x_j) + k(y_i, y_j) − k(x_i, y_j) − k(x_j, y_i) (Gretton et al., JMLR 13, 2012, lemma 6): with the
    terms k(x_i, y_i) a model that draws from the true distribution would be below zero.

    Raises:
        ValueError: There are fewer than two pairs, or not as many of the one as of the other.
    """
    n, width = real.shape
    if n < 2 or generated.shape != real.shape:
        raise ValueError("the unbiased estimate needs at least two pairs of features")

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        values = (x @ y.T / width + 1) ** 3
        return float(values.sum() - np.trace(values))

    return (kernel(real, real) + kernel(generated, generated) - 2 * kernel(real, generated)) / (n * (n - 1))
