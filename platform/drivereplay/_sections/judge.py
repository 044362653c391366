"""Sections for what is measured and what is searched: `evaluation`, `search`, `resources`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from drivereplay._sections.base import Section
from drivereplay._sections.video import DomainSpec

Positive = Annotated[int, Field(ge=1)]


class SetSpec(Section):
    """One evaluation set: held-out clips of one domain or several. Its metrics are called `metric@set`."""

    domains: tuple[str, ...] = ()
    """Names of domains: the target, replay domains, or those of `evaluation.domains`; empty means the target."""
    split: Literal["all", "regular", "rare-motion"] = "all"
    """Which part of their held-out clips; all clips of a domain that has no such parts, where another one has them."""
    clips: Positive | None = None
    """Clips in all, spread evenly over the domains; null means `evaluation.clips`."""


SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$")]


class EvaluationSpec(Section):
    """How a checkpoint is evaluated; most of it goes into the protocol."""

    every: Positive | None = None
    """Steps between evaluations; null means only at the end of a run."""
    apart: bool = False
    """Judge checkpoints in an actor of their own while training goes on; it reserves what one worker does.

    The scheduler then stops a trial a checkpoint later, and a cluster without room for it judges as without."""
    clips: Positive = 64
    """Held-out clips of each evaluation set that does not say its own number."""
    sets: dict[SetName, SetSpec] = {}
    """Evaluation sets by name; none means one without a name: `clips` clips of the target's `split`.

    Every checkpoint is evaluated on each. Metrics are then called `agents.ade@NAME`, in objectives and constraints too;
    a name without a set in `metrics` means the metric on all sets."""
    domains: tuple[DomainSpec, ...] = ()
    """Further domains that sets may name; nothing of them is trained on."""
    samples: Positive = 1
    """k: generated futures per clip; tables show the mean and the best of k."""
    denoising_steps: Positive = 8
    """Steps of the sampler."""
    guidance: Annotated[float, Field(ge=1)] = 1.0
    """Classifier-free guidance; 1 is none. More needs a base, or a run, with `training.condition_dropout`."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """In which the denoiser computes when futures are generated; bf16 is several times as fast on GPUs."""
    batch_size: Positive = 16
    """Clips generated at a time."""
    metrics: tuple[str, ...] = ()
    """Metric names; empty means all that need no installed weights (`drivereplay weights install`)."""
    split: Literal["all", "regular", "rare-motion"] = "all"
    """Which part of the target's held-out clips, where no `sets` are named."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Share of the videos (by recording) held out for evaluation."""
    pseudo: Literal["motion", "detector", "none"] = "motion"
    """How objects are found in clips that nobody annotated: regions that move, a detector (needs weights), or not."""
    seed: int = 0
    """Seed of clip choice and sampling noise; the same for all candidates of a protocol."""
    resamples: Annotated[int, Field(ge=100)] = 1000
    """Bootstrap resamples for the 95 % intervals."""
    videos: Annotated[int, Field(ge=0)] = 4
    """Generated clips kept as mp4 and shown beside the real ones."""

    @model_validator(mode="after")
    def _split_is_a_set_s(self) -> EvaluationSpec:
        if self.sets and self.split != "all":
            raise ValueError("`split` is for an evaluation without `sets`: give each set its own")
        return self

    @property
    def named_sets(self) -> dict[str, SetSpec]:
        """The sets by name; one without a name where none are named."""
        return dict(self.sets) or {"": SetSpec(split=self.split)}


class SchedulerSpec(Section):
    """Multi-objective asynchronous successive halving (MO-ASHA, arXiv 2106.12639)."""

    grace: Positive = 1
    """Evaluations that every trial may make before it can be stopped."""
    reduction: Annotated[float, Field(gt=1)] | None = None
    """η: one in η trials goes on at each rung; null follows the rung's cost and how well it has predicted the end.

    A rung that is not seen to predict the end stops nothing."""


class RacingSpec(Section):
    """More seeds for contenders near the front, until their rank is settled or the budget is spent."""

    seeds: Positive = 3
    """Most seeds that one setting may get."""
    budget: Positive = 8
    """Most extra trials in total."""


class SearchSpec(Section):
    """What is searched, for what, and how."""

    objectives: tuple[str, ...] = ("fidelity.psnr", "ego.motion_error")
    """Two or three metric names; each is minimised or maximised as the metric declares.

    `cost.device_hours`, `cost.total_s`, `cost.train_s` and `cost.evaluate_s` may be among them, and in constraints."""
    space: dict[str, Any] = {}
    """Key of this file → {uniform: [a, b]}, {loguniform: [a, b]}, {int: [a, b]}, {choice: [...]} or `simplex`.

    With `when: {key: value}` beside it the value is searched only where the other key has that value."""
    sampler: Literal["auto", "tpe", "gp", "nsga2", "nsga3", "random", "qmc", "qlognehvi", "mixture"] = "auto"
    """`auto` searches a mix with `mixture`, this package's own, and anything else with Optuna's TPE.

    The others are Optuna's GP, NSGA-II and -III, random, Sobol and BoTorch; docs/search.md compares them."""
    trials: Annotated[int, Field(ge=0)] = 12
    """Searched trials, anchors not counted."""
    patience: Positive | None = None
    """Make no further suggestions when the hypervolume has not grown beyond its interval for so many trials."""
    concurrent: Positive | None = None
    """Trials at a time; null means as many as fit the cluster."""
    anchors: tuple[Literal["base", "naive", "replay-only", "equal"], ...] = ("base", "naive", "replay-only", "equal")
    """Trials that always run: the base untrained, ρ=0, ρ=1, and equal weights."""
    scheduler: SchedulerSpec | None = None
    """Early stopping; null means every trial runs to its end."""
    proposals: Annotated[int, Field(ge=0)] = 0
    """Runs after the trials that the fitted mixing laws propose, to verify their prediction (`predictions.json`)."""
    racing: RacingSpec | None = None
    """Seeds as replicates; null means one seed per setting."""
    reference: tuple[float, ...] | None = None
    """Reference point of the hypervolume, in the objectives' units.

    Null takes the worse of base and naive in each objective, moved out by a tenth of their span."""
    constraints: dict[str, float] = {}
    """`gpu_hours`: most device-hours in total; METRIC: largest worsening against the base that is accepted."""
    warm_start: str | None = None
    """An earlier sweep's directory of the same protocol whose candidates the sampler starts from."""
    simplex_concentration: Annotated[float, Field(gt=0)] = 1.0
    """Concentration of the Dirichlet prior of `simplex`; 1 is uniform."""

    @field_validator("objectives")
    @classmethod
    def _two_or_three(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if not 2 <= len(objectives) <= 3:
            raise ValueError(f"a front needs two or three objectives, got {len(objectives)}")
        if len(set(objectives)) != len(objectives):
            raise ValueError(f"objectives must differ, got {list(objectives)}")
        return objectives

    @model_validator(mode="after")
    def _patience_has_a_hypervolume(self) -> SearchSpec:
        if self.patience is not None and self.reference is None and not {"base", "naive"} <= set(self.anchors):
            raise ValueError("`patience` looks at the hypervolume: give `reference`, or the anchors base and naive")
        return self

    @model_validator(mode="after")
    def _reference_fits(self) -> SearchSpec:
        if self.reference is not None and len(self.reference) != len(self.objectives):
            raise ValueError(f"`reference` has {len(self.reference)} values for {len(self.objectives)} objectives")
        return self


class ResourcesSpec(Section):
    """What is asked of the Ray cluster."""

    cpus_per_worker: Annotated[float, Field(gt=0)] = 1.0
    """CPUs reserved for each training worker or single-device trial."""
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0.0
    """GPUs (whole ones, or a fraction of one) for each training worker or single-device trial."""
    accelerator_type: str | None = None
    """Ray's name of a GPU type, to choose among unlike GPUs."""
    decode_cpus: Annotated[float, Field(ge=0)] = 0.25
    """CPUs reserved for each decoding task; small, so that trials and their decoding share few cores."""
    quota: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Most of the cluster that one sweep may take, as a share."""

    @field_validator("gpus_per_worker")
    @classmethod
    def _whole_or_part_of_one(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(f"GPUs are shared only below one: {gpus:g} is neither a fraction of one nor whole")
        return gpus
