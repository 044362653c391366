"""A training's loss curve as scalars, grouped by domain and by noise level."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from drivereplay.dashboard.events import TRIALS, EventFiles
from drivereplay.spec import Spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.search.trial import Outcome

LAYOUT = {
    "loss": {
        "by domain": ["Multiline", ["loss/domain/.*"]],
        "by noise level": ["Multiline", ["loss/level/.*"]],
        "all": ["Multiline", ["loss/total"]],
    },
    "speed": {
        "time of a step": ["Multiline", ["speed/step_s", "speed/waited_s"]],
        "samples per second": ["Multiline", ["speed/samples_per_s"]],
    },
}
"""The Custom Scalars tab: curves that belong together in one chart."""


def add_curve(writer: Any, directory: Storage, batch_size: int, *, after: int = -1) -> int:
    """Write the steps of `curve.parquet` that are not in the event files yet.

    Args:
        writer: A `SummaryWriter` of the trial's run.
        directory: The trial's directory.
        batch_size: Samples of a step.
        after: Last step that was written.

    Returns:
        Last step that is written now.
    """
    from drivereplay.training.curve import LEVEL_BINS, read_curve

    for point in read_curve(directory):
        if point.step <= after:
            continue
        values = {"loss/total": point.loss, "loss/learning_rate": point.learning_rate}
        values["loss/gradient_norm"] = point.gradient_norm
        values |= {f"loss/domain/{name}": loss for name, loss in point.domains.items()}
        for level, loss in point.levels.items():
            low, high = level / LEVEL_BINS, (level + 1) / LEVEL_BINS
            values[f"loss/level/{low:.1f} to {high:.1f}"] = loss
        if point.seconds > 0:
            values["speed/step_s"] = point.seconds
            values["speed/waited_s"] = point.waited_s
            values["speed/samples_per_s"] = batch_size / point.seconds
        for tag, value in values.items():
            writer.add_scalar(tag, value, point.step)
        after = point.step
    return after


class RunBoard:
    """What a single training shows: its curves and the figures of its evaluations, in `tensorboard/trials/run`.

    Args:
        spec: The experiment.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._files = EventFiles(Storage.of(spec.storage).below(spec.name))
        self._after = -1

    def __call__(self, directory: Storage, outcome: Outcome | None) -> None:
        """A checkpoint was evaluated, or (None) the run is over; `directory` holds its curve."""
        first = self._after < 0
        with self._files.run(f"{TRIALS}/run", keep=outcome is not None) as writer:
            if first:
                writer.add_custom_scalars(LAYOUT)
            self._after = add_curve(writer, directory, self._spec.training.batch_size, after=self._after)
            if outcome is None:
                return
            for name, estimate in outcome.metrics.items():
                if math.isfinite(estimate.mean):
                    writer.add_scalar(name, estimate.mean, outcome.step)
