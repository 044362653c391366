"""Starts a denoiser at the best model that repeats the last given frame, so that a short training is about motion.

A small transformer with random weights spends most of its first thousands of steps on learning to copy. A Wan denoiser
can copy by construction. Let c be the latents of the last context frame at a token's place and x_t the noisy ones. With
the prior x_0 ~ N(c, τ²) the posterior mean of the velocity v = ε − x_0 given x_t = (1 − σ)·x_0 + σ·ε is linear:

    v = A(σ)·x_t − B(σ)·c,   A = (1 − G)/σ,   B = (1 − (1 − σ)·G)/σ,   G = τ²(1 − σ) / (τ²(1 − σ)² + σ²).

The first block's attention fetches c, its gate multiplies it by B/A, the last layer's scale multiplies by A; both
follow the timestep through the time embedding. All other branches start at zero and are learned.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LOUD = 8.0
"""Value of the constant channels: so loud that a layer norm divides by nearly the same number for every token."""
SPREAD = 0.85
"""τ: how far the truth is from the last frame, in latent units."""
LEAST = 0.25
"""A is not taken below it: at the faintest noise, where it would change its sign."""
SLOW = 0.02
"""Radians in a thousandth of the noise level above which a sinusoid of the time embedding is made faint."""
SCALE, GATE, CONTEXT = 0, 1, 2
"""Functions of the timestep that the time embedding is made to give."""


def start_at_last_frame(module: Any, *, seed: int) -> None:
    """Set the weights of a `WanTransformer3DModel` whose context tokens are clean and at timestep 0.

    Args:
        module: With in_channels = out_channels, patch (f, p, p) and at least out_channels·f·p² + 32 inner channels. A
            token's f frames are either all given or all to be made.
        seed: Of the time embedding's random features.
    """
    config = module.config
    width = config.num_attention_heads * config.attention_head_dim
    signal = config.out_channels * math.prod(config.patch_size)
    extra = width - signal
    if extra < 32 or extra % 2 or config.in_channels != config.out_channels:
        raise ValueError(
            f"{width} inner channels cannot hold {signal} of a token and 32 more, or channels in and out differ"
        )
    # a layer norm's deviation for signals of mean square 1; the constants' mean is zero
    deviation = math.sqrt((signal + extra * LOUD**2) / width)
    with torch.no_grad():
        _embed(module, signal)
        _follow_time(module, deviation, signal, seed)
        for block in module.blocks:
            block.scale_shift_table.zero_()
            for last in (block.attn1.to_out[0], block.attn2.to_out[0], block.ffn.net[2]):
                last.weight.zero_()
                last.bias.zero_()
            block.scale_shift_table[:, 5] = 1.0
            block.scale_shift_table[:, 2] = 1.0
        _fetch(module, deviation, _last_frame(module))
        _leave(module, signal)


def _embed(module: Any, signal: int) -> None:
    """Channel n of a token is value n of its patch; behind these stand the constants, one half positive."""
    embedding = module.patch_embedding
    embedding.weight.zero_()
    embedding.weight.view(len(embedding.weight), -1)[:signal] = torch.eye(signal)
    embedding.bias.zero_()
    embedding.bias[signal::2] = LOUD
    embedding.bias[signal + 1 :: 2] = -LOUD


def posterior(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """A and B of the module's docstring, A at least `LEAST`."""
    sigma = sigma.clamp_min(1e-4)
    gain = SPREAD**2 * (1 - sigma) / (SPREAD**2 * (1 - sigma) ** 2 + sigma**2)
    return ((1 - gain) / sigma).clamp_min(LEAST), (1 - (1 - sigma) * gain) / sigma


def _follow_time(module: Any, deviation: float, signal: int, seed: int) -> None:
    """Fit the time embedding: A·deviation − 1 on the signal's channels; behind them B/A and whether it is context."""
    embedder = module.condition_embedder
    sigma = torch.cat([torch.zeros(40), torch.linspace(0.02, 1.0, 500)])
    first, last = embedder.time_embedder.linear_1, embedder.time_embedder.linear_2
    generator = torch.Generator().manual_seed(seed)
    # fast sinusoids faint: the functions are smooth, and what is fitted must hold between the fitted levels
    half = first.weight.shape[1] // 2
    faint = (SLOW * 10000 ** (torch.arange(half) / half)).clamp_max(1.0).repeat(2)
    first.weight.copy_(torch.randn(first.weight.shape, generator=generator) * faint)
    first.bias.copy_(torch.randn(first.bias.shape, generator=generator))
    features = torch.nn.functional.silu(first(embedder.timesteps_proj(1000 * sigma)))
    a, b = posterior(sigma)
    is_context = (sigma == 0).float()
    wanted = torch.stack([a * deviation - 1, 8 + (b / a) * (1 - is_context), 8 + is_context], dim=1)
    columns = torch.cat([features, torch.ones(len(sigma), 1)], dim=1).double()
    ridge = 1e-4 * torch.eye(columns.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(columns.T @ columns + ridge, columns.T @ wanted.double()).float()
    last.weight.zero_()
    last.bias.zero_()
    # two of the constants get the same scale, by which the last layer takes the shift out again
    for channel in range(signal + 2):
        last.weight[channel], last.bias[channel] = solved[:-1, SCALE], solved[-1, SCALE]
    for function in (GATE, CONTEXT):
        channel = signal + 2 + function
        last.weight[channel], last.bias[channel] = solved[:-1, function], solved[-1, function]
    embedder.time_proj.weight.zero_()
    embedder.time_proj.bias.zero_()


def _last_frame(module: Any) -> Tensor:
    """(signal, signal): of a token's frames, the last one in the place of each."""
    frames, *sides = module.config.patch_size
    to_each = torch.zeros(frames, frames)
    to_each[:, -1] = 1.0
    channels, cells = torch.eye(module.config.out_channels), torch.eye(math.prod(sides))
    return torch.kron(channels, torch.kron(to_each, cells))


def _fetch(module: Any, deviation: float, last_frame: Tensor) -> None:
    """The first block's attention subtracts what stands at the same place in the last context frame."""
    signal = len(last_frame)
    block, heads = module.blocks[0], module.config.num_attention_heads
    size = module.config.attention_head_dim
    width = heads * size
    projection = module.condition_embedder.time_proj
    gate, context = signal + 2 + GATE, signal + 2 + CONTEXT
    # silu(8 + f) is 8 + f to a thousandth; channel `gate` of the norm's shift (0) and gate (2) rows
    block.scale_shift_table[:, 2] = 0.0
    projection.weight[2 * width : 3 * width, gate] = 1.0
    projection.bias[2 * width : 3 * width] = -8.0
    flag = width - 1
    projection.weight[flag, context] = 1.0
    projection.bias[flag] = -8.0
    rows = 2 * (size // 6)
    time = size - 2 * rows
    attention = block.attn1
    for name in ("to_q", "to_k", "to_v"):
        getattr(attention, name).weight.zero_()
        getattr(attention, name).bias.zero_()
    strengths = {"place": 9.2, "frame": 10.6, "context": 10.6}
    for start in range(0, width, size):
        query, key = attention.to_q.bias[start : start + size], attention.to_k.bias[start : start + size]
        for bias in (query, key):
            # two frequencies of row and column: the first alone comes round again after six tokens
            for pair in (0, 2):
                bias[time + pair] = bias[time + rows + pair] = strengths["place"]
        # the second temporal frequency tells neighbouring frames apart; turned so that the later of two wins
        key[2] = strengths["frame"]
        query[2], query[3] = strengths["frame"] * math.cos(0.6), strengths["frame"] * math.sin(0.6)
        query[time - 2] = strengths["context"]
        # the flag is ±1 around its mean: at the slowest frequency, which hardly turns
        attention.to_k.weight[start + time - 2, flag] = 2 * strengths["context"]
        key[time - 2] = -strengths["context"] * (1 + 2 * -LOUD / deviation)
    norm = math.sqrt(4 * strengths["place"] ** 2 + strengths["frame"] ** 2 + strengths["context"] ** 2)
    for scale in (attention.norm_q, attention.norm_k):
        scale.weight.fill_(norm / math.sqrt(size))
    attention.to_v.weight[:signal, :signal] = deviation * last_frame
    attention.to_out[0].weight[:signal, :signal] = -torch.eye(signal)


def _leave(module: Any, signal: int) -> None:
    """Velocity of a patch from the normed token: scale·LN(h) + shift, minus the shift that two constants hold."""
    module.scale_shift_table.zero_()
    out = module.proj_out
    channels = module.config.out_channels
    cells = signal // channels
    out.weight.zero_()
    out.bias.zero_()
    for cell in range(cells):
        for channel in range(channels):
            row = cell * channels + channel
            out.weight[row, channel * cells + cell] = 1.0
            out.weight[row, signal] = out.weight[row, signal + 1] = -0.5
