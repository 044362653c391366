"""A running training's figures for Prometheus: speed, waiting, and each domain's share against the plan's."""

from __future__ import annotations

import numpy as np

from drivereplay import telemetry
from drivereplay.data.batch import Batch
from drivereplay.logs import current
from drivereplay.spec import Spec
from drivereplay.training.curve import CurvePoint


class TrainingGauges:
    """Counts what one worker is given; every worker is given its due, so one stands for all.

    Args:
        spec: The experiment.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._names = [domain.name for domain in spec.domains]
        self._drawn = np.zeros(len(self._names), dtype=np.int64)
        self._planned = np.zeros(len(self._names))

    def stepped(self, point: CurvePoint, batch: Batch) -> None:
        """A step is done."""
        self._drawn += np.bincount(batch.domain, minlength=len(self._names))
        self._planned += len(batch.domain) * planned_shares(self._spec, point.step)
        run, trial = self._spec.name, str(current().get("trial", ""))
        telemetry.training_step(
            run,
            trial,
            step=point.step,
            loss=point.loss,
            samples=self._spec.training.batch_size,
            seconds=point.seconds,
            waited_s=point.waited_s,
            drawn=dict(zip(self._names, self._drawn.tolist(), strict=True)),
        )
        for name, share in zip(self._names, self._planned / max(self._planned.sum(), 1.0), strict=True):
            telemetry.gauge("drivereplay_training_planned_share", float(share), run=run, trial=trial, domain=name)


def planned_shares(spec: Spec, step: int) -> np.ndarray:
    """(D,) shares that the experiment asks for at a step, the target first; ramps are linear over the run."""
    replay, steps = spec.replay, spec.training.steps
    done = min(1.0, step / max(1, steps - 1))
    end = replay.frequency if replay.frequency_end is None else replay.frequency_end
    frequency = replay.frequency + done * (end - replay.frequency)
    mix = np.asarray(replay.mix) + done * (np.asarray(replay.mix_end) - np.asarray(replay.mix))
    return np.concatenate([[1.0 - frequency], frequency * mix])
