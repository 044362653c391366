"""The one exception family: every message says what, where, and what to do."""

from __future__ import annotations


class DriveReplayError(Exception):
    """Something failed while running. The command line prints it as one line and exits with 1.

    Args:
        what: What failed and where (file, key, clip, step), as one sentence.
        fix: What the user can do about it; shown after the first sentence.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} {self.fix}".strip()

    def __reduce__(self) -> tuple[type[DriveReplayError], tuple[str, str]]:
        # Ray sends exceptions between processes by pickle; the default would lose `fix`.
        return (type(self), (self.what, self.fix))


class SpecError(DriveReplayError):
    """The call or the experiment file is wrong; nothing was started. Exit code 2."""

    exit_code = 2


class DataError(DriveReplayError):
    """A video, an annotation or an index cannot be used. Exit code 1."""


class ModelError(SpecError):
    """A base model or adapter does not fit what was asked for; found before anything is started. Exit code 2."""


class TrainingError(DriveReplayError):
    """A fine-tuning run had to stop: a loss that is not finite, a lost worker group, storage that stays away."""


class ProtocolError(DriveReplayError):
    """Figures of different protocols were about to be compared; the message names the differing fields. Exit code 2."""

    exit_code = 2
