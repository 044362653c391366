"""Wan autoencoders that see one frame at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import AutoencoderKLWan

from drivereplay.models import layout, stills
from drivereplay.models.codec import WanCodec

SMALL = {
    "base_dim": 8, "z_dim": 4, "dim_mult": [1], "num_res_blocks": 1, "temperal_downsample": [], "in_channels": 48,
    "out_channels": 48, "patch_size": 4, "scale_factor_temporal": 1, "scale_factor_spatial": 4,
    "latents_mean": [0.1] * 4, "latents_std": [0.5] * 4,
}  # fmt: skip


@pytest.fixture
def vae() -> AutoencoderKLWan:
    with layout.seeded(0):
        made = AutoencoderKLWan(**SMALL).eval()
    for convolution in stills.causal_convolutions(made):
        convolution.weight.data[:, :, :-1] = 0.0
    return made


@pytest.fixture
def video() -> torch.Tensor:
    return torch.rand(2, 3, 5, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_fast_way_gives_what_the_stock_class_gives(vae: AutoencoderKLWan, video: torch.Tensor) -> None:
    with torch.no_grad():
        latents = vae.encode(video).latent_dist.mode()
        pictures = vae.decode(latents).sample
    codec = WanCodec(vae)
    made = codec.encode(video)
    torch.testing.assert_close(made, (latents - 0.1) / 0.5, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(codec.decode(made), pictures, atol=1e-4, rtol=1e-4)


def test_the_stock_loop_still_works_on_the_changed_network(vae: AutoencoderKLWan, video: torch.Tensor) -> None:
    with torch.no_grad():
        before = vae.encode(video).latent_dist.mode()
        stills.drop_earlier_taps(vae)
        after = vae.encode(video).latent_dist.mode()
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)


def test_weights_fingerprint_and_configuration_stay(vae: AutoencoderKLWan) -> None:
    before, config = {n: t.clone() for n, t in vae.state_dict().items()}, dict(vae.config)
    other = WanCodec(copy.deepcopy(vae)).fingerprint()
    stills.drop_earlier_taps(vae)
    assert dict(vae.config) == config
    assert all(torch.equal(before[n], t) for n, t in vae.state_dict().items())
    assert WanCodec(vae).fingerprint() == other


def test_a_copy_computes_with_its_own_weights(vae: AutoencoderKLWan, video: torch.Tensor) -> None:
    stills.drop_earlier_taps(vae)
    twin = copy.deepcopy(vae)
    for parameter in twin.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        assert not twin.encode(video).latent_dist.mode().any()
        assert vae.encode(video).latent_dist.mode().any()


def test_networks_that_look_back_or_shorten_time_are_left_alone(vae: AutoencoderKLWan) -> None:
    assert stills.only_present_taps(vae)
    stills.causal_convolutions(vae)[2].weight.data[0, 0, 0, 1, 1] = 0.1
    assert not stills.only_present_taps(vae)
    WanCodec(vae)
    assert type(stills.causal_convolutions(vae)[0]).__name__ == "WanCausalConv3d"
    with layout.seeded(0):
        shortening = AutoencoderKLWan(
            base_dim=8, z_dim=4, dim_mult=[1, 1], num_res_blocks=1, temperal_downsample=[True]
        )
    for convolution in stills.causal_convolutions(shortening):
        convolution.weight.data[:, :, :-1] = 0.0
    assert not stills.only_present_taps(shortening)


def test_a_network_without_values_is_left_alone(vae: AutoencoderKLWan) -> None:
    assert not stills.only_present_taps(vae.to("meta"))


def test_long_videos_go_through_in_parts(vae: AutoencoderKLWan, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def coder(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x * 2

    monkeypatch.setattr(stills, "_FRAMES", 4)
    video = torch.rand(2, 3, 5, 4, 4)
    assert torch.equal(stills.by_frame(coder, video), video * 2)
    assert seen == [4, 4, 2]
