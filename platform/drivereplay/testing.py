"""Standing checks of a model family, ours and a user's: does it train what its stock pipeline generates with?

A wrong family trains without complaint and wastes thousands of GPU-hours, because nothing in its own code can show it.
Each check therefore takes its truth from the *stock* pipeline. A family is described by a `FamilyCase`, which repeats
what matters in words of its own: how a user calls the pipeline, and what a perfect denoiser would answer.

    case = MyCase()
    directory = case.prepare(tmp_path)
    assert oracle(case, directory).error < 1e-5
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from drivereplay.models import lora
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import Spec

Inputs = dict[str, Any]
_IGNORED = ("return_dict", "attention_kwargs", "joint_attention_kwargs")


class FamilyCase(ABC):
    """One way of using a family, on a tiny base with random weights.

    Attributes:
        name: Shown in tables.
        prompt: Text of the clips; empty for families without text.
        given_latents: Latent frames that are clean in training and generation, which the oracle says nothing about.
        ignored: Inputs of the denoiser that only one side passes and that mean the same in another form.
        steps: Denoising steps with which the oracle is sampled.
    """

    name: str
    prompt: str = "a road"
    given_latents: int = 0
    ignored: frozenset[str] = frozenset()
    steps: int = 20

    @abstractmethod
    def prepare(self, directory: Path) -> Spec:
        """Write a tiny base below `directory`; the experiment that fine-tunes it."""

    def stock(self, directory: Path) -> Any:
        """The pipeline of the class that `model_index.json` names, as a user without this package reads it."""
        from diffusers import DiffusionPipeline

        pipeline = DiffusionPipeline.from_pretrained(directory)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @abstractmethod
    def call(
        self,
        pipeline: Any,
        images: Sequence[Image.Image],
        spec: Spec,
        steps: int,
        generator: torch.Generator,
        output: str,
    ) -> Tensor:
        """Call the pipeline as its documentation does, without guidance.

        Args:
            images: The context frames.
            output: `pt` for a video (T, 3, H, W) in [0, 1], `latent` for latents (1, C, t, h, w).
        """

    @abstractmethod
    def minimiser(self, latents: Tensor, pipeline: Any) -> Callable[[Inputs], Tensor]:
        """The denoiser's answer that minimises the training loss where `latents` (1, C, t, h, w) are all there is."""

    @abstractmethod
    def noise_and_level(self, inputs: Inputs, latents: Tensor, pipeline: Any, step: int) -> tuple[Tensor, Tensor]:
        """Noise (1, C, t, h, w) and level (1,) of `VideoModel.predict` that belong to a call of the denoiser."""

    def denoisers(self, pipeline: Any, part: str) -> list[Any]:
        """The pipeline's denoisers, the trained one first; `part` is its name."""
        return [getattr(pipeline, part)]

    def load_lora(self, pipeline: Any, directory: Path) -> bool:
        """Load adapters by the pipeline's own method; False if it has none."""
        if not hasattr(pipeline, "load_lora_weights"):
            return False
        pipeline.load_lora_weights(directory)
        return True

    def compared(self, inputs: Inputs) -> Inputs:
        """What of a call's inputs is compared; all that has no noise of its own."""
        return inputs


def clip_of(spec: Spec, seed: int = 0) -> Tensor:
    """A smooth random clip (1, T, H, W, 3) uint8."""
    clip = spec.clip
    small = torch.rand(1, 3, 3, 3, 4, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(small, (clip.frames, clip.height, clip.width), mode="trilinear")
    return (large * 255).round().to(torch.uint8).movedim(1, -1).contiguous()


# -------------------------------------------------------------------- the oracle
@dataclass(frozen=True)
class Oracle:
    """What the perfect denoiser of one clip gives.

    Attributes:
        loss: Largest of our losses; 0 but for rounding.
        error: Distance of what the stock pipeline samples from the clip's latents, in their standard deviations.
        control: The same with the denoiser's sign turned; a check that passes here too checks nothing.
    """

    loss: float
    error: float
    control: float


def oracle(case: FamilyCase, spec: Spec) -> Oracle:
    """Put the exact minimiser of the loss on one clip in the denoiser's place: our loss, and stock sampling."""
    model = _load(spec)
    frames = clip_of(spec)
    latents, conditions = model.encode(frames), model.conditions(frames, [case.prompt], spec.clip.fps)
    pipeline = _stock(case, model)
    perfect = case.minimiser(latents, pipeline)
    losses = []
    with torch.no_grad(), _answering(model.module, perfect):
        for uniform in (0.3, 0.8):
            levels = model.noise_levels(torch.tensor([uniform]), latents.shape[1:])
            noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7))
            losses.append(float(model.loss(latents, noise, levels, conditions)))
    denoisers = case.denoisers(pipeline, model.part)
    start = case.given_latents

    def distance(answer: Callable[[Inputs], Tensor]) -> float:
        generator = torch.Generator().manual_seed(7)
        with contextlib.ExitStack() as stack:
            for denoiser in denoisers:
                stack.enter_context(_answering(denoiser, answer))
            found = case.call(pipeline, _images(frames, spec), spec, case.steps, generator, "latent")
        return float((found - latents)[:, :, start:].square().mean().sqrt() / latents[:, :, start:].std())

    return Oracle(max(losses), distance(perfect), distance(lambda inputs: -perfect(inputs)))


# -------------------------------------------------------------------- the denoiser's inputs
def hooked_inputs(case: FamilyCase, spec: Spec, steps: int = 4) -> float:
    """Largest difference between what the stock pipeline feeds its denoiser and what `predict` feeds ours.

    Differences are shares of the largest value of that input; positions are compared as the rotary tables made of them.

    Raises:
        AssertionError: One side passes an input that the other does not.
    """
    model = _load(spec)
    frames = clip_of(spec)
    pipeline = _stock(case, model)
    with torch.no_grad(), _posterior_mode(), _recorded(case.denoisers(pipeline, model.part)[0]) as theirs:
        case.call(pipeline, _images(frames, spec), spec, steps, torch.Generator().manual_seed(5), "pt")
    latents, conditions = model.encode(frames), model.conditions(frames, [case.prompt], spec.clip.fps)
    worst = 0.0
    # the last step may be at level 0, where the noise cannot be told from the clip
    for step in range(max(1, min(len(theirs), steps) - 1)):
        noise, levels = case.noise_and_level(theirs[step], latents, pipeline, step)
        with torch.no_grad(), _recorded(model.module) as ours:
            model.predict(latents, noise, levels, conditions)
        worst = max(worst, _difference(case, case.compared(ours[0]), case.compared(theirs[step])))
    return worst


def _difference(case: FamilyCase, ours: Inputs, theirs: Inputs) -> float:
    names = (set(ours) | set(theirs)) - case.ignored - set(_IGNORED)
    lacking = sorted(name for name in names if name not in ours or name not in theirs)
    assert not lacking, f"{case.name}: only one side passes {', '.join(lacking)}"
    worst = 0.0
    for name in sorted(names):
        pairs = zip(_tensors(ours[name]), _tensors(theirs[name]), strict=True)
        for a, b in pairs:
            a, b = torch.broadcast_tensors(a.double().squeeze(), b.double().squeeze())
            worst = max(worst, float((a - b).abs().max() / b.abs().max().clamp(min=1e-6)))
    return worst


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in _tensors(part)]
    return [torch.as_tensor(value)]


# -------------------------------------------------------------------- videos
def context_influence(case: FamilyCase, spec: Spec, steps: int = 2) -> list[float]:
    """For each context frame the share of the future's values that change when the frame is inverted."""
    model = _load(spec)
    given = clip_of(spec)[:, : spec.clip.context]

    def future(context: Tensor) -> Tensor:
        conditions = Conditions([case.prompt], spec.clip.fps)
        return model.generate(context, spec.clip.frames, [5], steps, conditions)[:, spec.clip.context :]

    before, shares = future(given), []
    for frame in range(spec.clip.context):
        other = given.clone()
        other[:, frame] = 255 - other[:, frame]
        shares.append(float((future(other) != before).float().mean()))
    return shares


def stock_video(case: FamilyCase, spec: Spec, saved: Path, steps: int = 4) -> int:
    """Grey levels between our video and that of the class that our checkpoint names, read by stock diffusers."""
    model = _load(spec)
    frames = clip_of(spec)
    ours = _generated(model, case, spec, frames, steps)
    model.save(saved)
    return _apart(case, case.stock(saved), spec, frames, ours, steps)


def stock_lora(case: FamilyCase, spec: Spec, saved: Path, steps: int = 4) -> int:
    """The same for adapters through the stock `load_lora_weights`, or merged where the pipeline has no such method.

    Raises:
        AssertionError: The adapters do not change the video, so that nothing is checked.
    """
    from drivereplay.models import load_checkpoint

    model = _load(spec)
    frames = clip_of(spec)
    before = _generated(model, case, spec, frames, steps)
    lora.inject(model.module, rank=2, alpha=8.0, targets=model.lora_targets, seed=0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    ours = _generated(model, case, spec, frames, steps)
    assert not torch.equal(ours, before), f"{case.name}: adapters change nothing"
    model.save(saved)
    pipeline = case.stock(saved)
    if not case.load_lora(pipeline, saved):
        load_checkpoint(saved).save(saved / "merged")
        pipeline = case.stock(saved / "merged")
    return _apart(case, pipeline, spec, frames, ours, steps)


@dataclass(frozen=True)
class Overfit:
    """Distance of stock sampling from the clip that was trained on, in its latents' deviations, before and after."""

    before: float
    after: float


def overfit(case: FamilyCase, spec: Spec, saved: Path, *, train_steps: int = 600, rate: float = 3e-3) -> Overfit:
    """Train a tiny denoiser on one clip, then let the stock pipeline sample it."""
    model = _load(spec)
    frames = clip_of(spec)
    with torch.no_grad():
        latents, conditions = model.encode(frames), model.conditions(frames, [case.prompt], spec.clip.fps)
    start = case.given_latents

    def distance(directory: Path) -> float:
        pipeline = case.stock(directory)
        with _posterior_mode():
            found = case.call(
                pipeline, _images(frames, spec), spec, case.steps, torch.Generator().manual_seed(7), "latent"
            )
        return float((found - latents)[:, :, start:].square().mean().sqrt() / latents[:, :, start:].std())

    model.save(saved / "before")
    before = distance(saved / "before")
    generator = torch.Generator().manual_seed(0)
    rows = 4
    many, given = latents.expand(rows, *latents.shape[1:]), conditions.rows([0] * rows)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, train_steps)
    model.module.train()
    for _ in range(train_steps):
        optimizer.zero_grad(set_to_none=True)
        levels = model.noise_levels(torch.rand(rows, generator=generator), latents.shape[1:])
        model.loss(many, torch.randn(many.shape, generator=generator), levels, given).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.module.eval()
    model.save(saved / "after")
    return Overfit(before, distance(saved / "after"))


# -------------------------------------------------------------------- several workers
def two_rank_gradients(cases: Mapping[str, tuple[Spec, str]]) -> dict[str, float]:
    """Largest relative difference of gradients on two FSDP2 ranks from those of one process, by name.

    Args:
        cases: Name → experiment and prompt. All run in one pair of processes, which takes seconds to start.
    """
    import torch.multiprocessing as multiprocessing

    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.pt"
        multiprocessing.spawn(_rank, (dict(cases), folder, str(results)), nprocs=2)
        found: dict[str, float] = torch.load(results, weights_only=True)
    return found


def _rank(rank: int, cases: dict[str, tuple[Spec, str]], folder: str, results: str) -> None:
    import torch.distributed as distributed

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    found = {name: _gradient_difference(spec, prompt, rank) for name, (spec, prompt) in cases.items()}
    if rank == 0:
        torch.save(found, results)
    distributed.destroy_process_group()


def _gradient_difference(spec: Spec, prompt: str, rank: int) -> float:
    from drivereplay.training.group import Group, ShardedGroup

    dealt = _gradients(spec, prompt, [rank], ShardedGroup())
    alone = _gradients(spec, prompt, [0, 1], Group())
    assert dealt.keys() == alone.keys()
    scale = max(float(tensor.abs().max()) for tensor in alone.values())
    return max(float((dealt[name] - alone[name]).abs().max()) for name in alone) / scale


def _gradients(spec: Spec, prompt: str, rows: list[int], group: Any) -> dict[str, Tensor]:
    from drivereplay.training.objective import Objective, sample_noise
    from drivereplay.training.shard import full

    model = _load(spec)
    frames = torch.cat([clip_of(spec, seed) for seed in rows])
    latents = model.encode(frames)
    conditions = model.conditions(frames, [prompt] * len(rows), spec.clip.fps)
    noise, uniforms = sample_noise(0, rows, latents.shape[1:])
    group.spread(model.module, torch.device("cpu"))
    model.module.train()
    if getattr(model.module, "_supports_gradient_checkpointing", False):
        model.module.enable_gradient_checkpointing()
    levels = model.noise_levels(uniforms, latents.shape[1:])
    loss, _ = group.wrap(Objective(model))(latents, noise, levels, conditions)
    (loss.sum() * (group.size / 2)).backward()
    return {name: full(p.grad) for name, p in model.module.named_parameters() if p.grad is not None}


# -------------------------------------------------------------------- shared
def _load(spec: Spec) -> VideoModel:
    from drivereplay.models import load_model

    model = load_model(spec)
    model.module.eval()
    return model


def _stock(case: FamilyCase, model: VideoModel) -> Any:
    """The pipeline that our checkpoint of the untrained base names; a text-to-video base names another one itself."""
    with tempfile.TemporaryDirectory(prefix="drivereplay-case-") as folder:
        model.save(Path(folder))
        return case.stock(Path(folder))


def _images(frames: Tensor, spec: Spec) -> list[Image.Image]:
    return [Image.fromarray(frame.numpy()) for frame in frames[0, : spec.clip.context]]


def _generated(model: VideoModel, case: FamilyCase, spec: Spec, frames: Tensor, steps: int) -> Tensor:
    conditions = Conditions([case.prompt], spec.clip.fps)
    return model.generate(frames[:, : spec.clip.context], spec.clip.frames, [5], steps, conditions)


def _apart(case: FamilyCase, pipeline: Any, spec: Spec, frames: Tensor, ours: Tensor, steps: int) -> int:
    video = case.call(pipeline, _images(frames, spec), spec, steps, torch.Generator().manual_seed(5), "pt")
    theirs = (video.float() * 255).round().to(torch.uint8).movedim(1, -1)
    start = spec.clip.context  # what is given is put back into ours
    return int((theirs[start:].int() - ours[0, start:].int()).abs().max())


def _named(module: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any]) -> Inputs:
    names = [name for name in inspect.signature(type(module).forward).parameters if name != "self"]
    both = {**dict(zip(names, arguments, strict=False)), **keywords}
    return {name: value for name, value in both.items() if value is not None}


@contextlib.contextmanager
def _answering(module: Any, answer: Callable[[Inputs], Tensor]) -> Iterator[None]:
    """The module answers with a function of its inputs."""
    module.forward = lambda *arguments, **keywords: (answer(_named(module, arguments, keywords)),)
    try:
        yield
    finally:
        del module.forward


@contextlib.contextmanager
def _recorded(module: Any) -> Iterator[list[Inputs]]:
    """Inputs of every call of a denoiser, and the rotary tables that it makes of its positions."""
    calls: list[Inputs] = []

    def before(_: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        calls.append(copy.deepcopy(_named(module, arguments, keywords)))

    def tables(_: Any, __: Any, output: Any) -> None:
        calls[-1]["(rotary tables)"] = copy.deepcopy(output)

    handles = [module.register_forward_pre_hook(before, with_kwargs=True)]
    if isinstance(getattr(module, "rope", None), torch.nn.Module):
        handles.append(module.rope.register_forward_hook(tables))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _posterior_mode() -> Iterator[None]:
    """Autoencoders give the mode where a pipeline asks for a sample; with random weights its deviation is about 1."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution as Posterior

    sample = Posterior.sample
    Posterior.sample = lambda self, generator=None: self.mode()
    try:
        yield
    finally:
        Posterior.sample = sample
