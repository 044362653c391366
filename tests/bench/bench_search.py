"""The search against others, on problems whose fronts are known.

    python tests/bench/bench_search.py [PART ...] [--seeds N]

Parts are typical, held_out, fidelities and speed, which run without names, and regmix, analytic, parallel, suggestion
and cluster. Each part prints one
markdown table. Regret is 1 − hypervolume / hypervolume of the true front, with objectives scaled to [0, 1] over the
problem's own range and the reference point at 1.1. Times are CPU time, which other work on the machine does not change
as it changes wall time.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.bench.search_problems import (  # noqa: E402
    HELD_OUT_PAIRS,
    REFERENCE,
    TUNED_PAIR,
    Problem,
    analytic,
    curved,
    drives,
    experiment,
    mixing_law,
    regmix,
    volume_of,
)

from drivereplay.evaluation.report import Estimate  # noqa: E402
from drivereplay.search.agenda import Agenda, Ended, lag_of  # noqa: E402
from drivereplay.search.candidates import Candidate  # noqa: E402
from drivereplay.search.halving import Halving  # noqa: E402
from drivereplay.search.samplers import quiet_optuna  # noqa: E402
from drivereplay.search.space import Space  # noqa: E402
from drivereplay.search.suggestions import Suggestions  # noqa: E402
from drivereplay.search.trial import TrialRequest  # noqa: E402
from drivereplay.spec import with_values  # noqa: E402

PARTS = ("typical", "held_out", "fidelities", "speed", "regmix", "analytic", "parallel", "suggestion", "cluster")


def suggested(problem: Problem, concurrent: int = 1, goal: float = math.inf) -> list[dict[str, Any]]:
    """Settings in the order of trials, as the sweep would suggest them with that many at a time; the base is `{}`.

    Args:
        goal: Hypervolume of the true costs at which to stop.
    """
    spec = problem.spec
    worse: dict[str, float] = {}
    if problem.worse_by is not None:
        spec = with_values(spec, {"search.constraints": {"c.c": 0.0}})
    space = Space.of(spec)
    study = optuna.create_study(directions=["minimize"] * 2)
    reference = problem.reference if spec.search.anchors else None
    agenda = Agenda(
        spec, space, Suggestions(study, space, spec),
        concurrent=concurrent, lag=lag_of(concurrent), ended={}, reference=lambda: reference,
        worse_by=None if problem.worse_by is None else lambda trial: (worse[trial],),
    )  # fmt: skip
    live: list[tuple[int, TrialRequest]] = []
    seen: list[dict[str, Any]] = []
    while (following := agenda.next()) != "finished":
        if isinstance(following, TrialRequest):
            live.append((len(seen), following))
            seen.append(dict(following.parameters))
            if goal < math.inf and volume_of(np.array([problem.costs(v) for v in seen]), problem.reference) >= goal:
                break
            continue
        number, first = live.pop(0)
        values = dict(first.parameters)
        if problem.worse_by is not None:
            worse[first.trial] = problem.worse_by(values)
        agenda.end(first.trial, Ended(tuple(problem.observed(values, number).tolist()), parameters=values))
    return seen


def search(problem: Problem, concurrent: int = 1, goal: float = math.inf) -> np.ndarray:
    """(trials, m) true costs of what is suggested."""
    return np.array([problem.costs(values) for values in suggested(problem, concurrent, goal)])


def plain(problem: Problem, sampler: optuna.samplers.BaseSampler) -> np.ndarray:
    """Stock use: Optuna's own study over normalised exponentials, without this package's parametrisation."""
    study = optuna.create_study(directions=["minimize"] * 2, sampler=sampler)
    (dimension,) = Space.of(problem.spec).dimensions
    assert dimension.simplex is not None
    seen = []
    for _ in range(problem.spec.search.trials):
        trial = study.ask()
        raw = [-np.log(max(trial.suggest_float(f"x{k}", 0, 1), 1e-12)) for k in range(dimension.simplex.size)]
        seen.append(problem.costs({"replay.weights": (np.array(raw) / sum(raw)).tolist()}))
        study.tell(trial, seen[-1].tolist())
    return np.array(seen)


def bench_regmix(seeds: int) -> None:
    print(f"\n### RegMix: regret after 64 evaluations, median of {seeds} seeds (and quartiles)\n")
    print("| search | 60 M, 256 mixes | of random's | 1 M, 512 mixes | of random's |")
    print("| --- | --- | --- | --- | --- |")
    rows: dict[str, list[np.ndarray]] = {}
    for table in ("test", "train"):

        def ours(name: str, seed: int, table: str = table) -> np.ndarray:
            return search(regmix(name, 64, seed, table))

        def stock(sampler: Any, seed: int, table: str = table) -> np.ndarray:
            return plain(regmix("tpe", 64, seed, table), sampler(seed=seed))

        runs: dict[str, Callable[[int], np.ndarray]] = {
            "random, uniform on the simplex": lambda s: ours("random", s),
            "Sobol": lambda s: ours("qmc", s),
            "NSGA-II": lambda s: ours("nsga2", s),
            "TPE (default)": lambda s: ours("tpe", s),
            "`mixture`": lambda s: ours("mixture", s),
            "stock Optuna TPE, normalised exponentials": lambda s: stock(optuna.samplers.TPESampler, s),
        }
        whole = regmix("random", 1, 0, table).volume
        for name, run in runs.items():
            rows.setdefault(name, []).append(np.array([1 - volume_of(run(s)) / whole for s in range(seeds)]))
    base = rows["random, uniform on the simplex"]
    for name, found in rows.items():
        cells = []
        for regrets, random in zip(found, base, strict=True):
            low, middle, high = np.quantile(regrets, [0.25, 0.5, 0.75])
            cells += [f"{middle:.3f} ({low:.3f} to {high:.3f})", f"{middle / np.median(random):.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


SAMPLERS = ["random", "qmc", "nsga2", "tpe", "mixture"]
TYPICAL = ((12, 1), (12, 8), (30, 1), (30, 8))


def bench_typical(seeds: int) -> None:
    """ρ and 2 to 4 domains with noise and anchors; instances that nothing was tuned on."""
    for constrained in (False, True):
        print(
            f"\n### ρ + 2 to 4 domains{', one constraint' if constrained else ''}: share of the best hypervolume, "
            f"median of {seeds} held-out instances of each (lowest quarter)\n"
        )
        columns = [f"{trials} trials, {slots} at a time" for trials, slots in TYPICAL]
        extra = [" violating after the 10th |"] if constrained else [""]
        print(f"| sampler | {' | '.join(columns)} |{extra[0]}\n| --- |{' --- |' * (len(columns) + constrained)}")
        for sampler in SAMPLERS:
            cells, violating = [], []
            for trials, slots in TYPICAL:
                found = []
                for domains in (2, 3, 4):
                    for seed in range(seeds):
                        problem = drives(100 + seed, domains, sampler, trials, seed, constrained=constrained)
                        settings = suggested(problem, slots)
                        found.append(problem.share(settings))
                        if problem.worse_by is not None and (trials, slots) == (30, 1):
                            late = [v for v in settings[4:] if v][10:]
                            violating.append(np.mean([problem.worse_by(v) > 0 for v in late]))
                cells.append(f"{np.median(found):.3f} ({np.quantile(found, 0.25):.3f})")
            if constrained:
                cells.append(f"{np.mean(violating):.0%}")
            print(f"| {sampler} | {' | '.join(cells)} |", flush=True)


def bench_held_out(seeds: int) -> None:
    """Pairs of losses of the RegMix tables that nothing was tuned on: fitted laws, and the tables themselves."""
    print(f"\n### Mixing laws of held-out RegMix pairs, 30 trials: share of the best hypervolume, median of {seeds}\n")
    columns = [f"{'/'.join(pair)}, {domains} domains" for pair in HELD_OUT_PAIRS for domains in (3, 5, 7)]
    print(f"| sampler | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for sampler in SAMPLERS:
        cells = []
        for pair in HELD_OUT_PAIRS:
            for domains in (3, 5, 7):
                problems = [mixing_law(pair, domains, sampler, 30, seed) for seed in range(seeds)]
                cells.append(f"{np.median([p.share(suggested(p)) for p in problems]):.3f}")
        print(f"| {sampler} | {' | '.join(cells)} |", flush=True)
    print(f"\n### Held-out pairs of the RegMix 60 M table, 17 domains, 64 trials: share, median of {seeds}\n")
    print(f"| sampler | {' | '.join('/'.join(pair) for pair in HELD_OUT_PAIRS)} |\n| --- |{' --- |' * 3}")
    for sampler in ("random", "tpe", "mixture"):
        cells = []
        for pair in HELD_OUT_PAIRS:
            problems = [regmix(sampler, 64, seed, pair=pair) for seed in range(seeds)]
            cells.append(f"{np.median([p.share(suggested(p)) for p in problems]):.3f}")
        print(f"| {sampler} | {' | '.join(cells)} |", flush=True)


def bench_analytic(seeds: int) -> None:
    print(f"\n### Analytic problems, 8 variables: regret after 64 evaluations, median of {seeds} seeds\n")
    samplers = ("random", "qmc", "nsga2", "tpe", "gp", "mixture")
    print("| problem | " + " | ".join(samplers) + " |\n| --- |" + " --- |" * len(samplers))
    for name in ("zdt1", "zdt2", "zdt3", "dtlz2"):
        cells = []
        for sampler in samplers:
            found = []
            for seed in range(seeds):
                problem = analytic(name, sampler, 64, seed)
                found.append(1 - volume_of(search(problem)) / problem.volume)
            cells.append(f"{np.median(found):.3f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


@dataclass
class Spent:
    """Budget in whole runs, by how many trials have reached the cheap rung and how many of them the end.

    Attributes:
        arrived, ended: So far.
        costs: Of the trials that have ended.
        when: (`arrived`, `ended`) as each of them ended.
    """

    arrived: int = 0
    ended: int = 0
    costs: list[np.ndarray] = field(default_factory=list)
    reference: tuple[float, ...] = (REFERENCE, REFERENCE)
    when: list[tuple[int, int]] = field(default_factory=list)

    def end(self, costs: np.ndarray) -> None:
        self.ended += 1
        self.costs.append(costs)
        self.when.append((self.arrived, self.ended))

    def reached(self, goal: float) -> bool:
        return volume_of(np.array(self.costs), self.reference) >= goal if self.costs else False

    def budget(self, cheap: float, goal: float) -> float:
        """Whole runs spent when the goal was first reached, at that price of the cheap rung; infinity if never."""
        for n, (arrived, ended) in enumerate(self.when, start=1):
            if volume_of(np.array(self.costs[:n]), self.reference) >= goal:
                return cheap * arrived + (1.0 - cheap) * ended
        return float("inf")


def with_halving(problem: Problem, rate: float | None, goal: float, price: float = 1 / 6) -> Spent:
    """Until the goal is reached or all trials have been asked for; the one rung on the way is the cheap fidelity.

    Args:
        rate: `search.scheduler.reduction`.
        price: Of the rung, as a share of a whole run; without a `rate` the share that goes on follows it.
    """
    assert problem.cheap is not None
    space = Space.of(problem.spec)
    study = optuna.create_study(directions=["minimize"] * 2)
    rung = max(1, round(600 * price))
    # a single rung: the next one would lie behind the end
    halving = Halving(1, rate or 1e9, problem.spec.search.objectives, ("min", "min"), every=rung, steps=600)
    halving._reduction = rate
    agenda = Agenda(
        problem.spec, space, Suggestions(study, space, problem.spec), concurrent=1, lag=0, ended={}, halving=halving
    )
    spent = Spent(reference=problem.reference)

    def row(trial: str, step: int, costs: np.ndarray) -> Candidate:
        metrics = {n: Estimate(v, v, v, 1) for n, v in zip(problem.spec.search.objectives, costs.tolist(), strict=True)}
        return Candidate(trial, step, 0, "trial", following.parameters, metrics)

    while not spent.reached(goal) and isinstance(following := agenda.next(), TrialRequest):
        values = dict(following.parameters)
        low = problem.cheap(values)
        go_on = halving.arrive(row(following.trial, rung, low))
        if not following.again:
            spent.arrived += 1
        curve = [(price, *low.tolist())]
        if not go_on:
            agenda.end(following.trial, Ended(None, parameters=values, curve=tuple(curve), stopped=True))
            continue
        high = problem.costs(values)
        halving.arrive(row(following.trial, 600, high))
        spent.end(high)
        agenda.end(
            following.trial,
            Ended(tuple(high.tolist()), parameters=values, curve=(*curve, (1.0, *high.tolist()))),
        )
    return spent


def with_syne_tune(problem: Problem, rate: float, goal: float, seed: int) -> Spent:
    """Syne Tune's MOASHA as a scheduler alone: it draws at random from this package's numbers of a mix, and stops.

    Raises:
        ImportError: Syne Tune is not installed.
    """
    import datetime

    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    assert problem.cheap is not None
    space = Space.of(problem.spec)
    np.random.seed(seed)  # it draws from numpy's global generator
    names = problem.spec.search.objectives
    scheduler = MOASHA(
        {name: uniform(0.0, 1.0) for name in space.distributions()}, list(names), time_attr="rung",
        max_t=round(rate), grace_period=1, reduction_factor=rate, random_seed=seed,
    )  # fmt: skip
    spent = Spent()
    for number in range(problem.spec.search.trials):
        suggestion = scheduler.suggest()
        trial = Trial(number, suggestion.config, datetime.datetime.now(datetime.UTC))
        scheduler.on_trial_add(trial)
        values = space.values_of(suggestion.config)
        spent.arrived += 1
        low = dict(zip(names, problem.cheap(values).tolist(), strict=True))
        if scheduler.on_trial_result(trial, {"rung": 1, **low}) != SchedulerDecision.CONTINUE:
            scheduler.on_trial_remove(trial)
            continue
        high = problem.costs(values)
        scheduler.on_trial_complete(trial, {"rung": round(rate), **dict(zip(names, high.tolist(), strict=True))})
        spent.end(high)
        if spent.reached(goal):
            break
    return spent


def bench_fidelities(seeds: int) -> None:
    """Early stopping where the first rung predicts the end (RegMix, 1 M for 60 M) and where curves cross."""
    most = 256
    print(f"\n### Whole runs to 95 % of the best hypervolume, `mixture`, median of {seeds} seeds, at most {most}\n")
    print("| problem | without early stopping | first rung at 1/60 | ratio | first rung at 1/6 | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    problems: dict[str, Callable[[int], Problem]] = {
        f"RegMix {'/'.join(pair)}": lambda seed, pair=pair: regmix("mixture", most, seed, pair=pair)  # type: ignore[misc]
        for pair in (TUNED_PAIR, *HELD_OUT_PAIRS)
    }

    def crossing(kind: str) -> Callable[[int], Problem]:
        return lambda seed: curved(kind, 100 + seed, "mixture", most, seed)

    for kind in ("parallel", "noisy", "crossing", "forgetting"):
        problems[f"{kind} curves, ρ + 4 domains"] = crossing(kind)
    for name, make in problems.items():
        without, budgets = [], dict[float, list[float]]()
        for seed in range(seeds):
            problem = make(seed)
            goal = 0.95 * problem.volume
            without.append(_reached(search(problem, goal=goal), goal, problem.reference))
            for price in (1 / 60, 1 / 6):
                spent = with_halving(problem, None, goal, price)
                budgets.setdefault(price, []).append(spent.budget(price, goal))
        cells = []
        for found in budgets.values():
            cells += [_shown(float(np.median(found))), f"{np.median(found) / np.median(without):.2f}"]
        print(f"| {name} | {_shown(float(np.median(without)))} | {' | '.join(cells)} |", flush=True)


def _shown(budget: float) -> str:
    return f"{budget:.1f}" if math.isfinite(budget) else "not reached"


def _reached(costs: np.ndarray, goal: float, reference: tuple[float, ...]) -> float:
    """Number of trials at which the goal is first reached; infinity if never."""
    return next((float(n) for n in range(1, len(costs) + 1) if volume_of(costs[:n], reference) >= goal), float("inf"))


def bench_parallel(seeds: int) -> None:
    print(f"\n### 8 trials at a time against one: hypervolume at 64 trials, median of {seeds} seeds\n")
    print("| problem | sampler | one | eight | ratio |\n| --- | --- | --- | --- | --- |")
    for sampler in ("tpe", "mixture"):
        one, eight = [], []
        for seed in range(seeds):
            problem = regmix(sampler, 64, seed)
            one.append(volume_of(search(problem)) / problem.volume)
            eight.append(volume_of(search(problem, 8)) / problem.volume)
        a, b = float(np.median(one)), float(np.median(eight))
        print(f"| RegMix 60 M | {sampler} | {a:.3f} | {b:.3f} | {b / a:.2f} |", flush=True)


def bench_suggestion(seeds: int) -> None:
    print("\n### CPU seconds for one suggestion at 1,000 finished trials (ρ and the mix of 3 domains; of 17 domains)\n")
    print("| sampler | 3 domains | 17 domains |\n| --- | --- | --- |")
    for sampler in ("tpe", "nsga2", "nsga3", "random", "qmc", "mixture", "gp"):
        cells = []
        for domains in (3, 17):
            space_form: dict[str, Any] = {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"}
            spec = experiment(space_form, domains, sampler, 1200, 0)
            space = Space.of(spec)
            study = optuna.create_study(directions=["minimize"] * 2)
            filler = experiment(space_form, domains, "random", 1200, 0)
            feeding = Suggestions(study, space, filler)
            generator = np.random.default_rng(0)
            for number in range(1000):
                values = feeding.suggest(number, f"t{number}")
                w = np.asarray(values["replay.weights"])
                noise = generator.normal(0, 0.01, 2)
                costs = (float(w[0] - values["replay.frequency"] + noise[0]), float((w**2).sum() + noise[1]))
                feeding.tell(f"t{number}", costs, values)
            asking = Suggestions(study, space, spec)
            times = []
            for number in range(1000, 1003):
                started = time.process_time()
                asking.suggest(number, f"t{number}")
                times.append(time.process_time() - started)
            cells.append(f"{np.median(times):.3f}")
        print(f"| {sampler} | {' | '.join(cells)} |", flush=True)


def bench_speed(seeds: int) -> None:
    """What the driver does for one result at 1,000 trials, without the suggestion; and suggestions at 200 trials."""
    print("\n### Driver's own CPU time for one result at 1,000 trials, without the suggestion, ms\n")
    print("| sampler | ms | of random's |\n| --- | --- | --- |")
    base = 0.0
    for sampler in ("random", "tpe", "mixture"):
        own = _per_result(sampler, 1000) * 1000
        base = base or own
        print(f"| {sampler} | {own:.2f} | {own / base:.2f} |", flush=True)
    print("\n### CPU seconds for one suggestion of `mixture` at 200 trials\n")
    print("| ρ and 3 domains | ρ and 7 domains | with a constraint |\n| --- | --- | --- |")
    cells = []
    for domains, constrained in ((3, False), (7, False), (3, True)):
        problem = drives(0, domains, "mixture", 210, 0, constrained=constrained)
        spec = problem.spec
        if constrained:
            spec = with_values(spec, {"search.constraints": {"c.c": 0.0}})
        space = Space.of(spec)
        study = optuna.create_study(directions=["minimize"] * 2)
        feeding = Suggestions(study, space, with_values(spec, {"search.sampler": "random"}))
        for number in range(200):
            values = feeding.suggest(number, f"t{number}")
            assert values is not None
            worse_by = () if problem.worse_by is None else (problem.worse_by(values),)
            feeding.tell(f"t{number}", problem.observed(values, number).tolist(), values, worse_by)
        asking = Suggestions(study, space, spec)
        times = []
        for number in range(200, 207):
            started = time.process_time()
            asking.suggest(number, f"t{number}")
            times.append(time.process_time() - started)
        cells.append(f"{np.median(times):.3f}")
    print(f"| {' | '.join(cells)} |", flush=True)


def _per_result(sampler: str, trials: int) -> float:
    """CPU seconds of the driver for one result, of the last 20 of so many trials."""
    from tests.search.problems import Analytic
    from tests.search.problems import experiment as probe

    from drivereplay.search.journal import Journal
    from drivereplay.search.record import SweepRecord
    from drivereplay.search.worker import TrialRecord
    from drivereplay.storage import Storage

    with tempfile.TemporaryDirectory() as folder:
        spec = probe(Path(folder), trials=trials, concurrent=1, sampler=sampler, anchors=[], reference=[2.0, 2.0])
        storage = Storage.of(folder).below(spec.name)
        journal = Journal(storage)
        study = optuna.create_study(storage=journal.storage(), study_name="x", directions=["minimize"] * 2)
        space = Space.of(spec)
        record = SweepRecord(spec, ("min", "min"), storage, [], [])
        record.start()
        suggestions = Suggestions(study, space, spec, journal)
        asked = [0.0]
        suggest = suggestions.suggest
        # results come from random settings until the last 20, so that the bench does not wait for the sampler
        draws = Suggestions(study, space, with_values(spec, {"search.sampler": "random"}), journal)
        late = [False]

        def timed(*arguments: Any) -> Any:
            started = time.process_time()
            if not late[0]:
                draws._trials = suggestions._trials
            found = (suggest if late[0] else draws.suggest)(*arguments)
            asked[0] += time.process_time() - started
            return found

        suggestions.suggest = timed  # type: ignore[method-assign]
        agenda = Agenda(spec, space, suggestions, concurrent=1, lag=1, ended={})
        own = 0.0
        for number in range(trials):
            late[0] = number >= trials - 20
            before = asked[0]
            started = time.process_time()
            following = agenda.next()
            taken = time.process_time() - started - (asked[0] - before)
            assert isinstance(following, TrialRequest)
            place = storage.below("trials", following.trial)
            TrialRecord(spec, Analytic(), following, place, lambda candidate: True).run()
            started = time.process_time()
            agenda.end(following.trial, record.trial_ended(following))
            taken += time.process_time() - started
            own += taken if late[0] else 0.0
        record.end()
    return own / 20


def bench_cluster(seeds: int, trials: int = 10_000, slots: int = 16, seconds: float = 1.0) -> None:
    """A cluster in simulated time: trials take a second, and the driver's own work is really done, in CPU time.

    The driver decides, tells, suggests and books as in a sweep; while it works no trial starts. What Ray itself needs
    to start a trial is not in it (see `bench_trial.py`).
    """
    print(f"\n### Simulated cluster: {trials:,} trials of {seconds:g} s on {slots} slots\n")
    print("| sampler | busy | driver's work for one trial, ms |\n| --- | --- | --- |")
    for sampler in ("random", "tpe"):
        busy, own = _simulated(sampler, trials, slots, seconds)
        print(f"| {sampler} | {busy:.1%} | {own * 1000:.2f} |", flush=True)


def _simulated(sampler: str, trials: int, slots: int, seconds: float) -> tuple[float, float]:
    """Share of the slots' time in which they were busy, and the driver's own seconds for one trial."""
    import heapq

    from tests.search.problems import Analytic
    from tests.search.problems import experiment as probe

    from drivereplay.search.front import Reference
    from drivereplay.search.journal import Journal
    from drivereplay.search.record import SweepRecord
    from drivereplay.search.worker import TrialRecord
    from drivereplay.storage import Storage

    with tempfile.TemporaryDirectory() as folder:
        spec = probe(Path(folder), trials=trials, concurrent=slots, sampler=sampler, anchors=[], reference=[2.0, 2.0])
        storage = Storage.of(folder).below(spec.name)
        journal = Journal(storage)
        study = optuna.create_study(storage=journal.storage(), study_name="x", directions=["minimize"] * 2)
        space = Space.of(spec)
        record = SweepRecord(spec, ("min", "min"), storage, [], [])
        record.start()
        assert isinstance(record.reference, Reference)
        agenda = Agenda(
            spec, space, Suggestions(study, space, spec, journal), concurrent=slots, lag=lag_of(slots), ended={}
        )
        runner = Analytic()
        clock, working, running = 0.0, 0.0, list[tuple[float, int, TrialRequest]]()
        number = 0
        while True:
            started = time.process_time()
            following = agenda.next()
            clock += time.process_time() - started
            if isinstance(following, TrialRequest):
                # the worker's own record; it is written by the worker's machine, so that its time is not the driver's
                place = storage.below("trials", following.trial)
                TrialRecord(spec, runner, following, place, lambda candidate: True).run()
                heapq.heappush(running, (clock + seconds, number, following))
                number += 1
                continue
            if following == "finished":
                break
            end, _, request = heapq.heappop(running)
            clock = max(clock, end)
            working += seconds
            started = time.process_time()
            agenda.end(request.trial, record.trial_ended(request))
            clock += time.process_time() - started
        record.end()
    return working / slots / clock, max((clock - working / slots) / trials, 0.0)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), help="of typical and held_out")
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    quiet_optuna()
    SAMPLERS[:] = given.samplers
    parts = given.parts or ["typical", "held_out", "fidelities", "speed"]
    for part in parts:
        globals()[f"bench_{part}"](given.seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
