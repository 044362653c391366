"""Sections for what is trained and how: `model`, `adapter`, `training`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from drivereplay._sections.base import Section
from drivereplay._sections.own_family import remember, source_if_run

Positive = Annotated[int, Field(ge=1)]


class ModelSpec(Section):
    """Which video model."""

    family: str = "wan"
    """A diffusers family (wan, svd, ltx, cogvideox, cosmos, cosmos25), one of an installed package, or your own file's.

    `path/to/file.py:Class` is run where the experiment is; a checkpoint can never name a file."""
    base: str = "random"
    """A shipped name (`tiny`), a diffusers directory, a hub id, or `random`."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; null is its default branch. Name a commit to have the same base for ever."""
    expert: Literal["high", "low"] | None = None
    """Which of two denoisers is trained (Wan 2.2 A14B): that of high or of low noise; the other stays as it is."""
    config: dict[str, Any] = {}
    """With `base: random`: keyword arguments of the diffusers class that override the family's tiny configuration."""
    prompt: str = ""
    """Text condition of all domains that have none of their own."""

    def __getstate__(self) -> dict[Any, Any]:
        # workers on other machines do not have the file
        source = source_if_run(self.family)
        state = super().__getstate__()
        return state if source is None else {**state, "source": source}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        source = state.pop("source", None)
        super().__setstate__(state)
        if source is not None:
            remember(self.family, source)


class AdapterSpec(Section):
    """Which parameters are trained."""

    kind: Literal["full", "lora", "freeze"] = "full"
    """All parameters; low-rank adapters through peft; or all but the frozen ones."""
    rank: Positive = 16
    """LoRA rank."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """LoRA alpha; null means the rank."""
    targets: tuple[str, ...] = ()
    """LoRA target module names; empty means the family's attention projections."""
    freeze: tuple[str, ...] = ()
    """Patterns of parameter names to freeze; a family's layer groups by name: `temporal`, `spatial` (svd), or
    `early`, `late`, `attention`, `feed_forward` (where attention is over space and time at once)."""


class RetentionSpec(Section):
    """Baselines that keep the base's skill by other means than replay; each may be combined with replay."""

    l2sp: Annotated[float, Field(ge=0)] = 0.0
    """λ of L2-SP: λ/2 ‖θ − θ0‖²."""
    ewc: Annotated[float, Field(ge=0)] = 0.0
    """λ of EWC: λ/2 Σ F_i (θ_i − θ0_i)², F from replay samples."""
    ewc_samples: Positive = 64
    """Replay samples used to estimate EWC's Fisher information."""
    distill: Annotated[float, Field(ge=0)] = 0.0
    """Weight of ‖f_θ(x_t, t) − f_θ0(x_t, t)‖²."""
    distill_on: Literal["target", "replay", "all"] = "all"
    """Samples on which distillation is computed."""
    wise_ft: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """WiSE-FT: extra candidates (1−a)·θ0 + a·θ, one for each a."""
    reptile_every: Positive | None = None
    """Reptile-style pull: every k steps θ ← θ0 + ε(θ − θ0); null means off."""
    reptile_epsilon: Annotated[float, Field(gt=0, le=1)] = 0.5
    """ε of the Reptile-style pull."""


class AugmentSpec(Section):
    """Augmentation, deterministic for each sample number."""

    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of a left-right flip (poses and boxes are flipped too)."""
    crop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest share of the width and height that is cut away at random."""
    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of brightness, contrast and saturation jitter."""


class NoiseLevelsSpec(Section):
    """On which noise levels the model is trained; null keeps what the family's own trainer does (docs/models.md)."""

    distribution: Literal["uniform", "logit-normal", "edm"] | None = None
    """Share of noise t uniform; its logit normal; EDM's ln σ normal (the same as logit-normal: σ = t/(1 − t))."""
    mean: float | None = None
    """Mean of logit t or ln σ."""
    std: Annotated[float, Field(gt=0)] | None = None
    """Standard deviation of logit t or ln σ."""
    shift: Annotated[float, Field(gt=0)] | dict[int, Annotated[float, Field(gt=0)]] | None = None
    """s in t ← s·t/(1 + (s − 1)·t). {1024: 2.6, 4096: 7.8}: by latent tokens, ln s linear between and beyond."""

    @model_validator(mode="after")
    def _belongs_together(self) -> NoiseLevelsSpec:
        if self.distribution == "uniform" and (self.mean is not None or self.std is not None):
            raise ValueError("a uniform distribution has no `mean` and `std`; set distribution to logit-normal or edm")
        if isinstance(self.shift, dict) and (not self.shift or min(self.shift) < 1):
            raise ValueError("`shift` by size maps numbers of latent tokens above 0 to shifts")
        return self


class TrainingSpec(Section):
    """One fine-tuning run."""

    steps: Annotated[int, Field(ge=0)] = 200
    """Optimiser steps."""
    batch_size: Positive = 16
    """Global batch: samples of one optimiser step over all workers and accumulation steps."""
    workers: Positive | tuple[Positive, Positive] = 1
    """Training workers; 1 runs in local mode without a worker group; [min, max] is elastic."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """With several workers: each holds the whole model, or (fsdp) its part of each parameter, for what does not fit."""
    accumulate: Positive = 1
    """Micro-batches a worker adds up for one optimiser step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1.0e-4
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decoupled weight decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's β1 and β2."""
    warmup: Annotated[int, Field(ge=0)] = 10
    """Steps of linear warm-up."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Learning rate after the warm-up."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest gradient norm; null means no clipping."""
    checkpoint_every: Positive | None = None
    """Steps between checkpoints; null means at every evaluation and at the end."""
    keep: Positive | None = None
    """Newest checkpoints kept per run; null keeps all, which a sweep needs to show the front's videos later."""
    keep_best: Annotated[int, Field(ge=0)] = 1
    """Best checkpoints kept besides those, in each of search.objectives."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` is autocast over fp32 master weights."""
    tf32: bool = False
    """On GPUs: matrix products of fp32 in TF32, three decimal digits and several times as fast."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass to save memory."""
    compile: bool = False
    """torch.compile the denoiser."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is then what is saved and evaluated."""
    max_failures: Annotated[int, Field(ge=0)] = 3
    """How often lost workers are replaced before a run ends; each time it goes on from its last checkpoint."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where there is one; inside Ray only one that `resources.gpus_per_worker` has asked for."""
    log_every: Positive = 10
    """Steps between log lines and TensorBoard points."""
    bad_clips: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of clips that may turn out bad (each replaced by the next one of its domain) before the run ends."""
    cache: bool = True
    """Decode (or encode) each window once and share it between trials."""
    noise_levels: NoiseLevelsSpec = NoiseLevelsSpec()
    """Noise levels that are trained on."""
    condition_noise: Annotated[float, Field(ge=0)] | tuple[float, Annotated[float, Field(ge=0)]] | None = None
    """σ of the noise added to the condition image (svd, cogvideox), or [mean, deviation] of a normal ln σ.

    Null is what the family's trainer adds. It belongs to the image: the same image always gets the same noise."""
    condition_dropout: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of samples trained on the empty prompt, which guidance needs; null is that of the family's trainer."""
    retention: RetentionSpec = RetentionSpec()
    """Retention baselines."""
    augment: AugmentSpec = AugmentSpec()
    """Augmentation."""

    @field_validator("workers")
    @classmethod
    def _ordered(cls, workers: int | tuple[int, int]) -> int | tuple[int, int]:
        if isinstance(workers, tuple) and workers[0] > workers[1]:
            raise ValueError(f"elastic workers are [min, max]; {list(workers)} has min above max")
        return workers

    @model_validator(mode="after")
    def _batch_divides(self) -> TrainingSpec:
        # an elastic group may have any size between
        for size in range(self.min_workers, self.max_workers + 1):
            if self.batch_size % (size * self.accumulate):
                raise ValueError(
                    f"batch_size ({self.batch_size}) must be a multiple of workers × accumulate"
                    f" ({size} × {self.accumulate})"
                )
        return self

    @model_validator(mode="after")
    def _shards(self) -> TrainingSpec:
        if self.strategy != "fsdp":
            return self
        kept = self.retention
        wrong = {
            "training.workers above 1 (min and max)": self.min_workers == 1,
            "training.compile: false": self.compile,
            "no retention.ewc (its F is of one sample at a time, but gradients are summed over workers)": kept.ewc,
            "no retention.distill (its teacher is a whole second model)": kept.distill,
        }
        needs = [what for what, missing in wrong.items() if missing]
        if needs:
            raise ValueError(f"strategy: fsdp needs {'; '.join(needs)}. Correct that, or set strategy to ddp")
        return self

    @property
    def max_workers(self) -> int:
        """The largest number of workers a run may have."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @property
    def min_workers(self) -> int:
        """The smallest number of workers a run may have."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]
