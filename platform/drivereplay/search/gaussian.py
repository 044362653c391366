"""A small Gaussian process for objectives of data mixes: a linear part plus a smooth one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]
_START = np.log([0.3, 1.0, 1.0, 0.05])
_LOW, _HIGH = np.log([1e-3, 1e-2, 0.05, 1e-4]), np.log([10.0, 10.0, 20.0, 1.0])
MOST_TUNED = 80
"""Rows from which the hyperparameters are estimated at most: four numbers need no more, and it costs their cube."""


@dataclass(frozen=True)
class GaussianProcess:
    """Posterior of k(x, x') = a²·x·x' + b²·exp(−‖x−x'‖² / 2ℓ²) with noise s², on outputs of mean 0 and deviation 1.

    Attributes:
        inputs: (n, d).
        theta: log of a², b², ℓ, s².
        factor: Lower Cholesky factor of the covariance of the outputs.
        alpha: Covariance⁻¹ · outputs.
        mean, deviation: Of the outputs in their own units.
    """

    inputs: Floats
    theta: Floats
    factor: Floats
    alpha: Floats
    mean: float
    deviation: float

    @classmethod
    def fit(cls, inputs: Floats, outputs: Floats) -> GaussianProcess:
        """Maximise the marginal likelihood with a weak log-normal prior round the start.

        Args:
            inputs: (n, d), scaled so that distances of order 1 matter.
            outputs: (n,).
        """
        rows = np.unique(np.linspace(0, len(outputs) - 1, min(len(outputs), MOST_TUNED)).astype(int))
        x, y = inputs[rows], (outputs[rows] - outputs.mean()) / (float(outputs.std()) or 1.0)
        gram, squared, eye = x @ x.T, _squared(x, x), np.eye(len(y))

        def loss(theta: Floats) -> tuple[float, Floats]:
            a2, b2, length, s2 = np.exp(theta)
            smooth = b2 * np.exp(-0.5 * squared / length**2)
            covariance = a2 * gram + smooth + (s2 + 1e-8) * eye
            try:
                chol, lower = cho_factor(covariance, lower=True, check_finite=False)
            except np.linalg.LinAlgError:
                return 1e10, np.zeros(4)
            alpha = cho_solve((chol, lower), y, check_finite=False)
            prior = theta - _START
            value = 0.5 * y @ alpha + np.log(np.diag(chol)).sum() + 0.5 * 0.1 * prior @ prior
            inner = np.outer(alpha, alpha) - cho_solve((chol, lower), eye, check_finite=False)
            parts = (a2 * gram, smooth, smooth * squared / length**2, s2 * eye)
            gradient = np.array([-0.5 * np.vdot(inner, part) for part in parts]) + 0.1 * prior
            return float(value), gradient

        bounds = list(zip(_LOW, _HIGH, strict=True))
        found = minimize(loss, _START, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
        return cls.given(inputs, outputs, np.asarray(found.x))

    @classmethod
    def given(cls, inputs: Floats, outputs: Floats, theta: Floats) -> GaussianProcess:
        """The posterior with known hyperparameters."""
        mean, deviation = float(outputs.mean()), float(outputs.std()) or 1.0
        a2, b2, length, s2 = np.exp(theta)
        covariance = a2 * inputs @ inputs.T + b2 * np.exp(-0.5 * _squared(inputs, inputs) / length**2)
        factor = np.linalg.cholesky(covariance + (s2 + 1e-6) * np.eye(len(inputs)))
        alpha = cho_solve((factor, True), (outputs - mean) / deviation)
        return cls(inputs, theta, factor, alpha, mean, deviation)

    def predict(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noiseless output, (k,) each, at (k, d) inputs, in its own units."""
        a2, b2, length, _ = np.exp(self.theta)
        cross = a2 * inputs @ self.inputs.T + b2 * np.exp(-0.5 * _squared(inputs, self.inputs) / length**2)
        half = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = a2 * np.sum(inputs**2, axis=1) + b2 - np.sum(half**2, axis=0)
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        return self.mean + self.deviation * (cross @ self.alpha), self.deviation * deviation


def _squared(a: Floats, b: Floats) -> Floats:
    """(n, k) squared distances."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T, 0.0)
