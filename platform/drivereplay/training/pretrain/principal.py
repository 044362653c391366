"""Starts an autoencoder at the best linear one, so that minutes of training are enough.

A small convolutional autoencoder with random weights needs hours on a CPU to reach what a principal component analysis
of p × p blocks gives at once. So the network is set to that analysis first, and trained from there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

SCALE = 0.2
"""Size of the signal beside the constant channels: small, so that the last RMS norm divides by almost a constant."""
LOG_VARIANCE = -7.0
"""Of the posterior at the start: noise of 3 % of a pixel's range."""


def start_at_principal_components(vae: Any, frames: Tensor) -> Tensor:
    """Set the weights of a one-level `AutoencoderKLWan` so that it projects each block on its principal components.

    Trunk channels are [u, −u, 1 …]: with x / ‖x‖ nearly x / const and silu(a) − silu(−a) = a, the norm and the
    activation before the last convolution leave u as it is. Residual branches start at zero.

    Args:
        vae: With `dim_mult` [1] and at least 2·z_dim + 1 channels in both halves.
        frames: (N, 3, 1, H, W) in [−1, 1].

    Returns:
        Deviations (z_dim,) of the components.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock, WanResidualBlock, patchify

    components = int(vae.config.z_dim)
    blocks = patchify(frames, vae.config.patch_size)[:, :, 0].permute(0, 2, 3, 1).flatten(0, 2)
    mean = blocks.mean(dim=0)
    variances, axes = torch.linalg.eigh(torch.cov((blocks - mean).T).double())
    basis = axes.flip(1)[:, :components].float()
    for module in vae.modules():
        last = {WanResidualBlock: "conv2", WanAttentionBlock: "proj"}.get(type(module))
        if last is not None:
            getattr(module, last).weight.data.zero_()
            getattr(module, last).bias.data.zero_()
    with torch.no_grad():
        _into_trunk(vae.encoder.conv_in, SCALE * basis.T, -SCALE * basis.T @ mean)
        _out_of_trunk(vae.encoder.conv_out, torch.eye(components) / SCALE, torch.zeros(components))
        vae.encoder.conv_out.bias[components:] = LOG_VARIANCE
        for convolution in (vae.quant_conv, vae.post_quant_conv):
            convolution.weight[:, :, 0, 0, 0] = torch.eye(len(convolution.weight))
            convolution.bias.zero_()
        _into_trunk(vae.decoder.conv_in, SCALE * torch.eye(components), torch.zeros(components))
        _out_of_trunk(vae.decoder.conv_out, basis / SCALE, mean)
    return variances.flip(0)[:components].sqrt().float()


def _into_trunk(convolution: Any, matrix: Tensor, bias: Tensor) -> None:
    """u = matrix·x + bias at the middle tap; the trunk becomes [u, −u, 1 …]."""
    count, middle = len(matrix), convolution.weight.shape[-1] // 2
    convolution.weight.zero_()
    convolution.bias.fill_(1.0)
    for sign, start in ((1.0, 0), (-1.0, count)):
        convolution.weight[start : start + count, :, -1, middle, middle] = sign * matrix
        convolution.bias[start : start + count] = sign * bias


def _out_of_trunk(convolution: Any, matrix: Tensor, bias: Tensor) -> None:
    """matrix·u + bias from silu(g·[u, −u, 1 …]), with g what the norm multiplies by."""
    rows, count = matrix.shape
    width, middle = convolution.weight.shape[1], convolution.weight.shape[-1] // 2
    gain = math.sqrt(width / (width - 2 * count))
    convolution.weight.zero_()
    convolution.bias.zero_()
    convolution.weight[:rows, :count, -1, middle, middle] = matrix / gain
    convolution.weight[:rows, count : 2 * count, -1, middle, middle] = -matrix / gain
    convolution.bias[:rows] = bias
