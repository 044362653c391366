"""A training's loss curve as scalars, grouped by domain and by noise level."""

from __future__ import annotations

from typing import Any

from drivereplay.storage import Storage

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
