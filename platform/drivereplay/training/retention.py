"""Retention baselines: ways to keep the base's skill without replay, or together with it.

Each is a small class with its formula. They compose: a run may have any number of them, and replay too. θ are the
trained parameters, θ0 their values in the base.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from drivereplay.models import lora
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import RetentionSpec

Tensors = dict[str, Tensor]


class Retention:
    """One baseline; what it does not need it leaves as it is here."""

    def sample_terms(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions, domains: Tensor
    ) -> Tensor | None:
        """A term of each sample's loss (b,), or None.

        Args:
            predicted: What the denoiser in training returned.
            domains: (b,) numbers; 0 is the target.
        """
        return None

    def add_gradient(self) -> None:
        """Add the gradient of a penalty on the weights, after the backward pass and before clipping."""

    def stepped(self, done: int) -> None:
        """`done` optimiser steps are done."""


class L2SP(Retention):
    """L2-SP (arXiv 1802.01483): penalty λ/2·‖θ − θ0‖², gradient λ·(θ − θ0). No extra forward pass."""

    def __init__(self, strength: float, parameters: Mapping[str, nn.Parameter], base: Tensors) -> None:
        self.strength = strength
        self.parameters: list[Tensor] = list(parameters.values())
        self.base = [base[name] for name in parameters]

    @torch.no_grad()
    def add_gradient(self) -> None:
        pull = list(torch._foreach_sub(self.parameters, self.base))  # type: ignore[arg-type]
        torch._foreach_add_(_gradients(self.parameters), pull, alpha=self.strength)


class EWC(Retention):
    """Elastic weight consolidation (arXiv 1612.00796): penalty λ/2·Σ F_i·(θ_i − θ0_i)², gradient λ·F·(θ − θ0).

    F is the diagonal of the empirical Fisher information of replay samples in the base (`training.fisher`). No extra
    forward pass while training.
    """

    def __init__(self, strength: float, parameters: Mapping[str, nn.Parameter], base: Tensors, fisher: Tensors) -> None:
        self.strength = strength
        self.parameters: list[Tensor] = list(parameters.values())
        self.base = [base[name] for name in parameters]
        self.fisher = [fisher[name] for name in parameters]

    @torch.no_grad()
    def add_gradient(self) -> None:
        pull = list(torch._foreach_sub(self.parameters, self.base))  # type: ignore[arg-type]
        torch._foreach_mul_(pull, self.fisher)
        torch._foreach_add_(_gradients(self.parameters), pull, alpha=self.strength)


class Distillation(Retention):
    """Function-space distillation: λ·mean((f_θ(x_t, t) − f_θ0(x_t, t))²) with the sample's own noise and level.

    One extra forward pass of the base, without gradient, on the samples it is computed on.
    """

    def __init__(self, strength: float, model: VideoModel, on: Literal["target", "replay", "all"]) -> None:
        self.strength = strength
        self.on = on
        self.module = model.module
        self.teacher = model
        self.adapted = lora.injected(model.module)
        if not self.adapted:
            # everything but the denoiser is shared; with adapters the base is the same module without them
            self.teacher = copy.copy(model)
            self.teacher.module = copy.deepcopy(model.module).requires_grad_(False).eval()

    def sample_terms(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions, domains: Tensor
    ) -> Tensor | None:
        wanted = {"target": domains == 0, "replay": domains > 0, "all": domains >= 0}[self.on]
        rows = wanted.nonzero().flatten()
        terms = torch.zeros(len(domains), device=predicted.device)
        if not len(rows):
            return terms
        with torch.no_grad(), lora.disabled(self.module) if self.adapted else contextlib.nullcontext():
            part = conditions.rows(rows.tolist())
            known = self.teacher.predict(latents[rows], noise[rows], levels[rows], part)
        distance = (predicted[rows].float() - known.float()).square().flatten(1).mean(dim=1)
        return terms.index_put((rows,), self.strength * distance)


class ReptilePull(Retention):
    """Pull towards the base as Reptile's outer step does (arXiv 1803.02999): every k steps θ ← θ0 + ε·(θ − θ0)."""

    def __init__(self, every: int, epsilon: float, parameters: Mapping[str, nn.Parameter], base: Tensors) -> None:
        self.every = every
        self.epsilon = epsilon
        self.parameters: list[Tensor] = list(parameters.values())
        self.base = [base[name] for name in parameters]

    @torch.no_grad()
    def stepped(self, done: int) -> None:
        if done % self.every == 0:
            torch._foreach_lerp_(self.parameters, self.base, 1.0 - self.epsilon)


def retentions(
    spec: RetentionSpec, model: VideoModel, parameters: Mapping[str, nn.Parameter], base: Tensors, fisher: Tensors
) -> list[Retention]:
    """The baselines that an experiment asks for.

    Args:
        model: Still with the base's weights.
        base: θ0 by name.
        fisher: F by name; needed with `ewc`.
    """
    found: list[Retention] = []
    if spec.l2sp:
        found.append(L2SP(spec.l2sp, parameters, base))
    if spec.ewc:
        found.append(EWC(spec.ewc, parameters, base, fisher))
    if spec.distill:
        found.append(Distillation(spec.distill, model, spec.distill_on))
    if spec.reptile_every is not None:
        found.append(ReptilePull(spec.reptile_every, spec.reptile_epsilon, parameters, base))
    return found


def needs_base(spec: RetentionSpec) -> bool:
    """Whether θ0 has to be kept."""
    return bool(spec.l2sp or spec.ewc or spec.wise_ft or spec.reptile_every is not None)


@contextlib.contextmanager
def interpolated(parameters: Mapping[str, nn.Parameter], base: Tensors, share: float) -> Iterator[None]:
    """WiSE-FT (arXiv 2109.01903): the model holds (1 − a)·θ0 + a·θ inside, and θ again after."""
    own = [p.detach().clone() for p in parameters.values()]
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.lerp_(base[name], 1.0 - share)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters.values(), own, strict=True):
                parameter.copy_(value)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    """Gradients, zero where a parameter took no part in the step."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
