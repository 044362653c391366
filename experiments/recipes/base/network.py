"""The function of diffusers' `WanTransformer3DModel` at half of its cost, for training on clips with a clean context.

The stock forward pass embeds the timestep of each of a clip's 384 tokens, but there are two of them (0 for the context,
1000·σ for the rest). It attends to the text, which without a text encoder is one token and therefore a constant. And
its last block computes context tokens that nobody looks at. Here each of these is left out; parameters are the module's
own, and the result is the same (`tests/recipes/test_base_network.py`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def velocity(module: Any, latents: Tensor, levels: Tensor, context: int, *, bf16: bool = False) -> Tensor:
    """Predicted velocity of the frames after the context.

    Args:
        module: A `WanTransformer3DModel` with as many channels in as out and no image conditions.
        latents: (B, C, T, h, w); clean in the first `context` frames, noised to `levels` in the others.
        levels: (B,) noise levels σ in [0, 1].
        context: Number of context frames, a multiple of the temporal patch.
        bf16: Multiply matrices in bfloat16. Attention and sums stay float32: torch's attention for CPUs is slower in
            bfloat16 than in float32 (its backward pass by a third, torch 2.13).

    Returns:
        (B, C, T − context, h, w) float32.
    """
    config = module.config
    heads, size = config.num_attention_heads, config.attention_head_dim
    inner = heads * size
    batch, _, frames, height, width = latents.shape
    patch_t, patch_h, patch_w = config.patch_size
    steps, given = frames // patch_t, context // patch_t
    cells = (height // patch_h) * (width // patch_w)

    def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if bf16:
            return F.linear(x.bfloat16(), weight.bfloat16(), bias.bfloat16()).float()
        return F.linear(x, weight, bias)

    def by_step(rows: Tensor, start: int) -> Tensor:
        """(1 + B, inner), context first, to (B, steps − start, 1, inner) for the temporal patches from `start` on."""
        clean = rows[:1].expand(batch, -1).unsqueeze(1).expand(-1, max(0, given - start), -1)
        noisy = rows[1:].unsqueeze(1).expand(-1, steps - max(given, start), -1)
        return torch.cat([clean, noisy], dim=1).unsqueeze(2)

    def modulated(x: Tensor, shift: Tensor, scale: Tensor, start: int, eps: float) -> Tensor:
        normed = F.layer_norm(x, (inner,), eps=eps)
        return torch.addcmul(by_step(shift, start), normed, 1 + by_step(scale, start))

    embedder = module.condition_embedder
    timesteps = torch.cat([levels.new_zeros(1), 1000 * levels])
    time = embedder.time_embedder(embedder.timesteps_proj(timesteps))
    by_block = embedder.time_proj(F.silu(time)).view(1 + batch, 6, inner)
    text = embedder.text_embedder(time.new_zeros(1, config.text_dim))

    x = F.linear(patches(latents, config.patch_size), module.patch_embedding.weight.flatten(1))
    x = (x + module.patch_embedding.bias).view(batch, steps, cells, inner)
    # rotary pairs are neighbours in the module; with the rows of q and k in this order they are two halves of a head
    halves = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
    order = (torch.arange(heads)[:, None] * size + halves).flatten()
    cosines, sines = (table[0] for table in module.rope(latents))
    cosines, sines = cosines[..., 0::2], sines[..., 1::2]

    def rotated(x: Tensor, scale: Tensor, eps: float) -> Tensor:
        """(B, N, inner) → (B, heads, N, size), normed and turned by the place of the last N tokens."""
        first, second = (F.rms_norm(x, (inner,), eps=eps) * scale[order]).view(batch, -1, heads, 2, size // 2).unbind(3)
        c, s = cosines[-x.shape[1] :], sines[-x.shape[1] :]
        return torch.cat([first * c - second * s, first * s + second * c], dim=-1).transpose(1, 2)

    for block in module.blocks:
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = (block.scale_shift_table + by_block).unbind(1)
        own, other = block.attn1, block.attn2
        # what the last block makes of the context is not looked at
        start = given if block is module.blocks[-1] else 0
        normed = modulated(x, shift, scale, 0, block.norm1.eps).flatten(1, 2)
        weight = torch.cat([own.to_q.weight[order], own.to_k.weight[order], own.to_v.weight])
        bias = torch.cat([own.to_q.bias[order], own.to_k.bias[order], own.to_v.bias])
        q, k, v = linear(normed, weight, bias).split(inner, dim=-1)
        q = rotated(q[:, start * cells :], own.norm_q.weight, own.norm_q.eps)
        k = rotated(k, own.norm_k.weight, own.norm_k.eps)
        v = v.view(batch, -1, heads, size).transpose(1, 2)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        attended = linear(attended, own.to_out[0].weight, own.to_out[0].bias).view(batch, -1, cells, inner)
        constant = other.to_out[0](other.to_v(text))
        x = torch.addcmul(x[:, start:], attended, by_step(gate, start)) + constant
        normed = modulated(x, ffn_shift, ffn_scale, start, block.norm3.eps)
        first, second = block.ffn.net[0].proj, block.ffn.net[2]
        hidden = F.gelu(linear(normed, first.weight, first.bias), approximate="tanh")
        x = torch.addcmul(x, linear(hidden, second.weight, second.bias), by_step(ffn_gate, start))
    shift, scale = (module.scale_shift_table + time.unsqueeze(1)).unbind(1)
    out = module.proj_out(modulated(x, shift, scale, given, module.norm_out.eps))
    out = out.view(batch, steps - given, height // patch_h, width // patch_w, patch_t, patch_h, patch_w, -1)
    return out.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(batch, -1, frames - context, height, width)


def patches(latents: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """(B, C, T, h, w) → (B, tokens, C·patch), a token's values in the order of a convolution's weight."""
    batch, channels, frames, height, width = latents.shape
    t, h, w = patch
    cells = latents.view(batch, channels, frames // t, t, height // h, h, width // w, w)
    return cells.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, -1, channels * t * h * w)
