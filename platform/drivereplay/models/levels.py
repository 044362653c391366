"""Which noise levels a denoiser is trained on.

All distributions are of λ = ln(t / (1 − t)), the logit of the share of noise t in (1 − t)·x_0 + t·ε. It is also EDM's
ln σ, since σ = t / (1 − t), so that EDM's normal ln σ and the logit-normal t of flow matching are one distribution. The
shift s of flow matching (arXiv 2403.03206, eq. 23) adds ln s to λ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from drivereplay.models.flow import shifted

if TYPE_CHECKING:
    from drivereplay.spec import NoiseLevelsSpec


@dataclass(frozen=True)
class Levels:
    """A distribution of noise levels.

    Attributes:
        distribution: t uniform, or λ normal.
        mean: Mean of λ, if normal.
        std: Standard deviation of λ, if normal.
        shift: s, or s for numbers of latent tokens, between and beyond which ln s is linear in the number.
        bounds: Smallest and largest t; uniforms are mapped into what lies between.
    """

    distribution: Literal["uniform", "normal"] = "uniform"
    mean: float = 0.0
    std: float = 1.0
    shift: float | Mapping[int, float] = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)

    def changed(self, spec: NoiseLevelsSpec) -> Levels:
        """This distribution with what an experiment says of it; a distribution of another kind begins anew."""
        base = self
        if spec.distribution is not None:
            kind: Literal["uniform", "normal"] = "uniform" if spec.distribution == "uniform" else "normal"
            base = base if kind == base.distribution else Levels(kind, shift=base.shift, bounds=base.bounds)
        given = {name: getattr(spec, name) for name in ("mean", "std", "shift")}
        return replace(base, **{name: value for name, value in given.items() if value is not None})

    def shift_of(self, tokens: int) -> float:
        """s for a clip of `tokens` latent tokens."""
        if not isinstance(self.shift, Mapping):
            return float(self.shift)
        points = sorted((int(count), math.log(s)) for count, s in self.shift.items())
        if len(points) == 1:
            return math.exp(points[0][1])
        below = [n for n in range(len(points) - 1) if points[n][0] <= tokens] or [0]
        (first, low), (last, high) = points[below[-1]], points[below[-1] + 1]
        return math.exp(low + (high - low) * (tokens - first) / (last - first))

    def times(self, uniforms: Tensor, tokens: int) -> Tensor:
        """Shares of noise t (B,) float32 in [0, 1) from uniforms (B,) in [0, 1)."""
        if self.distribution == "uniform" and self.bounds == (0.0, 1.0):
            return shifted(uniforms, self.shift_of(tokens))
        return torch.sigmoid(self._logits(uniforms, tokens)).float()

    def sigmas(self, uniforms: Tensor, tokens: int) -> Tensor:
        """EDM's σ (B,) float32 from uniforms (B,) in [0, 1)."""
        return self._logits(uniforms, tokens).exp().float()

    def _logits(self, uniforms: Tensor, tokens: int) -> Tensor:
        shift = math.log(self.shift_of(tokens))
        low, high = (self._share_below(bound, shift) for bound in self.bounds)
        # the uniforms 0 and 1 would be λ = ∓∞
        u = (low + (high - low) * uniforms.double()).clamp(1e-6, 1 - 1e-6)
        if self.distribution == "uniform":
            return torch.logit(u) + shift
        return self.mean + self.std * torch.special.ndtri(u) + shift

    def _share_below(self, time: float, shift: float) -> float:
        """Share of the whole distribution that lies below t."""
        if time <= 0 or time >= 1:
            return float(time >= 1)
        logit = math.log(time / (1 - time)) - shift
        if self.distribution == "uniform":
            return 1 / (1 + math.exp(-logit))
        return 0.5 * (1 + math.erf((logit - self.mean) / (self.std * math.sqrt(2))))
