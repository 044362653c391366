"""A denoiser that embeds two timesteps a sample is the stock one, at less cost."""

from __future__ import annotations

import copy

import torch
from diffusers import WanTransformer3DModel

from drivereplay.models.wan_timesteps import embed_two_timesteps


def test_output_and_gradients_are_those_of_the_stock_denoiser() -> None:
    torch.manual_seed(0)
    stock = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, text_dim=8,
        freq_dim=16, ffn_dim=32, num_layers=2, rope_max_seq_len=32,
    )  # fmt: skip
    ours = copy.deepcopy(stock)
    embed_two_timesteps(ours)
    latents, text = torch.randn(3, 4, 3, 4, 4), torch.randn(3, 5, 8)
    # 12 tokens: the first four are given and clean, but in the last sample, where nothing is
    timesteps = torch.tensor([[0.0] * 4 + [t] * 8 for t in (1000.0, 371.5, 0.0)])
    timesteps[2] = 88.25
    results = []
    for module in (stock, ours):
        out = module(latents, timesteps, text, return_dict=False)[0]
        out.square().mean().backward()
        results.append([out, *(p.grad for p in module.parameters() if p.grad is not None)])
    assert len(results[0]) == len(results[1]) > 40
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    # one timestep a sample, as the image-to-video bases have it, goes the stock way
    single = torch.tensor([5.0, 400.0, 1000.0])
    assert torch.equal(ours(latents, single, text)[0], stock(latents, single, text)[0])
    assert ours.state_dict().keys() == stock.state_dict().keys()


def test_time_is_embedded_for_two_rows_a_sample() -> None:
    module = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4, text_dim=8,
        freq_dim=16, ffn_dim=32, num_layers=1, rope_max_seq_len=32,
    )  # fmt: skip
    embed_two_timesteps(module)
    rows = []
    module.condition_embedder.time_proj.register_forward_hook(lambda _, inputs, __: rows.append(inputs[0].shape[:-1]))
    module(torch.randn(3, 4, 3, 4, 4), torch.rand(3, 12) * 0 + 7.0, torch.randn(3, 5, 8))
    assert [shape.numel() for shape in rows] == [6]
