"""Figures of running sweeps, trainings, ingests and caches for Prometheus, exported by Ray's own metrics endpoint.

Ray prefixes each name with `ray_`; the Grafana boards in `dashboards/grafana/` are drawn from these and from nothing
else. Without a running Ray in the process every call does nothing.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Instrument:
    """One exported figure.

    Attributes:
        description: Shown by Prometheus.
        tags: Label names.
    """

    description: str
    tags: tuple[str, ...]


_TRAINING = ("run", "trial")

GAUGES: Mapping[str, Instrument] = {
    "drivereplay_sweep_candidates": Instrument("Candidates of a sweep by status", ("run", "status")),
    "drivereplay_sweep_front_size": Instrument("Non-dominated candidates of a sweep", ("run",)),
    "drivereplay_sweep_hypervolume": Instrument("Hypervolume of a sweep's front", ("run",)),
    "drivereplay_sweep_device_hours": Instrument("Device-hours of all trials of a sweep", ("run",)),
    "drivereplay_sweep_device_hours_per_candidate": Instrument("Device-hours for one finished candidate", ("run",)),
    "drivereplay_training_step": Instrument("Last optimiser step of a training", _TRAINING),
    "drivereplay_training_loss": Instrument("Loss of the last step", _TRAINING),
    "drivereplay_training_samples_per_second": Instrument("Samples of the last step by its time", _TRAINING),
    "drivereplay_training_data_wait_share": Instrument("Share of the last step spent waiting for data", _TRAINING),
    "drivereplay_training_share": Instrument("Share of a domain among the samples so far", (*_TRAINING, "domain")),
    "drivereplay_training_planned_share": Instrument(
        "Share of a domain that the plan asks for", (*_TRAINING, "domain")
    ),
    "drivereplay_ingest_videos": Instrument("Videos of the last ingest, used or set aside", ("domain", "state")),
    "drivereplay_ingest_clips": Instrument("Clips in the index of a domain", ("domain", "split")),
    "drivereplay_cache_clips": Instrument("Decoded clips asked of a process' caches so far, by result", ("result",)),
}
"""All exported figures, each a gauge: totals are totals of the process that exports them."""

_totals: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}


def gauge(name: str, value: float, **tags: str) -> None:
    """Export the present value of a figure.

    Raises:
        KeyError: The figure or a tag is not in `GAUGES`.
    """
    if set(tags) != set(GAUGES[name].tags):
        raise KeyError(f"{name} has the tags {GAUGES[name].tags}, got {tuple(tags)}")
    ray = sys.modules.get("ray")  # never imported from here: whoever does without Ray shall not wait for it
    if ray is None or not ray.is_initialized() or not math.isfinite(value):
        return
    _instrument(name).set(float(value), tags=tags)


def total(name: str, amount: float, **tags: str) -> None:
    """Add to a figure that only grows."""
    key = (name, tuple(sorted(tags.items())))
    _totals[key] = _totals.get(key, 0.0) + amount
    gauge(name, _totals[key], **tags)


def training_step(
    run: str,
    trial: str,
    *,
    step: int,
    loss: float,
    samples: int,
    seconds: float,
    waited_s: float,
    drawn: Mapping[str, int],
) -> None:
    """One optimiser step.

    Args:
        run: Name of the experiment.
        trial: Of a sweep; empty for a training by itself.
        step: Its number.
        loss: Of the step.
        samples: Samples of the step, over all workers.
        seconds: Wall time of the step, data included.
        waited_s: Part of it spent waiting for the batch.
        drawn: Samples of each domain so far.
    """
    gauge("drivereplay_training_step", step, run=run, trial=trial)
    gauge("drivereplay_training_loss", loss, run=run, trial=trial)
    if seconds > 0:
        gauge("drivereplay_training_samples_per_second", samples / seconds, run=run, trial=trial)
        gauge("drivereplay_training_data_wait_share", waited_s / seconds, run=run, trial=trial)
    everything = sum(drawn.values())
    for domain, count in drawn.items():
        gauge("drivereplay_training_share", count / max(everything, 1), run=run, trial=trial, domain=domain)


@functools.cache
def _instrument(name: str) -> Any:
    from ray.util.metrics import Gauge

    return Gauge(name, description=GAUGES[name].description, tag_keys=GAUGES[name].tags)
