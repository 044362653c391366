"""A study: every combination of a few factors with several seeds, at equal steps and at equal target samples.

A sweep looks for good settings; a study says how each setting does, with intervals. It is resumable: what has been run
is kept run by run, and a table of what is there can be made at any time.

    python -m drivereplay.search.study experiments/phenomenon.yaml [--only target=highway] [--minutes 60] [--table FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic

from drivereplay._sections.base import Section
from drivereplay._sections.strict import StrictYamlError, load_yaml, validated
from drivereplay.errors import SpecError
from drivereplay.spec import Spec, parse_spec, with_values
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.data.clips import ClipSets
    from drivereplay.models.base import VideoModel

NONE = "-"
"""Level of factors that do not matter for a run: without replay it makes no difference where replay would come from."""


class Study(Section):
    """What is run."""

    experiment: dict[str, Any]
    """The experiment that all runs have in common."""
    factors: dict[str, dict[str, dict[str, Any]]]
    """Factor → level → keys of the experiment with their values; every combination of levels is run."""
    replay_factors: tuple[str, ...] = ()
    """Factors that only say where replay comes from; they are left out where `replay.frequency` is 0."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of every combination."""
    splits: tuple[str, ...] = ("regular", "rare-motion")
    """Splits of the held-out clips that every checkpoint is judged on."""
    equal_target: bool = True
    """Train each run on until it has seen as many target clips as one without replay, and judge it there as well."""
    most_steps: Annotated[float, pydantic.Field(ge=1)] = 2.0
    """Longest run for that, as a multiple of `training.steps`; longer ones are judged at equal steps only."""


@dataclass(frozen=True)
class Run:
    """One combination with one seed.

    Attributes:
        levels: Factor → level.
        steps: Step of the checkpoint with equal steps, and of that with equal target samples (None: there is none).
    """

    levels: dict[str, str]
    seed: int
    spec: Spec
    steps: tuple[int, int | None]

    @property
    def id(self) -> str:
        """Name of its directory: the same experiment gives the same one."""
        text = json.dumps([self.spec.model_dump(mode="json", exclude={"storage", "name"}), self.steps], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_study(path: Path) -> Study:
    """Read a study.

    Raises:
        SpecError: It cannot be read, or a value is wrong.
    """
    try:
        return validated(Study, load_yaml(path.read_bytes()))
    except (OSError, StrictYamlError, pydantic.ValidationError) as error:
        raise SpecError(f"{path} is no study: {error}.", "See experiments/README.md.") from error


def runs(study: Study, *, base: Path | None = None, only: Sequence[str] = ()) -> list[Run]:
    """All runs, seed by seed, so that a study that is cut short has whole replicates.

    Args:
        base: Directory from which relative paths count.
        only: `factor=level` pairs; of several levels of one factor any will do.

    Raises:
        SpecError: An unknown factor or level, or a combination that is no valid experiment.
    """
    wanted = _wanted(study, only)
    common = parse_spec(study.experiment, base=base)
    found: dict[str, Run] = {}
    for seed in study.seeds:
        for combination in itertools.product(*[[(f, level) for level in study.factors[f]] for f in study.factors]):
            levels = dict(combination)
            if any(levels[factor] not in allowed for factor, allowed in wanted.items()):
                continue
            values = {key: v for factor, level in combination for key, v in study.factors[factor][level].items()}
            spec = with_values(common, {**values, "seed": seed})
            if spec.replay.frequency == 0:
                shared = {
                    key: v
                    for factor, level in combination
                    if factor not in study.replay_factors
                    for key, v in study.factors[factor][level].items()
                }
                levels |= dict.fromkeys(study.replay_factors, NONE)
                spec = with_values(common, {**shared, "seed": seed})
            run = _with_steps(study, Run(levels, seed, spec, (spec.training.steps, None)))
            found.setdefault(run.id, run)
    return list(found.values())


def _wanted(study: Study, only: Sequence[str]) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for item in only:
        factor, _, level = item.partition("=")
        if level not in study.factors.get(factor, {}):
            known = "; ".join(f"{name}: {', '.join(levels)}" for name, levels in study.factors.items())
            raise SpecError(f"--only {item}: there is no such level.", f"The factors are {known}.")
        wanted.setdefault(factor, set()).add(level)
    return wanted


def _with_steps(study: Study, run: Run) -> Run:
    """The run's length: where that is asked for, enough to see the target samples of a run without replay."""
    steps, frequency = run.spec.training.steps, run.spec.replay.frequency
    longer = math.ceil(steps / (1 - frequency)) if frequency < 1 else None
    if not study.equal_target or longer is None or longer > study.most_steps * steps:
        longer = None
    total = longer or steps
    # checkpoints where it is judged and nowhere else: a run that is cut off begins anew
    lengths = {"training.steps": total, "evaluation.every": steps, "training.checkpoint_every": None}
    spec = with_values(run.spec, lengths)
    return Run(run.levels, run.seed, spec, (steps, longer))


def run_study(study: Study, todo: Sequence[Run], *, minutes: float = math.inf) -> Iterator[dict[str, Any]]:
    """Run what has not been run yet and give the rows of each run as it ends; see `rows_of`.

    Runs are given whole: when the time is up, the run under way is finished and the next one is not begun.
    """
    from drivereplay.session import ensure_ray

    ensure_ray()
    ends = time.monotonic() + 60 * minutes
    clips: dict[str, ClipSets] = {}
    for run in todo:
        root = study_storage(run.spec)
        for name, is_base in ((f"base-{_base_id(run)}", True), (run.id, False)):
            if root.exists(f"runs/{name}.json"):
                continue
            if time.monotonic() > ends:
                return
            rows = _judge_base(study, run, clips) if is_base else _run_one(study, run, root, clips)
            root.write(f"runs/{name}.json", json.dumps(rows).encode())
            yield from rows


def rows_of(study: Study, todo: Sequence[Run]) -> list[dict[str, Any]]:
    """All rows that are there: levels, seed, budget (`base`, `equal-steps`, `equal-target`), split, metric, figures."""
    names: dict[str, Storage] = {}
    for run in todo:
        root = study_storage(run.spec)
        names |= {f"runs/base-{_base_id(run)}.json": root, f"runs/{run.id}.json": root}
    found: list[dict[str, Any]] = []
    for name, root in names.items():
        if root.exists(name):
            found += json.loads(root.read(name))
    return found


def study_storage(spec: Spec) -> Storage:
    """Where a study keeps its runs."""
    return Storage.of(spec.storage).below(spec.name)


def _base_id(run: Run) -> str:
    """What the figures of the untrained base depend on."""
    spec = run.spec
    named = {name for wanted in spec.evaluation.sets.values() for name in wanted.domains}
    sources = [domain.source for domain in spec.replay.domains if domain.name in named]
    sections = (spec.clip, spec.model, spec.target, spec.evaluation, *sources)
    parts = [section.model_dump(mode="json") for section in sections]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _judge_base(study: Study, run: Run, clips: dict[str, ClipSets]) -> list[dict[str, Any]]:
    from drivereplay.models import load_model
    from drivereplay.training.trainer import choose_device

    # which factors tell bases apart is not known; those that change what is judged are among these
    levels = {factor: level for factor, level in run.levels.items() if _changes_base(study, factor)}
    model = load_model(run.spec, device=choose_device(run.spec))
    return _judged(study, run, model, clips, {"levels": levels, "seed": None, "budget": "base", "step": 0})


def _changes_base(study: Study, factor: str) -> bool:
    sections = ("clip", "model", "target", "evaluation")
    return any(key.split(".")[0] in sections for level in study.factors[factor].values() for key in level)


def _run_one(study: Study, run: Run, root: Storage, clips: dict[str, ClipSets]) -> list[dict[str, Any]]:
    from drivereplay.training.trainer import CheckpointEvent, train

    rows: list[dict[str, Any]] = []
    budgets = {step: name for step, name in zip(run.steps, ("equal-steps", "equal-target"), strict=True) if step}

    def judge(event: CheckpointEvent) -> None:
        head = {"levels": run.levels, "seed": run.seed, "step": event.step}
        names = [budgets[event.step]] if run.steps[0] != run.steps[1] else ["equal-steps", "equal-target"]
        judged = _judged(study, run, event.model, clips, head)
        rows.extend({**row, "budget": name} for name in names for row in judged)

    directory = root.below("runs", run.id)
    train(run.spec, directory, on_checkpoint=judge, told_at=frozenset(budgets), show_progress=False)
    # a study of a hundred runs would keep a hundred models; its ledgers and curves say how to make them again
    directory.delete("checkpoints")
    return rows


def _judged(
    study: Study, run: Run, model: VideoModel, clips: dict[str, ClipSets], head: dict[str, Any]
) -> list[dict[str, Any]]:
    from drivereplay.evaluation.judge import evaluate_model

    rows = []
    # an experiment that names its evaluation sets has said on what it is evaluated; `split` is then the set's name
    for split in study.splits if not run.spec.evaluation.sets else ("",):
        spec = with_values(run.spec, {"evaluation.split": split}) if split else run.spec
        cache = Storage.of(spec.storage).below(".shared", "cache")
        report = evaluate_model(model, _clips(spec, clips), spec, cache=cache)
        references = report.references if head.get("budget") == "base" else {}
        for row, metrics in {"": report.metrics, **references}.items():
            for name, estimate in metrics.items():
                plain, _, named = name.partition("@")
                rows.append(
                    {
                        **head,
                        "split": named or split,
                        "reference": row,
                        "metric": plain,
                        "mean": estimate.mean,
                        "low": estimate.low,
                        "high": estimate.high,
                        "clips": estimate.n,
                    }
                )
    return rows


def _clips(spec: Spec, clips: dict[str, ClipSets]) -> ClipSets:
    from drivereplay.data.clips import ClipSets, evaluation_sets
    from drivereplay.data.prepare import evaluation_indexes, prepare

    domains = spec.domains if spec.evaluation.sets else (spec.target,)
    parts = [domain.model_copy(update={"weight": 1.0}) for domain in domains]
    key = "".join(part.model_dump_json() for part in (*parts, spec.evaluation, spec.clip))
    if key not in clips:
        found = evaluation_sets(spec, evaluation_indexes(spec, prepare(spec)))
        clips[key] = ClipSets(list(found), found.sets)
    return clips[key]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    from drivereplay.search.study_table import differences, figure, markdown

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("study", type=Path)
    parser.add_argument(
        "--only", action="append", default=[], metavar="FACTOR=LEVEL", help="may be given several times"
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further run after this time")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    parser.add_argument("--table", type=Path, help="write tables of what has been run, as Markdown")
    parser.add_argument("--figure", type=Path, help="draw what has been run")
    parser.add_argument("--metric", action="append", default=[], help="of the figure; may be given several times")
    options = parser.parse_args(arguments)
    study = load_study(options.study)
    todo = runs(study, base=options.study.parent, only=options.only)
    if options.dry_run:
        done = sum(study_storage(run.spec).exists(f"runs/{run.id}.json") for run in todo)
        print(f"{len(todo)} runs, {done} done, {sum(run.spec.training.steps for run in todo)} steps in all")
        return
    if not options.table and not options.figure:
        for row in run_study(study, todo, minutes=options.minutes):
            if row["metric"] in study.experiment.get("search", {}).get("objectives", ()) and not row["reference"]:
                print(json.dumps(row), flush=True)
    rows = rows_of(study, todo)
    if options.table:
        options.table.write_text(differences(rows) + "\n" + markdown(rows), encoding="utf-8")
    if options.figure:
        figure(rows, options.figure, tuple(options.metric) or tuple(sorted({row["metric"] for row in rows})))


if __name__ == "__main__":
    from drivereplay.errors import DriveReplayError

    try:
        main()
    except DriveReplayError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
