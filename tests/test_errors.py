"""Errors keep their advice on the way through Ray, and carry the exit code."""

from __future__ import annotations

import pickle

import pytest

from drivereplay import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.DriveReplayError, 1),
        (errors.SpecError, 2),
        (errors.DataError, 1),
        (errors.ModelError, 2),
        (errors.TrainingError, 1),
        (errors.ProtocolError, 2),
    ],
)
def test_errors_survive_pickling(kind: type[errors.DriveReplayError], code: int) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened.", "what to do.")))
    assert type(error) is kind
    assert (error.what, error.fix, error.exit_code) == ("what happened.", "what to do.", code)
    assert str(error) == "what happened. what to do."
