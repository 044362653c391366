"""Adaptive replay: the domain mix moved during the run by the domains' own losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from drivereplay.data.batch import Batch
from drivereplay.data.index import ClipIndex
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.stream import batches
from drivereplay.errors import DataError
from drivereplay.spec import AdaptiveSpec, Spec


def updated_mix(
    mix: Sequence[float], losses: Sequence[float], reference: Sequence[float], rule: AdaptiveSpec
) -> tuple[float, ...]:
    """Exponentiated gradient on excess loss, as in DoReMi (Xie et al. 2023, arXiv 2305.10429, algorithm 1).

        λ_i = max(ℓ_i − ℓref_i, 0),   w_i ← w_i · exp(η λ_i),   w ← (1 − c) · w / Σw + c · 1/R

    A domain whose loss has risen above what the base model had is being forgotten and gets more samples.

    Args:
        mix: w, weights of the R replay domains.
        losses: ℓ, current loss of each.
        reference: ℓref, loss of the base model on each.
        rule: η is `rate`, c is `smoothing`.

    Raises:
        DataError: The lengths differ, or a loss is not finite.
    """
    if not len(mix) == len(losses) == len(reference):
        raise DataError(f"{len(mix)} weights, {len(losses)} losses and {len(reference)} references do not fit.")
    excess = np.maximum(np.asarray(losses, dtype=np.float64) - np.asarray(reference, dtype=np.float64), 0.0)
    if not np.isfinite(excess).all():
        raise DataError(f"The losses of the replay domains are not finite: {list(losses)}.", "Lower the learning rate.")
    # the largest exponent is taken out first, so that nothing overflows; it cancels in the normalisation
    moved = np.asarray(mix, dtype=np.float64) * np.exp(rule.rate * (excess - excess.max()))
    moved /= moved.sum()
    blended = (1 - rule.smoothing) * moved + rule.smoothing / len(mix)
    # the plan takes decimal numbers exactly: what is saved is what was used
    return tuple(float(f"{w:.9f}") for w in blended)


def adaptive_batches(
    spec: Spec,
    indexes: Sequence[ClipIndex],
    plan: SamplingPlan,
    *,
    first_step: int,
    last_step: int,
    mix_at: Callable[[int], Sequence[float]],
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Batches of a run whose mix is decided anew every `replay.adaptive.every` steps.

    Args:
        plan: With the changes before `first_step` already made (`SamplingPlan.with_mix`), as a resume needs.
        mix_at: Gives the mix that holds from a step on. It is called when training has done all steps before it, on
            every rank, and must give all of them the same; what it gives belongs into the checkpoint.
    """
    rule = spec.replay.adaptive
    if rule is None:
        yield from batches(
            spec, indexes, plan, first_step=first_step, last_step=last_step, rank=rank, world_size=world_size
        )
        return
    step = first_step
    while step < last_step:
        if step and step % rule.every == 0:
            plan = plan.with_mix(step, mix_at(step))
        end = min(last_step, (step // rule.every + 1) * rule.every)
        yield from batches(spec, indexes, plan, first_step=step, last_step=end, rank=rank, world_size=world_size)
        step = end
