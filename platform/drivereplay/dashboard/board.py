"""What a sweep shows in TensorBoard: the growing front, each trial's curves, every candidate on the Pareto tab."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drivereplay import telemetry
from drivereplay.dashboard.curves import LAYOUT, add_curve
from drivereplay.dashboard.events import SWEEP, TRIALS, EventFiles, add_hparams, add_hparams_columns
from drivereplay.dashboard.films import add_films
from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import feasible
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.evaluation.report import Report
    from drivereplay.search.front import Front

WEIGHTS = "replay.weights"
MOST_FILM_BYTES = 512_000_000
"""Beyond this total only candidates on the front, and anchors, bring their videos: TensorBoard holds them in memory."""
SEARCHED = ("trial", "replicate", "proposal")


class SweepBoard:
    """A sweep's listener that writes event files below `<run>/tensorboard/`.

    Runs: `sweep` holds the Pareto tab's candidates, front figures, hypervolume, table and videos; `trials/<id>` holds
    the trial's curves, figures of merit and HParams entry. A resumed sweep goes on in the same directories.
    """

    def started(self, spec: Spec, directory: Storage) -> None:
        """A sweep begins or is resumed."""
        self._spec = spec
        self._directory = directory
        self._files = EventFiles(directory)
        self._curves: dict[str, int] = {}
        self._filmed: set[str] = set()
        self._animated: set[str] = set()
        self._real_clips: set[str] = set()
        self._on_front: tuple[str, ...] = ()
        self._infeasible: set[str] = set()
        self._evaluated = 0
        self._setup: dict[str, Any] = {}
        self._statistics: dict[str, Any] = {}
        self._columns = False
        with self._files.run(SWEEP, keep=True) as writer:
            writer.add_custom_scalars(LAYOUT)
            writer.add_text("experiment", f"```\n{spec.to_yaml()}\n```", 0)

    def candidate_evaluated(self, candidate: Candidate, report: Report | None) -> None:
        """A checkpoint has been evaluated: its figures and the curves so far."""
        self._evaluated += 1
        with self._files.run(SWEEP, keep=True) as writer:
            self._write_setup(writer, self._evaluated, report=report)
            self._write_candidate(writer, candidate)
        self._write_trial(candidate, figures=True)

    def trial_ended(self, candidates: Sequence[Candidate], front: Front) -> None:
        """A trial has ended: the final status of its candidates, and the front where it has changed."""
        settled = [*candidates, *self._judged_anew(front, candidates)]
        step = len(front.candidates)
        self._evaluated = max(self._evaluated, step)
        with self._files.run(SWEEP, keep=True) as writer:
            self._write_setup(writer, step, front=front)
            for one in settled:
                self._write_candidate(writer, one)
            self._write_front(writer, front, step)
            # an anchor is looked at wherever it lies
            self._write_films(writer, [*front.front, *(c for c in settled if c.kind not in SEARCHED)])
            if len(self._filmed) * self._film_bytes() < MOST_FILM_BYTES:
                self._write_films(writer, settled, animate=False)
        self._write_trial(candidates[-1], figures=False)
        self._export(front)

    def ended(self, front: Front) -> None:
        """The sweep is over."""
        with self._files.run(SWEEP, keep=True) as writer:
            self._on_front = ()
            self._write_front(writer, front, len(front.candidates))
            self._write_films(writer, front.front)
        self._files.close()

    def _write_setup(self, writer: Any, step: int, *, front: Front | None = None, report: Report | None = None) -> None:
        from tensorboard_pareto import add_setup

        before = self._setup
        directions = dict(before.get("directions", {}))
        setup: dict[str, Any] = {
            "objectives": list(self._spec.search.objectives),
            "units": before.get("units", {}),
            "reference": before.get("reference", {}),
            "protocol": before.get("protocol"),
            "pool_seeds": True,
            "mix": [f"{WEIGHTS}.{domain.name}" for domain in self._spec.replay.domains],
            "title": self._spec.name,
            "statistics": self._statistics,
        }
        if report is not None:
            directions |= report.directions
            setup["units"] = report.units
            setup["protocol"] = {"hash": report.protocol.hash, "fields": report.protocol.fields}
        if front is not None:
            directions |= dict(zip(front.objectives, front.directions, strict=True))
            setup["reference"] = dict(zip(front.objectives, front.reference, strict=bool(front.reference)))
        setup["directions"] = directions
        # the tab cannot draw objectives whose direction nobody has said yet
        if setup != before and set(self._spec.search.objectives) <= directions.keys():
            self._setup = setup
            add_setup(writer, **setup, step=step)

    def _judged_anew(self, front: Front, told: Sequence[Candidate]) -> list[Candidate]:
        """Candidates besides those told of that keep, or break, the search's constraints only since now.

        Limits count from the base, which may be evaluated after others.
        """
        if not front.limits:
            return []
        finished = [c for c in front.candidates if c.status == "finished"]
        allowed = {c.name for c in feasible(finished, front.limits)}
        before, self._infeasible = self._infeasible, {c.name for c in finished} - allowed
        changed = (before ^ self._infeasible) - {c.name for c in told}
        return [c for c in finished if c.name in changed]

    def _write_candidate(self, writer: Any, candidate: Candidate) -> None:
        from tensorboard_pareto import add_candidate

        add_candidate(
            writer,
            flat_parameters(candidate.parameters, self._spec),
            dict(candidate.metrics),
            name=candidate.name,
            step=max(candidate.step, 0),
            seed=candidate.seed,
            kind=candidate.kind,
            status="infeasible" if candidate.name in self._infeasible else candidate.status,
            trial=candidate.trial,
            setting="+".join(filter(None, (candidate.setting or candidate.trial, candidate.variant))),
            cost=dict(candidate.cost),
            protocol=candidate.protocol,
            settings=settings(candidate, self._spec),
            curves=[f"../{TRIALS}/{candidate.trial}"],
        )

    def _write_front(self, writer: Any, front: Front, step: int) -> None:
        from drivereplay.dashboard.figures import front_pixels

        if front.hypervolume is not None:
            writer.add_scalar("front/hypervolume", front.hypervolume, step)
        writer.add_scalar("front/size", len(front.front), step)
        for status, count in front.counts.items():
            writer.add_scalar(f"candidates/{status}", count, step)
        for place, (name, direction) in enumerate(zip(front.objectives, front.directions, strict=True)):
            if len(front.front):
                best = front.points[:, place].min() if direction == "min" else front.points[:, place].max()
                writer.add_scalar(f"best/{name}", float(best), step)
        names = tuple(c.name for c in front.front)
        if names == self._on_front:
            return
        self._on_front = names
        self._statistics = front.certainty.to_json(names)
        self._write_setup(writer, step, front=front)
        pixels = front_pixels(front, title=f"{self._spec.name}, {step} candidates")
        writer.add_image("front", pixels, step, dataformats="HWC")
        writer.add_text("front", front_table(front, self._spec), step)

    def _film_bytes(self) -> int:
        """Size of one candidate's videos, before compression."""
        clip = self._spec.clip
        return clip.frames * clip.height * clip.width * 3 * self._spec.evaluation.videos

    def _write_films(self, writer: Any, candidates: Iterable[Candidate], *, animate: bool = True) -> None:
        done = self._animated if animate else self._filmed
        for candidate in candidates:
            if candidate.name in done or candidate.status != "finished":
                continue
            self._filmed.add(candidate.name)
            if animate:
                self._animated.add(candidate.name)
            trial = self._directory.below(TRIALS, candidate.trial)
            self._real_clips |= add_films(writer, candidate, trial, self._spec, known=self._real_clips, animate=animate)

    def _write_trial(self, candidate: Candidate, *, figures: bool) -> None:
        """Curves since the last time, and the figures of merit of a new checkpoint or the row of an ended trial."""
        parameters = flat_parameters(candidate.parameters, self._spec)
        if not self._columns and not figures:
            with self._files.run(SWEEP, keep=True) as writer:
                add_hparams_columns(writer, self._searched(), self._objective_directions())
            self._columns = True
        with self._files.run(f"{TRIALS}/{candidate.trial}") as writer:
            if candidate.trial not in self._curves:
                # TensorBoard may be started on this run alone; of equal layouts it shows one
                writer.add_custom_scalars(LAYOUT)
                writer.add_text("experiment", f"```\n{settings(candidate, self._spec)}\n```", 0)
            after = self._curves.get(candidate.trial, -1)
            trial = self._directory.below(TRIALS, candidate.trial)
            self._curves[candidate.trial] = add_curve(writer, trial, self._spec.training.batch_size, after=after)
            if figures:
                for name, estimate in candidate.metrics.items():
                    if math.isfinite(estimate.mean):
                        writer.add_scalar(name, estimate.mean, max(candidate.step, 0))
                return
            kind = {"kind": candidate.kind, "seed": candidate.seed}
            add_hparams(writer, {**parameters, **kind}, candidate.trial, failed=candidate.status == "failed")

    def _export(self, front: Front) -> None:
        """The sweep's figures for Prometheus."""
        run, counts = self._spec.name, front.counts
        for status in ("running", "finished", "stopped", "failed"):
            telemetry.gauge("drivereplay_sweep_candidates", counts.get(status, 0), run=run, status=status)
        telemetry.gauge("drivereplay_sweep_front_size", len(front.front), run=run)
        if front.hypervolume is not None:
            telemetry.gauge("drivereplay_sweep_hypervolume", front.hypervolume, run=run)
        # a trial's cost is that of its last checkpoint, which counts from the trial's start
        hours: dict[str, float] = {}
        for candidate in front.candidates:
            hours[candidate.trial] = max(hours.get(candidate.trial, 0.0), candidate.cost.get("device_hours", 0.0))
        total = sum(hours.values())
        telemetry.gauge("drivereplay_sweep_device_hours", total, run=run)
        finished = counts.get("finished", 0)
        if finished:
            telemetry.gauge("drivereplay_sweep_device_hours_per_candidate", total / finished, run=run)

    def _objective_directions(self) -> dict[str, str]:
        directions = self._setup.get("directions", {})
        return {name: directions[name] for name in self._spec.search.objectives if name in directions}

    def _searched(self) -> dict[str, bool]:
        """The HParams columns, and whether each is a number."""
        columns: dict[str, bool] = {}
        for key, form in self._spec.search.space.items():
            if key == WEIGHTS:
                columns |= dict.fromkeys([f"{WEIGHTS}.{domain.name}" for domain in self._spec.replay.domains], True)
                continue
            choices = form.get("choice", [0.0]) if isinstance(form, dict) else [0.0]
            columns[key] = all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)
        return {**columns, "kind": False, "seed": True}


def flat_parameters(parameters: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Parameters as single values: `replay.weights` becomes one share for each domain."""
    flat: dict[str, Any] = {}
    names = [domain.name for domain in spec.replay.domains]
    for key, value in parameters.items():
        if isinstance(value, list | tuple):
            labels: Sequence[Any] = names if key == WEIGHTS and len(value) == len(names) else range(len(value))
            flat |= {f"{key}.{label}": item for label, item in zip(labels, value, strict=True)}
        else:
            flat[key] = value
    return flat


def settings(candidate: Candidate, spec: Spec) -> str:
    """The candidate's own experiment file; empty where its parameters no longer fit the experiment."""
    try:
        return with_values(spec, {**candidate.parameters, "seed": candidate.seed}).to_yaml()
    except SpecError:
        return ""


def front_table(front: Front, spec: Spec) -> str:
    """The non-dominated candidates as a Markdown table."""
    rows = [(c, flat_parameters(c.parameters, spec)) for c in front.front]
    keys = list(dict.fromkeys(key for _, parameters in rows for key in parameters))
    lines = [
        _row(["candidate", "kind", *front.objectives, *keys]),
        _row(["---"] * (2 + len(front.objectives) + len(keys))),
    ]
    for candidate, parameters in rows:
        name = f"**{candidate.name}** (knee)" if candidate == front.knee else candidate.name
        figures = [str(candidate.metrics[objective]) for objective in front.objectives]
        lines.append(_row([name, candidate.kind, *figures, *(_short(parameters.get(key)) for key in keys)]))
    volume = front.certainty.hypervolume
    if volume is not None:
        point = ", ".join(f"{n} {value:.4g}" for n, value in zip(front.objectives, front.reference, strict=True))
        lines += [
            "",
            f"Hypervolume {volume} against the reference point {point} ({front.reference_rule}).",
        ]
    return "\n".join([*lines, "", front.recommendation])


def _row(cells: Sequence[str]) -> str:
    # a bar inside a name would open another cell
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
