"""Installed weights, or the reason why a golden value cannot be checked here."""

from __future__ import annotations

import pytest

from drivereplay.evaluation.weights import why_missing


def needs(name: str) -> None:
    """Skip where optional weights are not installed: they are downloads of a user's choice, not of the tests."""
    reason = why_missing(name)
    if reason:
        pytest.skip(reason)
