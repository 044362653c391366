"""The search against others, on problems whose fronts are known.

    python tests/bench/bench_search.py [regmix|analytic|fidelities|parallel|suggestion|cluster ...] [--seeds N]

Without names the parts that take a few minutes run: regmix, fidelities, parallel, suggestion. Each part prints one
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

from tests.bench.search_problems import Problem, analytic, experiment, regmix, volume_of  # noqa: E402

from drivereplay.evaluation.report import Estimate  # noqa: E402
from drivereplay.search.agenda import Agenda, Ended, lag_of  # noqa: E402
from drivereplay.search.candidates import Candidate  # noqa: E402
from drivereplay.search.halving import Halving  # noqa: E402
from drivereplay.search.samplers import quiet_optuna  # noqa: E402
from drivereplay.search.space import Space  # noqa: E402
from drivereplay.search.suggestions import Suggestions  # noqa: E402
from drivereplay.search.trial import TrialRequest  # noqa: E402

PARTS = ("regmix", "analytic", "fidelities", "parallel", "suggestion", "cluster")


def search(problem: Problem, concurrent: int = 1, goal: float = math.inf) -> np.ndarray:
    """(trials, m) costs in the order of trials, as the sweep would suggest them with that many at a time.

    Args:
        goal: Hypervolume at which to stop.
    """
    space = Space.of(problem.spec)
    study = optuna.create_study(directions=["minimize"] * 2)
    agenda = Agenda(
        problem.spec, space, Suggestions(study, space, problem.spec),
        concurrent=concurrent, lag=lag_of(concurrent), ended={},
    )  # fmt: skip
    live: list[TrialRequest] = []
    seen: list[np.ndarray] = []
    while (following := agenda.next()) != "finished":
        if isinstance(following, TrialRequest):
            live.append(following)
            seen.append(problem.costs(dict(following.parameters)))
            if goal < math.inf and volume_of(np.array(seen)) >= goal:
                break
            continue
        first = live.pop(0)
        values = tuple(problem.costs(dict(first.parameters)).tolist())
        agenda.end(first.trial, Ended(values, parameters=first.parameters))
    return np.array(seen)


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
    when: list[tuple[int, int]] = field(default_factory=list)

    def end(self, costs: np.ndarray) -> None:
        self.ended += 1
        self.costs.append(costs)
        self.when.append((self.arrived, self.ended))

    def reached(self, goal: float) -> bool:
        return volume_of(np.array(self.costs)) >= goal if self.costs else False

    def budget(self, cheap: float, goal: float) -> float:
        """Whole runs spent when the goal was first reached, at that price of the cheap rung; infinity if never."""
        for n, (arrived, ended) in enumerate(self.when, start=1):
            if volume_of(np.array(self.costs[:n])) >= goal:
                return cheap * arrived + (1.0 - cheap) * ended
        return float("inf")


def with_halving(problem: Problem, rate: float, goal: float) -> Spent:
    """Until the goal is reached or all trials have been asked for; the one rung on the way is the cheap fidelity."""
    assert problem.cheap is not None
    space = Space.of(problem.spec)
    study = optuna.create_study(directions=["minimize"] * 2)
    halving = Halving(1, rate, problem.spec.search.objectives, ("min", "min"), every=50, steps=100)
    agenda = Agenda(
        problem.spec, space, Suggestions(study, space, problem.spec), concurrent=1, lag=1, ended={}, halving=halving
    )
    spent = Spent()
    while not spent.reached(goal) and isinstance(following := agenda.next(), TrialRequest):
        values = dict(following.parameters)
        low = problem.cheap(values)
        metrics = {n: Estimate(v, v, v, 1) for n, v in zip(problem.spec.search.objectives, low.tolist(), strict=True)}
        go_on = halving.arrive(Candidate(following.trial, 50, 0, "trial", following.parameters, metrics))
        if not following.again:
            spent.arrived += 1
        curve = [(0.5, *low.tolist())]
        if not go_on:
            agenda.end(following.trial, Ended(None, parameters=values, curve=tuple(curve), stopped=True))
            continue
        high = problem.costs(values)
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
    """1 M parameters as the cheap fidelity: it costs a sixtieth of a whole run, and is also charged as a sixth."""
    most = 512
    print(
        f"\n### RegMix: whole runs to 95 % of the true front's hypervolume, median of {seeds} seeds, at most {most}\n"
    )
    print("| search | without early stopping | first rung at 1/60 | ratio | first rung at 1/6 | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    without: dict[str, float] = {}

    def table(name: str, base: str, run: Callable[[Problem, float, int], Spent]) -> None:
        cells = []
        found = []
        for seed in range(seeds):
            problem = regmix(base, most, seed)
            found.append((run(problem, 0.95 * problem.volume, seed), 0.95 * problem.volume))
        for cheap in (1 / 60, 1 / 6):
            budget = float(np.median([spent.budget(cheap, goal) for spent, goal in found]))
            both = math.isfinite(budget) and math.isfinite(without[base])
            cells += [shown(budget), f"{budget / without[base]:.2f}" if both else "-"]
        print(f"| {name} | {shown(without[base])} | {' | '.join(cells)} |", flush=True)

    def shown(budget: float) -> str:
        return f"{budget:.1f}" if math.isfinite(budget) else "not reached"

    for sampler in ("random", "mixture"):
        needed = []
        for seed in range(seeds):
            problem = regmix(sampler, most, seed)
            goal = 0.95 * problem.volume
            needed.append(_reached(search(problem, goal=goal), goal))
        without[sampler] = float(np.median(needed))
        for rate in (3.0, 9.0):
            table(
                f"`{sampler}` with MO-ASHA, η = {rate:g}",
                sampler,
                lambda p, goal, _, rate=rate: with_halving(p, rate, goal),
            )
    try:
        table("Syne Tune MOASHA, η = 9", "random", lambda p, goal, seed: with_syne_tune(p, 9.0, goal, seed))
    except ImportError as error:
        print(f"\nSyne Tune's MOASHA was not compared: {error}")


def _reached(costs: np.ndarray, goal: float) -> float:
    """Number of trials at which the goal is first reached; infinity if never."""
    return next((float(n) for n in range(1, len(costs) + 1) if volume_of(costs[:n]) >= goal), float("inf"))


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
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    quiet_optuna()
    parts = given.parts or ["regmix", "fidelities", "parallel", "suggestion"]
    for part in parts:
        globals()[f"bench_{part}"](given.seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
