"""Wan autoencoders that see one frame at a time: run as plain 2-D networks, which is many times faster on a CPU.

diffusers walks an `AutoencoderKLWan` through a clip frame by frame, with three taps in time and a cache of frames.
Where every tap at an earlier frame is zero (the shipped base is trained like that) and time is not compressed, the same
numbers come from 2-D convolutions over all frames at once, but for the rounding of another order of summation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FRAMES = 64
"""Frames that go through the network at once, so that memory does not grow with the clip."""


def only_present_taps(vae: Any) -> bool:
    """Whether frame t of the latents depends on frame t of the video alone, and the other way round."""
    convolutions = causal_convolutions(vae)
    if int(vae.config.scale_factor_temporal) != 1 or any(c.weight.is_meta for c in convolutions):
        return False
    return all(not convolution.weight[:, :, :-1].any() for convolution in convolutions)


def causal_convolutions(vae: Any) -> list[Any]:
    """All causal convolutions of a Wan autoencoder."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    return [module for module in vae.modules() if isinstance(module, WanCausalConv3d)]


def drop_earlier_taps(vae: Any) -> None:
    """From now on only taps at the present frame are computed. Saved weights keep their shape."""
    for convolution in causal_convolutions(vae):
        # a class and not a closure, so that a copy of the network computes with its own weights
        convolution.__class__ = _present_tap()


def by_frame(coder: Callable[[Tensor], Tensor], video: Tensor) -> Tensor:
    """`coder` of each frame of (B, C, T, H, W) by itself, given and taken as clips of one frame."""
    count, _, frames = video.shape[:3]
    stills = video.transpose(1, 2).flatten(0, 1).unsqueeze(2)
    made = torch.cat([coder(part) for part in stills.split(_FRAMES)])
    return made.squeeze(2).unflatten(0, (count, frames)).transpose(1, 2)


@functools.cache
def _present_tap() -> type:
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

    class PresentTap(WanCausalConv3d):  # type: ignore[misc]
        """A causal convolution whose earlier taps are zero."""

        def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
            width, _, height, *_ = self._padding
            stills = x.transpose(1, 2).flatten(0, 1)
            made = F.conv2d(stills, self.weight[:, :, -1], self.bias, stride=self.stride[1:], padding=(height, width))
            return made.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)

    return PresentTap
