"""Wan's time embedding where a clip has two timesteps: one for the given frames' tokens, one for all others.

diffusers embeds the timestep of every token by itself: with context frames as condition that is a third of a small
denoiser's matrix products, for two different rows a sample.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanTimeTextImageEmbedding
from torch import Tensor


class TwoTimesteps(WanTimeTextImageEmbedding):  # type: ignore[misc]
    """The same embedding for tokens whose timestep is either that of the sample's first token or that of its last."""

    def forward(
        self,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        timestep_seq_len: int | None = None,
    ) -> tuple[Any, ...]:
        """As diffusers' own: `timestep` is (B,), or (B · timestep_seq_len,) with a timestep for each token."""
        if timestep_seq_len is None:
            return tuple(super().forward(timestep, encoder_hidden_states, encoder_hidden_states_image))
        by_token = timestep.view(-1, timestep_seq_len)
        pairs = by_token[:, [0, -1]]
        time, projected, *others = super().forward(
            pairs.flatten(), encoder_hidden_states, encoder_hidden_states_image, timestep_seq_len=2
        )
        is_last = (by_token == pairs[:, 1:]).unsqueeze(-1)
        return (*(torch.where(is_last, rows[:, 1:], rows[:, :1]) for rows in (time, projected)), *others)


def embed_two_timesteps(module: Any) -> None:
    """Let a `WanTransformer3DModel` embed two timesteps a sample; parameters and configuration stay the same."""
    if type(module.condition_embedder) is WanTimeTextImageEmbedding:
        module.condition_embedder.__class__ = TwoTimesteps
