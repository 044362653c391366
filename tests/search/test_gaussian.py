"""The Gaussian process: interpolates, knows what it does not know, and its gradient is right."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.search.gaussian import GaussianProcess


def test_a_smooth_function_is_learned_and_far_away_the_doubt_is_larger() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.random((60, 3))
    outputs = 5.0 + 3.0 * inputs[:, 0] + np.sin(4 * inputs[:, 1])
    process = GaussianProcess.fit(inputs, outputs)
    new = generator.random((200, 3))
    mean, deviation = process.predict(new)
    truth = 5.0 + 3.0 * new[:, 0] + np.sin(4 * new[:, 1])
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.1 * truth.std()
    assert process.predict(np.full((1, 3), 4.0))[1][0] > 3 * deviation.mean()


def test_noise_is_not_interpolated() -> None:
    generator = np.random.default_rng(1)
    inputs = np.repeat(generator.random((10, 2)), 8, axis=0)
    outputs = inputs[:, 0] + generator.normal(0, 0.5, 80)
    mean, _ = GaussianProcess.fit(inputs, outputs).predict(inputs[::8])
    assert np.abs(mean - inputs[::8, 0]).mean() < 0.25


def test_equal_outputs_give_that_output() -> None:
    mean, _ = GaussianProcess.fit(np.random.default_rng(2).random((6, 2)), np.full(6, 3.0)).predict(np.zeros((1, 2)))
    assert mean[0] == pytest.approx(3.0)


def test_known_hyperparameters_give_the_same_posterior_as_fitting_found() -> None:
    inputs = np.random.default_rng(3).random((12, 2))
    fitted = GaussianProcess.fit(inputs, inputs.sum(axis=1))
    again = GaussianProcess.given(inputs, inputs.sum(axis=1), fitted.theta)
    assert again.predict(inputs)[0] == pytest.approx(fitted.predict(inputs)[0])
