"""How the stock pipeline of each family is called, and what a perfect denoiser would answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.models.helpers import spec_of, wan_pipeline

from drivereplay.models import load_model
from drivereplay.spec import Spec
from drivereplay.testing import FamilyCase


class WanCase(FamilyCase):
    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.options = options
        self.given_latents = 1 if options.get("in_channels") == 4 else 0
        if self.given_latents:
            self.prompt = ""

    def prepare(self, directory: Path) -> Spec:
        wan_pipeline(**self.options).save_pretrained(directory)
        return spec_of(directory, "wan")

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        return pipeline(
            images[0], self.prompt, height=clip.height, width=clip.width, num_frames=clip.frames,
            num_inference_steps=steps, guidance_scale=1.0, generator=generator, output_type=output,
        ).frames[0 if output == "pt" else slice(None)]  # fmt: skip

    def minimiser(self, latents, pipeline):
        def answer(inputs):
            x = inputs["hidden_states"][:, : latents.shape[1]]
            sigma = inputs["timestep"].float().reshape(len(x), -1).amax(1).view(-1, 1, 1, 1, 1) / 1000
            return (x - latents) / sigma.clamp(min=1e-3)

        return answer

    def noise_and_level(self, inputs, latents, pipeline, step):
        sigma = inputs["timestep"].float().max().view(1) / 1000
        return (inputs["hidden_states"][:, : latents.shape[1]] - (1 - sigma) * latents) / sigma, sigma


class SvdCase(FamilyCase):
    name, prompt, steps = "svd", "", 25

    def prepare(self, directory: Path) -> Spec:
        load_model(spec_of("random", "svd", frames=4, fps=7)).save(directory)
        return spec_of(directory, "svd", frames=4, fps=7)

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        frames = pipeline(
            images[0], height=clip.height, width=clip.width, num_frames=clip.frames, num_inference_steps=steps,
            min_guidance_scale=1.0, max_guidance_scale=1.0, fps=7, generator=generator, output_type=output,
        ).frames  # fmt: skip
        return frames[0] if output == "pt" else frames.transpose(1, 2)

    def minimiser(self, latents, pipeline):
        def answer(inputs):
            sigma = (4 * inputs["timestep"].float()).exp().view(-1, 1, 1, 1, 1)
            x = inputs["sample"][:, :, :4].transpose(1, 2) * (sigma**2 + 1).sqrt()
            return ((x / (sigma**2 + 1) - latents) * (sigma**2 + 1).sqrt() / sigma).transpose(1, 2)

        return answer

    def noise_and_level(self, inputs, latents, pipeline, step):
        sigma = pipeline.scheduler.sigmas[step].view(1)
        x = inputs["sample"][:, :, :4].transpose(1, 2) * (sigma**2 + 1).sqrt()
        return (x - latents) / sigma, sigma

    def compared(self, inputs):
        # the noise on the condition image is drawn from other seeds
        return {**inputs, "sample": inputs["sample"][:, :, :4]}


class LtxCase(FamilyCase):
    def __init__(self, context: int = 1, first_version: bool = False) -> None:
        self.first_version = first_version
        self.context = context
        self.name = "ltx 0.9.0" if first_version else f"ltx, {context} frames"
        self.given_latents = (context - 1) // 4 + 1
        # the same positions in another form; the rotary tables made of them are compared
        self.ignored = frozenset({"video_coords", "rope_interpolation_scale", "num_frames", "height", "width"})

    def prepare(self, directory: Path) -> Spec:
        model = load_model(spec_of("random", "ltx", width=64))
        if self.first_version:
            from diffusers import FlowMatchEulerDiscreteScheduler, LTXPipeline

            # as diffusers' conversion writes 0.9.0 and 0.9.1
            scheduler = FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
                max_image_seq_len=4096, shift_terminal=0.1,
            )  # fmt: skip
            LTXPipeline(**{**model.pipeline.components, "scheduler": scheduler}).save_pretrained(directory)
        else:
            model.save(directory)
        return spec_of(directory, "ltx", width=64, context=self.context)

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        given = {"image": images[0]}
        if not self.first_version:
            given = {"video": [list(images)], "image_cond_noise_scale": 0.0}
        frames = pipeline(
            **given, prompt=self.prompt, height=clip.height, width=clip.width, num_frames=clip.frames,
            frame_rate=clip.fps, num_inference_steps=steps, guidance_scale=1.0, generator=generator, output_type=output,
        ).frames  # fmt: skip
        if output == "pt":
            return frames[0]
        return frames if frames.ndim == 5 else pipeline._unpack_latents(frames, 3, 8, 16, 1, 1)

    def minimiser(self, latents, pipeline):
        tokens = latents.flatten(2).transpose(1, 2)

        def answer(inputs):
            return (inputs["hidden_states"] - tokens) / (inputs["timestep"].float().amax(1).view(-1, 1, 1) / 1000)

        return answer

    def noise_and_level(self, inputs, latents, pipeline, step):
        sigma = inputs["timestep"].float().max().view(1) / 1000
        x = inputs["hidden_states"].transpose(1, 2).unflatten(2, latents.shape[2:])
        return (x - (1 - sigma) * latents) / sigma, sigma


class CogCase(FamilyCase):
    steps = 25

    def __init__(self, name: str, frames: int, vae: dict[str, Any], **config: Any) -> None:
        from drivereplay.models.cogvideox import TINY_VAE

        self.name = name
        self.frames = frames
        self.config = {"vae": {**TINY_VAE, **vae}, **config}

    def prepare(self, directory: Path) -> Spec:
        spec = spec_of("random", "cogvideox", frames=self.frames)
        load_model(spec.model_copy(update={"model": spec.model.model_copy(update={"config": self.config})})).save(
            directory
        )
        # the trainer's noise on the image is none of the pipeline's
        spec = spec_of(directory, "cogvideox", frames=self.frames)
        return spec.model_copy(update={"training": spec.training.model_copy(update={"condition_noise": 0.0})})

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        frames = pipeline(
            images[0], self.prompt, height=clip.height, width=clip.width, num_frames=clip.frames,
            num_inference_steps=steps, guidance_scale=1.0, generator=generator, output_type=output,
        ).frames  # fmt: skip
        return frames[0] if output == "pt" else frames.transpose(1, 2)

    def _alpha(self, inputs, pipeline):
        return pipeline.scheduler.alphas_cumprod[inputs["timestep"].long()].float().view(-1, 1, 1, 1, 1)

    def minimiser(self, latents, pipeline):
        def answer(inputs):
            x = inputs["hidden_states"][:, :, : latents.shape[1]].transpose(1, 2)
            alpha = self._alpha(inputs, pipeline)
            noise = (x - alpha.sqrt() * latents) / (1 - alpha).sqrt()
            return (alpha.sqrt() * noise - (1 - alpha).sqrt() * latents).transpose(1, 2)

        return answer

    def noise_and_level(self, inputs, latents, pipeline, step):
        alpha = self._alpha(inputs, pipeline)
        x = inputs["hidden_states"][:, :, : latents.shape[1]].transpose(1, 2)
        return (x - alpha.sqrt() * latents) / (1 - alpha).sqrt(), inputs["timestep"].float().view(1)


class CosmosCase(FamilyCase):
    steps = 25
    # 24/24 leaves positions as they are; the rotary tables are compared
    ignored = frozenset({"fps"})

    def __init__(self, context: int) -> None:
        self.context = context
        self.name = f"cosmos, {context} frames"
        self.given_latents = (context - 1) // 4 + 1

    def prepare(self, directory: Path) -> Spec:
        load_model(spec_of("random", "cosmos")).save(directory)
        return spec_of(directory, "cosmos", context=self.context, fps=10)

    def stock(self, directory: Path) -> Any:
        from diffusers import Cosmos2VideoToWorldPipeline

        from drivereplay.models.cosmos import Unguarded

        pipeline = Cosmos2VideoToWorldPipeline.from_pretrained(directory, safety_checker=Unguarded())
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        return pipeline(
            video=list(images), prompt=self.prompt, height=clip.height, width=clip.width, num_frames=clip.frames,
            fps=24, num_inference_steps=steps, guidance_scale=1.0, generator=generator, output_type=output,
        ).frames[0 if output == "pt" else slice(None)]  # fmt: skip

    def minimiser(self, latents, pipeline):
        def answer(inputs):
            time = inputs["timestep"].float().amax(2, keepdim=True)
            return (inputs["hidden_states"][:, : latents.shape[1]] - latents) / time

        return answer

    def noise_and_level(self, inputs, latents, pipeline, step):
        time = inputs["timestep"].float().max().view(1)
        noise = (inputs["hidden_states"] - (1 - time) * latents) / time
        return noise, time / (1 - time)


class Cosmos25Case(CosmosCase):
    def __init__(self, context: int) -> None:
        super().__init__(context)
        self.name = f"cosmos25, {context} frames"

    def prepare(self, directory: Path) -> Spec:
        load_model(spec_of("random", "cosmos25")).save(directory)
        return spec_of(directory, "cosmos25", context=self.context, fps=10)

    def stock(self, directory: Path) -> Any:
        from diffusers import Cosmos2_5_PredictBasePipeline

        from drivereplay.models.cosmos import Unguarded

        pipeline = Cosmos2_5_PredictBasePipeline.from_pretrained(directory, safety_checker=Unguarded())
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def call(self, pipeline, images, spec, steps, generator, output):
        clip = spec.clip
        return pipeline(
            video=list(images), prompt=self.prompt, height=clip.height, width=clip.width, num_frames=clip.frames,
            num_latent_conditional_frames=self.given_latents, num_inference_steps=steps, guidance_scale=1.0,
            generator=generator, output_type=output,
        ).frames[0 if output == "pt" else slice(None)]  # fmt: skip

    def noise_and_level(self, inputs, latents, pipeline, step):
        time = inputs["timestep"].float().max().view(1)
        return (inputs["hidden_states"] - (1 - time) * latents) / time, time


class ExpertCase(WanCase):
    """One of Wan 2.2 A14B's two denoisers; the oracle takes the trained one's place."""

    def __init__(self, expert: str) -> None:
        super().__init__(f"wan a14b, {expert}")
        self.expert = expert

    def prepare(self, directory: Path) -> Spec:
        first, second = wan_pipeline(), wan_pipeline()
        with torch.no_grad():
            for parameter in second.transformer.parameters():
                parameter.mul_(1.1)
        first.register_modules(transformer_2=second.transformer)
        first.register_to_config(boundary_ratio=0.9)
        first.save_pretrained(directory)
        spec = spec_of(directory, "wan")
        return spec.model_copy(update={"model": spec.model.model_copy(update={"expert": self.expert})})

    def denoisers(self, pipeline, part):
        assert part == {"high": "transformer", "low": "transformer_2"}[self.expert]
        both = [pipeline.transformer, pipeline.transformer_2]
        return both if self.expert == "high" else both[::-1]

    def load_lora(self, pipeline, directory):
        pipeline.load_lora_weights(directory, load_into_transformer_2=self.expert == "low")
        return True


CASES: dict[str, FamilyCase] = {
    case.name: case
    for case in (
        WanCase("wan i2v"),
        WanCase("wan i2v, CLIP", image_encoder=True),
        WanCase("wan ti2v", in_channels=4, expand=True),
        WanCase("wan t2v", in_channels=4, text=True),
        SvdCase(),
        LtxCase(),
        LtxCase(context=5),
        LtxCase(first_version=True),
        CogCase("cogvideox 1.0", 9, {}, use_learned_positional_embeddings=True),
        CogCase(
            "cogvideox 1.5", 13, {"invert_scale_latents": True}, patch_size_t=2, ofs_embed_dim=16, patch_bias=False
        ),
        CosmosCase(1),
        CosmosCase(5),
        Cosmos25Case(1),
        Cosmos25Case(5),
        ExpertCase("high"),
        ExpertCase("low"),
    )
}
TOLERANCES = {"wan": 2e-2, "svd": 1e-6, "ltx": 1e-5, "cogvideox": 1e-5, "cosmos": 3e-2, "cosmos25": 3e-2}
"""How far sampling with the oracle may end from the clip, in its deviations: what each sampler leaves of noise."""


@torch.no_grad()
def parameters_of(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.module.parameters())
