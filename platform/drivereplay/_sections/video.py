"""Sections for clips and domains: `clip`, `target`, `replay`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from drivereplay._sections.base import Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class ClipSpec(Section):
    """What one training or evaluation sample is: a window of frames of one video."""

    frames: Annotated[int, Field(ge=2, le=1024)] = 8
    """Frames of a clip, context included."""
    context: Annotated[int, Field(ge=1)] = 2
    """Leading frames that are given to the model; the rest is to be predicted."""
    fps: Annotated[float, Field(gt=0, le=240)] = 8.0
    """Frames per second of a clip; every domain is resampled to it by timestamps."""
    height: Annotated[int, Field(ge=8, le=4320)] = 32
    """Height in pixels at which frames are decoded."""
    width: Annotated[int, Field(ge=8, le=7680)] = 48
    """Width in pixels at which frames are decoded."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """Clip frames between the starts of neighbouring windows; null means half a clip."""
    resize: Literal["crop", "stretch"] = "crop"
    """`crop` keeps the aspect ratio and cuts the centre; `stretch` fills the size."""

    @model_validator(mode="after")
    def _future_exists(self) -> ClipSpec:
        if self.context >= self.frames:
            raise ValueError(
                f"context ({self.context}) must be smaller than frames ({self.frames}): nothing is left to predict"
            )
        return self

    @property
    def window_stride(self) -> int:
        """Clip frames between the starts of neighbouring windows."""
        return self.stride or max(1, self.frames // 2)


class WorldSource(Section):
    """A simulated world, written once as real mp4 files with exact annotations, or rendered clip by clip."""

    kind: Literal["world"]
    world: str
    """A name that `drivereplay worlds --list` prints."""
    clips: Annotated[int, Field(ge=1)] | Literal["fresh"] = 128
    """Videos to write, training and evaluation together; `fresh` writes none and renders each clip when needed."""
    split: Literal["regular", "rare-motion", "both"] = "regular"
    """Dominant motion, rare motion (cut-ins, crossings, hard braking, turns), or half of each."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Length of each video; null means just long enough for two clips. Not for fresh clips, which are one clip long."""
    seed: int = 0
    """Seed of the world; the same seed writes the same bytes."""

    @model_validator(mode="after")
    def _fresh_clips_have_no_length(self) -> WorldSource:
        if self.clips == "fresh" and self.seconds is not None:
            raise ValueError(
                "`seconds` is the length of written videos; with `clips: fresh` a clip is `clip.frames` long"
            )
        return self


class VideosSource(Section):
    """A directory, a file or a glob of videos of any format that decord or PyAV reads."""

    kind: Literal["videos"]
    path: str
    """Directory (searched recursively), file or glob; relative paths count from the experiment file."""
    evaluation: str | None = None
    """Directory, file or glob of the videos held out; null means a share of `path` is held out by video."""


class DatasetSource(Section):
    """A published dataset in its own layout."""

    kind: Literal["kitti", "nuscenes", "bdd100k", "argoverse2", "comma2k19", "lerobot", "images"]
    path: str
    """Root directory of the dataset."""
    camera: str | None = None
    """Camera channel; null means the dataset's front camera."""
    fps: Annotated[float, Field(gt=0)] | None = None
    """Frames per second of image sequences that have no file of times; other datasets say it themselves."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of an image sequence's file of times; null takes the one that gives 1 to 240 frames per second."""
    bits: Annotated[int, Field(ge=9, le=16)] | None = None
    """Bits that 16-bit images use, such as 12; null means all, unless their values say otherwise."""
    evaluation: str | None = None
    """Root of a held-out part; null means a share of the recordings is held out."""


SourceSpec = Annotated[WorldSource | VideosSource | DatasetSource, Field(discriminator="kind")]


class DomainSpec(Section):
    """A named set of videos."""

    name: Name
    """Name used in plans, ledgers and tables."""
    source: SourceSpec
    """Where the videos come from."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Relative weight within the domain mix; weights are normalised. Ignored for the target."""
    split: Literal["all", "regular", "rare-motion"] = "all"
    """Which of its clips are trained on; that of an evaluation set says on which held-out ones it is evaluated."""
    prompt: str | None = None
    """Text condition for models that take one; null means `model.prompt`."""


class BufferSpec(Section):
    """Keeps only part of each replay domain, as replay buffers in continual learning do."""

    kind: Literal["all", "first", "reservoir", "k-centre"] = "all"
    """Which clips are kept: all, the first N, N at random (reservoir), or N that cover the domain (k-centre)."""
    clips: Annotated[int, Field(ge=1)] | None = None
    """N, the clips kept per domain; needed unless `kind` is `all`."""

    @model_validator(mode="after")
    def _has_size(self) -> BufferSpec:
        if (self.kind != "all") != (self.clips is not None):
            raise ValueError(
                "`clips` says how many are kept: give it with first, reservoir or k-centre, and not with all"
            )
        return self


class AdaptiveSpec(Section):
    """Moves the domain weights during the run by exponentiated gradient on excess loss (DoReMi, arXiv 2305.10429)."""

    every: Annotated[int, Field(ge=1)] = 50
    """Steps between updates; the plan is re-made only there, so that a resume gives the same run."""
    rate: Annotated[float, Field(gt=0)] = 1.0
    """Step size of the exponentiated gradient."""
    smoothing: Share = 0.1
    """Share of the uniform mix blended in after each update, so that no domain dies out."""


class ReplaySpec(Section):
    """How much replay, laid out how, and from where."""

    frequency: Share = 0.0
    """ρ: share of training samples drawn from replay domains; 0 is naive fine-tuning, 1 is replay only."""
    frequency_end: Share | None = None
    """With a value, ρ moves linearly from `frequency` to it over the run (a ramp)."""
    layout: Literal["interleaved", "periodic", "burst"] = "interleaved"
    """`interleaved`: every batch holds its share; `periodic`: every k-th step is all replay; `burst`: runs of them."""
    burst: Annotated[int, Field(ge=1)] = 1
    """Length in steps of an all-replay run, for layout `burst`."""
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Domain mix w in the order of `domains`; overrides their `weight`."""
    weights_end: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """With values, w moves linearly to them over the run."""
    domains: tuple[DomainSpec, ...] = ()
    """The replay domains."""
    buffer: BufferSpec = BufferSpec()
    """Keeps only part of each replay domain."""
    adaptive: AdaptiveSpec | None = None
    """With values, w is moved during the run by the domains' losses."""
    loss_weight: Annotated[float, Field(ge=0)] = 1.0
    """λ: weight of replay samples in the loss."""

    @field_validator("domains")
    @classmethod
    def _unique(cls, domains: tuple[DomainSpec, ...]) -> tuple[DomainSpec, ...]:
        names = [d.name for d in domains]
        if len(set(names)) != len(names):
            raise ValueError(f"domain names must differ, got {names}")
        return domains

    @model_validator(mode="after")
    def _mix_is_possible(self) -> ReplaySpec:
        for key in ("weights", "weights_end"):
            values = getattr(self, key)
            if values is not None and len(values) != len(self.domains):
                raise ValueError(f"`{key}` has {len(values)} values for {len(self.domains)} domains")
            if values is not None and sum(values) <= 0:
                raise ValueError(f"`{key}` are all zero: at least one domain needs a positive weight")
        if self.domains and self.weights is None and sum(d.weight for d in self.domains) <= 0:
            raise ValueError("the domains' weights are all zero: at least one needs a positive weight")
        if not self.domains and max(self.frequency, self.frequency_end or 0.0) > 0:
            raise ValueError("`frequency` is above 0 but `domains` is empty: name at least one replay domain")
        return self

    @property
    def mix(self) -> tuple[float, ...]:
        """w, normalised to sum 1; empty without domains."""
        raw = self.weights if self.weights is not None else tuple(d.weight for d in self.domains)
        total = sum(raw)
        return tuple(x / total for x in raw) if raw else ()

    @property
    def mix_end(self) -> tuple[float, ...]:
        """w at the end of the run, normalised to sum 1."""
        if self.weights_end is None:
            return self.mix
        total = sum(self.weights_end)
        return tuple(x / total for x in self.weights_end)
