"""What fine-tuning did to every domain: the same metrics before and after, domain by domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from drivereplay.errors import SpecError
from drivereplay.evaluation.forgetting import Forgetting, forgetting, loss_by_noise_level
from drivereplay.evaluation.report import Report
from drivereplay.spec import Spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.data.index import ClipIndex
    from drivereplay.models.base import VideoModel


def forgetting_table(
    model: VideoModel,
    spec: Spec,
    indexes: Mapping[str, ClipIndex],
    *,
    base: VideoModel | None = None,
    cache: Storage | None = None,
    after: Report | None = None,
) -> dict[str, Any]:
    """Forgetting on `evaluation.replay_clips` held-out clips of each replay domain, plasticity on the target.

    Args:
        model: The fine-tuned model.
        indexes: Domain → its clips.
        base: The model before; None loads the one that `spec` names, on the model's device.
        cache: Where work on real clips, and the base's reports, are kept.
        after: The fine-tuned model's report on the target, if there is one already.

    Returns:
        `gains`: domain → metric → `gain` (positive is better), `low`, `high`, `p`, `forgotten`; the target's are the
        plasticity. `mean_transfer`: metric → mean over the replay domains. `loss`: domain → noise level → mean training
        loss `before` and `after`.

    Raises:
        SpecError: `evaluation.replay_clips` is 0, or there is no replay domain.
    """
    from drivereplay.models import load_model

    if not spec.evaluation.replay_clips or not spec.replay.domains:
        raise SpecError(
            "forgetting is measured on held-out clips of the replay domains, and none were asked for.",
            "Set evaluation.replay_clips, and name replay domains.",
        )
    base = load_model(spec, device=model.device) if base is None else base
    reports: dict[str, dict[str, Report]] = {"before": {}, "after": {}}
    losses: dict[str, Any] = {}
    for domain in spec.domains:
        name, prompt = domain.name, domain.prompt or spec.model.prompt
        judged = _settings(spec, name)
        clips = _clips(judged, indexes[name])
        reports["before"][name] = _base_report(base, clips, judged, cache, prompt)
        known = after if name == spec.target.name else None
        reports["after"][name] = _report(model, clips, judged, cache, prompt) if known is None else known
        found = {
            when: loss_by_noise_level(one, clips, prompt=prompt) for when, one in (("before", base), ("after", model))
        }
        losses[name] = {
            f"{level:g}": {when: float(np.mean(values[level])) for when, values in found.items()}
            for level in found["before"]
        }
    return {**_table(forgetting(reports["before"], reports["after"], spec.target.name), spec), "loss": losses}


def rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each domain and metric of what `forgetting_table` gave."""
    return [
        {
            "domain": domain + (" (target)" if domain == table["target"] else ""),
            "metric": name,
            "gain [95 %]": f"{gain['gain']:.4g} [{gain['low']:.4g}, {gain['high']:.4g}]",
            "p": f"{gain['p']:.2g}",
            "forgotten": "" if domain == table["target"] else f"{gain['forgotten']:.4g}",
        }
        for domain, figures in table["gains"].items()
        for name, gain in figures.items()
    ]


def _table(found: Forgetting, spec: Spec) -> dict[str, Any]:
    domains = {spec.target.name: found.plasticity, **found.transfer}
    gains = {
        domain: {
            name: {
                **{key: value for key, value in asdict(gain.estimate).items() if key != "mean"},
                "gain": gain.estimate.mean,
                "p": gain.p,
                "forgotten": max(-gain.estimate.mean, 0.0),
            }
            for name, gain in figures.items()
        }
        for domain, figures in domains.items()
    }
    metrics = {name for figures in found.transfer.values() for name in figures}
    return {
        "target": spec.target.name,
        "gains": gains,
        "mean_transfer": {name: found.mean_transfer(name) for name in sorted(metrics)},
    }


def _settings(spec: Spec, domain: str) -> Spec:
    """The experiment with the evaluation of one domain: fewer clips on replay domains, all of their subsets."""
    if domain == spec.target.name:
        return spec
    changes = {"clips": spec.evaluation.replay_clips, "split": "all", "videos": 0}
    return spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update=changes)})


def _clips(spec: Spec, index: ClipIndex) -> list[Any]:
    from drivereplay.data.clips import evaluation_clips

    wanted = spec.evaluation
    return list(evaluation_clips(index, spec.clip, count=wanted.clips, seed=wanted.seed, subset=wanted.split))


def _report(model: VideoModel, clips: list[Any], spec: Spec, cache: Storage | None, prompt: str) -> Report:
    from drivereplay.evaluation.judge import evaluate_model

    return evaluate_model(model, clips, spec, cache=cache, prompt=prompt, lacking=True)


def _base_report(base: VideoModel, clips: list[Any], spec: Spec, cache: Storage | None, prompt: str) -> Report:
    """The base's report; the same for all trials of a sweep, so it is kept."""
    import hashlib

    from drivereplay.evaluation.scoring import cache_key, clip_digest

    if cache is None:
        return _report(base, clips, spec, cache, prompt)
    asked = [prompt, spec.evaluation.model_dump_json(), spec.clip.model_dump_json(), *spec.search.objectives]
    text = "|".join([base.fingerprint(), *asked, cache_key([clip_digest(c) for c in clips], [])])
    name = f"evaluation/base-{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    if cache.exists(name):
        return Report.load(cache, name)
    report = _report(base, clips, spec, cache, prompt)
    report.save(cache, name)
    return report
