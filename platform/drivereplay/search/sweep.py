"""The search: anchors, then suggested trials on Ray Tune; ends with the front."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.nodes import cluster_nodes, require_shared
from drivereplay.search.agenda import Agenda, Round, anchor_requests, lag_of
from drivereplay.search.candidates import TABLE, Candidate
from drivereplay.search.constraints import BUDGET, Limit, limits_of
from drivereplay.search.environment import ENVIRONMENT, environment, read_decided
from drivereplay.search.failures import environment_failure
from drivereplay.search.front import FILE as FRONT
from drivereplay.search.front import Front, eligible, signs
from drivereplay.search.halving import Halving
from drivereplay.search.journal import FILE as JOURNAL
from drivereplay.search.journal import Journal
from drivereplay.search.lease import Lease, only_driver
from drivereplay.search.progress import Lines
from drivereplay.search.proposals import Proposals
from drivereplay.search.record import SweepListener, SweepRecord
from drivereplay.search.resources import TrialResources, trial_resources
from drivereplay.search.same import check_same
from drivereplay.search.samplers import quiet_optuna
from drivereplay.search.seeds import next_round
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions
from drivereplay.search.trial import FineTuning, TrialRequest, TrialRunner
from drivereplay.search.warm import warm_start
from drivereplay.session import ensure_ray
from drivereplay.spec import Spec, read_spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.search.searcher import SweepSearch

__all__ = ["SweepListener", "foresee", "sweep"]

logger = logging.getLogger(__name__)


def sweep(
    spec: Spec,
    *,
    resume: bool = False,
    listeners: Sequence[SweepListener] = (),
    show_progress: bool = True,
    runner: TrialRunner | None = None,
) -> Front:
    """Run the search of an experiment and leave everything in `<storage>/<name>/`.

    Args:
        spec: The experiment.
        resume: Go on with the sweep that is there: every trial that has ended stays as it is, one that was cut off goes
            on from its last checkpoint. Without a sweep there, begin one.
        listeners: Told of each candidate, in this process.
        show_progress: A line for each candidate on standard error.
        runner: What a trial does; None fine-tunes.

    Raises:
        SpecError: The experiment, its space or its directory cannot be used; nothing was started.
        DriveReplayError: All trials failed, or Tune was interrupted.
    """
    runner = runner or FineTuning()
    space = Space.of(spec)
    directions = runner.directions(spec.search.objectives)
    limited = [name for name in spec.search.constraints if name != BUDGET]
    limits = limits_of(spec.search, dict(zip(limited, runner.directions(limited), strict=True)))
    halving = Halving.of(spec, directions)
    storage = Storage.of(spec.storage).below(spec.name)
    earlier = _open(storage, spec, resume)
    with only_driver(storage, spec.name) as lease:
        try:
            return _driven(
                spec, earlier, space, directions, limits, halving, storage, lease, listeners, show_progress, runner
            )
        except OSError as error:
            if not environment_failure(error):
                raise
            raise DriveReplayError(
                f"The sweep '{spec.name}' was ended because {storage.uri} cannot be written: {error}.",
                "Correct that and go on with `drivereplay sweep EXPERIMENT --resume`: nothing is lost.",
            ) from error


def _driven(
    spec: Spec,
    earlier: Spec | None,
    space: Space,
    directions: Sequence[str],
    limits: tuple[Limit, ...],
    halving: Halving | None,
    storage: Storage,
    lease: Lease,
    listeners: Sequence[SweepListener],
    show_progress: bool,
    runner: TrialRunner,
) -> Front:
    ensure_ray()
    resources = trial_resources(spec, cluster_nodes())
    require_shared(storage)
    quality = runner.prepare(spec)
    lag = _begin(storage, spec, resources, quality)
    anchors = [request.kind for request in anchor_requests(spec, space)]
    shown = [Lines(spec, len(anchors))] if show_progress else []
    record = SweepRecord(spec, directions, storage, anchors, [*shown, *listeners], limits, lease.require, earlier)
    record.start()
    if halving is not None:
        halving.restore(record.candidates)
    journal = Journal(storage, lease.require)
    try:
        from drivereplay.search.searcher import SweepSearch

        search = SweepSearch(
            spec,
            directions,
            space,
            journal,
            record,
            resources,
            lag,
            warm=partial(warm_start, spec=spec, protocol=record.protocol, limits=limits)
            if spec.search.warm_start
            else None,
            halving=halving,
            follow=_follow(spec, space, directions, limits, record, storage),
            enough=_enough(spec, record),
        )
        _tune(spec, runner, search, resources, storage, halving)
    finally:
        journal.close()
        record.flush()
    if search.environment:
        raise DriveReplayError(
            f"The sweep '{spec.name}' was ended because its environment fails, at {search.environment}.",
            "Correct that and go on with `drivereplay sweep EXPERIMENT --resume`: nothing is lost.",
        )
    if search.given_up is not None:
        raise DriveReplayError(
            f"The sweep was ended because its first trials all failed, {search.given_up.trial} first: "
            f"{search.given_up.reason}.",
            "Correct that, delete the run's directory and start again.",
        )
    if not search.agenda.complete:
        raise DriveReplayError(
            f"The sweep '{spec.name}' was interrupted.", "Go on with `drivereplay sweep EXPERIMENT --resume`."
        )
    front = record.end()
    if not front.front:
        failed = record.first_failure()
        why = f"{failed.trial} failed first: {failed.reason}" if failed else "none finished"
        raise DriveReplayError(f"No trial of the sweep '{spec.name}' finished; {why}.", "Correct that and start again.")
    return front


def foresee(spec: Spec, runner: TrialRunner | None = None) -> dict[str, Any]:
    """What a sweep would run, without starting anything: anchors, the first suggestions, trials and their resources."""
    import optuna

    space = Space.of(spec)
    directions = (runner or FineTuning()).directions(spec.search.objectives)
    quiet_optuna()
    study = optuna.create_study(directions=["minimize" if way == "min" else "maximize" for way in directions])
    agenda = Agenda(spec, space, Suggestions(study, space, spec), concurrent=10**9, lag=10**9, ended={})
    first: list[dict[str, Any]] = []
    while len(first) < min(agenda.total, len(spec.search.anchors) + 3):
        following = agenda.next()
        if isinstance(following, str):
            break
        first.append({"trial": following.trial, **following.parameters})
    trained = agenda.total - sum(request.kind == "base" for request in anchor_requests(spec, space))
    return {
        "objectives": dict(zip(spec.search.objectives, directions, strict=True)),
        "parameters": sorted(space.distributions()),
        "trials": agenda.total,
        "steps of each": spec.training.steps,
        "optimiser steps in total": trained * spec.training.steps,
        "first trials": first,
        "directory": Storage.of(spec.storage).below(spec.name).uri,
    }


def _open(storage: Storage, spec: Spec, resume: bool) -> Spec | None:
    """Refuse a directory that holds something else; returns the experiment of the sweep that is continued."""
    there = [name for name in (FRONT, TABLE, JOURNAL) if storage.exists(name)]
    if there and not resume:
        raise SpecError(
            f"{storage.uri} already holds a sweep ({', '.join(there)}).",
            "Go on with it by --resume, or choose another name by --set name=NAME.",
        )
    earlier: Spec | None = None
    if there and storage.exists("spec.yaml"):
        earlier = read_spec(storage.read("spec.yaml"), where=f"{storage.uri}/spec.yaml")
        check_same(earlier, spec)
    storage.check_writable()
    return earlier


def _begin(storage: Storage, spec: Spec, resources: TrialResources, quality: Any) -> int:
    """Write spec.yaml and environment.json; returns the lag, which a resumed sweep keeps."""
    lag = lag_of(resources.concurrent, scheduler=spec.search.scheduler is not None)
    lag = read_decided(storage).get("lag", lag)
    storage.write("spec.yaml", spec.to_yaml().encode())
    decided = {"lag": lag, "concurrent": resources.concurrent, "resources": resources.request}
    storage.write(ENVIRONMENT, json.dumps(environment(spec, search=decided, quality=quality), indent=1).encode())
    return lag


def _enough(spec: Spec, record: SweepRecord) -> Callable[[Sequence[str]], bool] | None:
    """Whether the hypervolume has not grown beyond its interval for `search.patience` trials."""
    patience = spec.search.patience
    if patience is None:
        return None

    def enough(told: Sequence[str]) -> bool:
        searched = [trial for trial in told if trial.startswith("t")]
        if len(searched) <= patience:
            return False
        last = set(searched[-patience:])
        now = record.front(set(told))
        before = record.front({trial for trial in told if trial not in last})
        if now.hypervolume is None or before.hypervolume is None:
            return False
        sure = before.certainty.hypervolume
        high = before.hypervolume if sure is None or not math.isfinite(sure.high) else sure.high
        return now.hypervolume <= high

    return enough


def _follow(
    spec: Spec, space: Space, directions: Sequence[str], limits: Sequence[Limit], record: SweepRecord, storage: Storage
) -> Round | None:
    """What comes after the trials: verification runs of the predictor, then rounds of replicates."""
    racing = spec.search.racing
    if racing is None and not spec.search.proposals:
        return None

    def ended() -> Sequence[Candidate]:
        return record.candidates

    proposals = Proposals(spec, directions, storage, limits, ended) if spec.search.proposals else None

    def follow(requests: Sequence[TrialRequest]) -> Sequence[TrialRequest]:
        asked = {request.trial for request in requests}
        found = eligible([c for c in record.candidates if c.trial in asked], spec.search.objectives)
        kinds = [request.kind for request in requests]
        if proposals is not None and "replicate" not in kinds:
            following = proposals.next(found, kinds.count("proposal"))
            if following:
                return following
        if racing is None:
            return ()
        used = kinds.count("replicate")
        # an anchor outside the space is there to compare with
        found = [c for c in found if c.kind == "base" or space.encode(c.parameters, spec) is not None]
        return next_round(found, spec.search.objectives, signs(directions), racing, spec.seed, used, limits)

    return follow


def _tune(
    spec: Spec,
    runner: TrialRunner,
    search: SweepSearch,
    resources: TrialResources,
    storage: Storage,
    halving: Halving | None,
) -> None:
    """Run Ray Tune until the agenda is finished."""
    from ray import tune

    from drivereplay.search.scheduler import SweepScheduler
    from drivereplay.search.watch import ClusterWatch
    from drivereplay.search.worker import run_trial

    trainable = tune.with_resources(partial(run_trial, spec=spec, runner=runner), resources.request)
    scratch = storage.below(".tune")
    with _tune_settings():
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=SweepScheduler(halving, search),
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=lambda trial: trial.trial_id,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch.root,
                storage_filesystem=scratch.filesystem if scratch.local is None else None,
                verbose=0,
                callbacks=[ClusterWatch()],
                # of a killed process only: what a trial raises ends it (see `drivereplay.search.worker`)
                failure_config=tune.FailureConfig(max_failures=2),
            ),
        )
        try:
            tuner.fit()
        finally:
            storage.delete(".tune")


@contextmanager
def _tune_settings() -> Iterator[None]:
    """Tune reads these from the environment only; they are put back afterwards."""
    values: Mapping[str, str] = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "TUNE_RESULT_BUFFER_LENGTH": "1",
    }
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    # it looks for files of the loggers that are switched off above
    analysis = logging.getLogger("ray.tune.analysis.experiment_analysis")
    level = analysis.level
    analysis.setLevel(logging.ERROR)
    try:
        yield
    finally:
        analysis.setLevel(level)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
