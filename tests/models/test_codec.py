"""Codecs: what goes in comes out; sizes that do not fit are refused with the nearest that do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.errors import ModelError
from drivereplay.models.codec import PixelCodec, WanCodec, to_frames, to_signed


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_pixels_survive_to_the_last_bit(patch: int, frames: int, rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, frames, rows * patch, columns * patch, 3)
    video = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    codec = PixelCodec(patch)
    latents = codec.encode(to_signed(video))
    assert latents.shape == (2, 3 * patch * patch, frames, rows, columns)
    assert torch.equal(to_frames(codec.decode(latents)), video)


def test_a_latent_cell_holds_its_own_block_of_pixels() -> None:
    video = torch.zeros(1, 3, 1, 8, 8)
    video[0, 1, 0, 5, 6] = 1.0
    latents = PixelCodec(4, std=0.5).encode(video)
    assert latents.nonzero().tolist() == [[0, 16 + 1 * 4 + 2, 0, 1, 1]]  # green, row 1, column 2 of block (1, 1)
    assert latents.max() == 2.0


def small_vae():
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [2.0] * 4}
    return AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **statistics)


def test_the_autoencoder_is_scaled_as_its_pipeline_scales_it() -> None:
    vae = small_vae()
    codec = WanCodec(vae)
    video = torch.rand(1, 3, 5, 32, 48) * 2 - 1
    latents = codec.encode(video)
    assert latents.shape == (1, 4, codec.latent_frames(5), 4, 6) == (1, 4, 2, 4, 6)
    with torch.no_grad():
        raw = vae.encode(video).latent_dist.mode()
        torch.testing.assert_close(latents, (raw - 0.1) / 2.0)
        torch.testing.assert_close(codec.decode(latents), vae.decode(raw).sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((8, 32, 48), "nearest number is 9"),
        ((9, 30, 48), "32 × 48"),
        ((9, 32, 47), "32 × 48"),
        ((3, 32, 48), "nearest number is"),
    ],
)
def test_sizes_that_cannot_be_encoded_are_refused(sizes: tuple[int, int, int], message: str) -> None:
    codec = WanCodec(small_vae())
    codec.check(9, 32, 48)
    with pytest.raises(ModelError, match=message) as caught:
        codec.check(*sizes)
    assert caught.value.exit_code == 2


def test_fingerprints_tell_codecs_apart() -> None:
    vae = small_vae()
    prints = {WanCodec(vae).fingerprint(), PixelCodec(4).fingerprint(), PixelCodec(2).fingerprint()}
    assert len(prints) == 3
    assert WanCodec(small_vae()).fingerprint() == WanCodec(vae).fingerprint()
    with torch.no_grad():
        next(vae.parameters()).add_(1e-3)
    assert WanCodec(vae).fingerprint() not in prints
