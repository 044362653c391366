"""Section for data that look wrong: `quality`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from drivereplay._sections.base import Section

Number = Annotated[float, Field(ge=0)]


class Limit(Section):
    """From which value on a check warns, and from which it stops a run."""

    warn: Number | None = None
    """A larger value is a warning; null never warns."""
    fail: Number | None = None
    """A larger value ends the run before anything is trained; null never does."""

    @model_validator(mode="after")
    def _warn_comes_first(self) -> Limit:
        if self.warn is not None and self.fail is not None and self.fail < self.warn:
            raise ValueError(f"fail ({self.fail:g}) must not be below warn ({self.warn:g})")
        return self


class QualitySpec(Section):
    """What is reported of each domain after ingest. Values are shares of 0 to 1 where nothing else is said."""

    set_aside: Limit = Limit(warn=0.0)
    """Share of the recordings that cannot be used."""
    damaged_frames: Limit = Limit(warn=0.0)
    """Share of the frames that were left out because damage may show in them."""
    repeated_frames: Limit = Limit(warn=0.02)
    """Share of the clips in which a frame shows the same image as the one before it although something moves, or has
    none of its own because the source has none at that moment."""
    gaps: Limit = Limit(warn=0.0)
    """Share of the recordings with times without frames in which a clip would stand still; no clip crosses them."""
    slow_source: Limit = Limit(warn=0.0)
    """Share of the recordings with fewer frames a second than a clip, so that clips repeat frames."""
    frame_rate: Limit = Limit(warn=0.0)
    """Share of the recordings with less than 1 or more than 240 frames a second."""
    open_gop: Limit = Limit(warn=0.0)
    """Share of the recordings with open groups of pictures, which only PyAV reads rightly."""
    empty_frames: Limit = Limit(warn=0.01)
    """Share of the frames that are black or of one colour."""
    unlabelled_recordings: Limit = Limit(warn=0.0)
    """Share of the recordings without annotations, where others of the domain have some."""
    unlabelled_frames: Limit = Limit()
    """Share of the frames of annotated recordings that have no annotation; data sets often label every few frames."""
    label_range: Limit = Limit(warn=0.0)
    """Share of the annotated recordings with annotations of frames before the first or after the last."""
    frame_count: Limit = Limit(warn=0.0)
    """Share of the recordings with another number of frames than the data set says."""
    duplicates: Limit = Limit(warn=0.0)
    """Share of the recordings that show what another one shows."""
    max_pixels: Limit = Limit(warn=8_847_360)
    """Pixels of the largest frame; the default warns above 4096×2160."""
