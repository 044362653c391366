"""The recipe's file and the model it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import torch
import yaml

from drivereplay._sections.base import Section
from drivereplay._sections.video import ClipSpec
from drivereplay.errors import SpecError
from drivereplay.models.wan import Wan

HERE = Path(__file__).parent
SHARD = 64
"""Clips of a shard."""
LENGTH = 24
"""Frames of a clip: 3 s, in which 17 windows of 8 begin."""

Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Positive = Annotated[float, pydantic.Field(gt=0)]
Count = Annotated[int, pydantic.Field(ge=1)]


class WorldShare(Section):
    """What is seen of a world."""

    share: Share
    shards: Count


class Training(Section):
    """The optimisation; recipe.yaml says what each value is."""

    core_hours: dict[str, Positive]
    cooldown: Share
    batch_size: Count
    learning_rate: Positive
    warmup: Count
    optimizer: Literal["adamw", "muon"]
    muon_times: Positive
    shift: Annotated[float, pydantic.Field(ge=1)]
    pure_noise: Share
    change_weight: Share
    strides: Annotated[list[Count], pydantic.Field(min_length=1)]
    bf16: bool


class Recipe(Section):
    """Everything that the weights depend on."""

    autoencoder: str
    seed: int
    clip: ClipSpec
    worlds: dict[str, WorldShare]
    sizes: dict[str, dict[str, int]]
    training: Training

    @property
    def base(self) -> Path:
        """The directory whose autoencoder, scheduler and layout are taken over."""
        return (HERE / self.autoencoder).resolve()


def load_recipe(changes: list[str] | None = None) -> Recipe:
    """recipe.yaml with `key=value` changes of its training section.

    Raises:
        SpecError: A key or a value is wrong.
    """
    path = HERE / "recipe.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    for change in changes or []:
        key, _, value = change.partition("=")
        data["training"][key] = yaml.safe_load(value)
    try:
        return Recipe.model_validate(data)
    except pydantic.ValidationError as error:
        raise SpecError(f"{path}: {error}.", "Correct the key or the value.") from error


def new_model(recipe: Recipe, size: str) -> Wan:
    """A model of a size of the recipe: the base's autoencoder beside a denoiser with diffusers' own initial weights.

    Raises:
        SpecError: There is no such size.
    """
    from diffusers import WanTransformer3DModel

    if size not in recipe.sizes:
        raise SpecError(f"There is no size '{size}'.", f"The sizes are {', '.join(recipe.sizes)}.")
    model = Wan.open(recipe.base, context=recipe.clip.context)
    options: dict[str, Any] = {
        "patch_size": (2, 2, 2), "attention_head_dim": 32, "in_channels": model.codec.channels,
        "out_channels": model.codec.channels, "text_dim": 32, "freq_dim": 64, "rope_max_seq_len": 64,
    }  # fmt: skip
    torch.manual_seed(recipe.seed)
    model.module = WanTransformer3DModel(**options, **recipe.sizes[size])
    model.config = model.module.config
    return model
