"""Flow matching, as the families that use it share it (Wan, LTX).

x_t = (1 − σ)·x_0 + σ·ε with velocity v = dx/dσ = ε − x_0 (rectified flow, arXiv 2209.03003).
"""

from __future__ import annotations

from torch import Tensor


def shifted(uniforms: Tensor, shift: float) -> Tensor:
    """σ = s·u / (1 + (s − 1)·u): moves noise levels towards 1 for s > 1 (arXiv 2403.03206, eq. 23).

    Args:
        uniforms: (B,) in [0, 1).
        shift: s ≥ 1; larger for larger pictures, whose neighbouring pixels share more information.
    """
    return shift * uniforms / (1.0 + (shift - 1.0) * uniforms)


def velocity_loss(predicted: Tensor, latents: Tensor, noise: Tensor) -> Tensor:
    """Mean of (v_θ − (ε − x_0))² over all but the first axis, (B,) float32."""
    return (predicted.float() - (noise.float() - latents.float())).square().flatten(1).mean(dim=1)
