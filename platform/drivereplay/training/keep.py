"""Which checkpoints of a run are worth keeping: the newest, those that are best in something, those not judged yet."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from drivereplay.errors import TrainingError
from drivereplay.storage import Storage

FILE = "scores.json"


class Scores:
    """How the checkpoints of a run were judged, in `scores.json` of the run.

    Args:
        directory: The run's directory.
    """

    def __init__(self, directory: Storage) -> None:
        self._directory = directory

    def pending(self, step: int) -> None:
        """The checkpoint of `step` is going to be judged: it must not be removed."""
        self._write({step: None, **self._read()})

    def judged(self, step: int, scores: Mapping[str, float]) -> None:
        """The checkpoint of `step` was judged.

        Args:
            scores: Of each objective, lower is better.
        """
        self._write({**self._read(), step: dict(scores)})

    def unjudged(self) -> list[int]:
        """Steps whose checkpoints are still to be judged."""
        return sorted(step for step, scores in self._read().items() if scores is None)

    def worth_keeping(self, best: int) -> frozenset[int]:
        """Steps of the `best` best checkpoints in each objective, and of those not judged yet.

        A score that is not a number is never among the best; of equal ones the newer is kept.
        """
        scores = self._read()
        steps = {step for step, found in scores.items() if found is None}
        for name in sorted({name for found in scores.values() if found for name in found}):
            judged = [(found[name], -step) for step, found in scores.items() if found and name in found]
            ranked = sorted(pair for pair in judged if math.isfinite(pair[0]))
            steps |= {-step for _, step in ranked[:best]}
        return frozenset(steps)

    def _read(self) -> dict[int, dict[str, float] | None]:
        if not self._directory.exists(FILE):
            return {}
        try:
            return {int(step): scores for step, scores in json.loads(self._directory.read(FILE)).items()}
        except (ValueError, AttributeError) as error:
            raise TrainingError(
                f"{self._directory.uri}/{FILE} cannot be read: {error}.",
                "Remove it; checkpoints judged so far then count as the newest ones only.",
            ) from error

    def _write(self, scores: Mapping[int, dict[str, float] | None]) -> None:
        # JSON knows no infinity, which an objective may be
        text = json.dumps({str(step): found for step, found in sorted(scores.items())}, indent=1)
        self._directory.write(FILE, text.encode())
