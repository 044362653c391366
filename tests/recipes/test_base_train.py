"""The training of the shipped base: what is drawn, that it resumes exactly, and what a cooldown leaves behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from drivereplay.models import load_checkpoint

SET = ("batch_size=2", "bf16=false", "warmup=2")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, script: Callable[[str], ModuleType]) -> Path:
    """Latents of noise, small ones: every world has one shard, highway's value in every cell is the window's start."""
    directory = tmp_path_factory.mktemp("latents")
    recipe, latents = script("recipe"), script("latents")
    rng = np.random.default_rng(0)
    settings = recipe.load_recipe()
    for name in settings.worlds:
        for seed in (settings.seed, latents.HELD_OUT_SEED):
            values = rng.standard_normal((recipe.SHARD, 12, recipe.LENGTH, 4, 4)).astype(np.float16)
            if name == "highway":
                values[:] = np.arange(recipe.LENGTH)[:, None, None]
            np.save(latents.shard_path(directory, name, seed, 0), values)
    return directory


def new_run(script: Callable[[str], ModuleType], shards: Path, *changes: str) -> tuple[Any, Any, Any]:
    settings = script("recipe").load_recipe([*SET, *changes])
    run = script("train").Run(script("recipe").new_model(settings, "quarter"), settings.training)
    return settings, run, script("train").Windows(shards, settings)


def test_windows_are_neighbouring_frames_in_the_recipes_shares(
    script: Callable[[str], ModuleType], shards: Path
) -> None:
    _, _, windows = new_run(script, shards)
    drawn = torch.cat([windows.draw(np.random.default_rng(n), 40, [1, 3]) for n in range(50)])
    highway = drawn[(drawn[:, 0, 0, 0, 0] == drawn[:, 5, 0, 2, 3])][:, 0, :, 0, 0]
    assert 0.015 < len(highway) / len(drawn) < 0.05
    strides = (highway[:, 1:] - highway[:, :-1]).unique(dim=1)
    assert strides.shape[1] == 1
    assert sorted(strides.flatten().unique().tolist()) == [1, 3]
    assert highway.min() == 0
    assert highway.max() == 23


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_was_stopped_is_the_run_that_was_not(
    script: Callable[[str], ModuleType], shards: Path, tmp_path: Path, optimizer: str
) -> None:
    settings, straight, windows = new_run(script, shards, f"optimizer={optimizer}", "pure_noise=0.3")
    losses = [straight.train_step(windows, 2, settings.seed, 1.0) for _ in range(6)]
    _, first, _ = new_run(script, shards, f"optimizer={optimizer}", "pure_noise=0.3")
    halves = [first.train_step(windows, 2, settings.seed, 1.0) for _ in range(3)]
    script("train").save_state(first, tmp_path)
    _, second, _ = new_run(script, shards, f"optimizer={optimizer}", "pure_noise=0.3")
    second.load(tmp_path / "state.pt")
    halves += [second.train_step(windows, 2, settings.seed, 1.0) for _ in range(3)]
    assert halves == losses
    for ours, theirs in ((straight.module, second.module), (straight.average, second.average)):
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_the_average_is_over_the_last_tenth_or_so(script: Callable[[str], ModuleType]) -> None:
    """Weights of the power profile: w(s) ∝ s^γ, whose relative width (γ+1)^½ / ((γ+2)·(γ+3)^½) is .1 at γ = 6.94."""
    gamma = script("train").AVERAGED_SHARE
    assert (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5) == pytest.approx(0.1, abs=1e-3)


def test_what_changes_counts_more(script: Callable[[str], ModuleType]) -> None:
    settings = script("recipe")
    module = settings.new_model(settings.load_recipe(), "quarter").module
    torch.manual_seed(0)
    latents = torch.randn(2, 12, 1, 4, 4).repeat(1, 1, 8, 1, 1)
    latents[:, :, 5:, :2] += 3.0
    noise, levels = torch.randn(latents.shape), torch.tensor([1.0, 0.5])
    losses = script("train").sample_losses
    with torch.no_grad():
        plain = losses(module, latents, noise, levels, 2)
        weighted = losses(module, latents, noise, levels, 2, change=0.5)
        still = latents[:, :, :1].repeat(1, 1, 8, 1, 1)
        halved = losses(module, still, noise, levels, 2, change=0.5)
    assert not torch.allclose(plain, weighted)
    # where nothing changes, only the unweighted part is left
    torch.testing.assert_close(halved, 0.5 * losses(module, still, noise, levels, 2))


def test_stopped_resumed_and_cooled_down_from_the_command_line(
    script: Callable[[str], ModuleType], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = script("train")
    monkeypatch.setattr(os, "nice", lambda _: 0)  # the test's own process must not stay slow
    threads = torch.get_num_threads()
    out = tmp_path / "run"
    call = ["--out", str(out), "--latents", str(shards), "--no-render", "--size", "quarter"]
    call += [word for change in SET for word in ("--set", change)]
    before = signal.getsignal(signal.SIGTERM)
    real_step = train.Run.train_step

    def interrupted(run: Any, *arguments: Any) -> float:
        if run.step == 7:
            signal.raise_signal(signal.SIGTERM)
        return float(real_step(run, *arguments))

    with monkeypatch.context() as patched:
        patched.setattr(train.Run, "train_step", interrupted)
        train.main([*call, "--hours", "1"])
    stopped = torch.load(out / "state.pt", weights_only=True)["counters"]
    assert stopped["step"] == 8
    assert signal.getsignal(signal.SIGTERM) is before
    hours = (stopped["cpu_s"] + 0.5) / 3600
    train.main([*call, "--hours", str(hours)])
    resumed = torch.load(out / "state.pt", weights_only=True)["counters"]
    assert resumed["step"] > 8
    assert resumed["cpu_s"] >= 3600 * hours
    train.main([*call, "--cooldown", "0.01"])
    torch.set_num_threads(threads)
    # the run itself is as it was; the branch has its own state and a model that the project opens
    assert torch.load(out / "state.pt", weights_only=True)["counters"] == resumed
    branch = json.loads((out / "cooldown" / "branch.json").read_text())
    assert branch["step"] == resumed["step"]
    assert branch["end_s"] - branch["begin_s"] == pytest.approx(0.6)
    cooled = torch.load(out / "cooldown" / "state.pt", weights_only=True)
    assert cooled["counters"]["averaged"] == cooled["counters"]["step"] - resumed["step"]
    assert cooled["optimizers"][0]["param_groups"][0]["lr"] < 0.1 * 2e-3
    model = load_checkpoint(out / "cooldown" / "model")
    for name, value in model.module.state_dict().items():
        torch.testing.assert_close(value.float(), cooled["average"][name], rtol=1e-3, atol=1e-6)
    denoiser = out / "cooldown" / "model" / "transformer" / "diffusion_pytorch_model.safetensors"
    assert denoiser.stat().st_size < 2 * sum(p.numel() for p in model.module.parameters()) + 20_000


def test_a_run_goes_on_from_exported_weights_with_a_new_warm_up(
    script: Callable[[str], ModuleType], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = script("train")
    settings, run, windows = new_run(script, shards)
    for _ in range(4):
        run.train_step(windows, 2, settings.seed, 1.0)
    train.export(run, tmp_path / "model")
    factors: list[tuple[int, float]] = []

    def stop_after_three(run: Any, _: Any, __: int, ___: int, factor: float) -> float:
        factors.append((run.step, factor))
        run.step += 1
        run.cpu_s += 1
        if len(factors) == 4:
            signal.raise_signal(signal.SIGTERM)
        return 0.0

    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(train.Run, "train_step", stop_after_three)
    call = ["--out", str(tmp_path / "on"), "--latents", str(shards), "--no-render", "--size", "quarter"]
    train.main([*call, "--start", str(tmp_path / "model"), "--set", "warmup=4", "--hours", "1"])
    assert factors == [(4, 0.25), (5, 0.5), (6, 0.75), (7, 1.0)]
    average = torch.load(tmp_path / "on" / "state.pt", weights_only=True)["average"]
    for name, value in run.average.state_dict().items():
        torch.testing.assert_close(average[name], value.half().float())


def test_sizes_are_a_quarter_and_four_times(script: Callable[[str], ModuleType]) -> None:
    from diffusers import WanTransformer3DModel

    counts = {}
    settings = script("recipe").load_recipe()
    hours = settings.training.core_hours
    assert hours.keys() == settings.sizes.keys()
    assert sum(hours.values()) * (1 + settings.training.cooldown) <= 24.5
    for size, options in settings.sizes.items():
        with torch.device("meta"):
            module = WanTransformer3DModel(
                patch_size=(2, 2, 2), attention_head_dim=32, in_channels=12, out_channels=12, text_dim=32, freq_dim=64,
                rope_max_seq_len=64, **options,
            )  # fmt: skip
        counts[size] = sum(p.numel() for p in module.parameters())
    assert counts["base"] <= 3_000_000
    assert counts["base"] / counts["quarter"] == pytest.approx(4, rel=0.1)
    assert counts["four"] / counts["base"] == pytest.approx(4, rel=0.1)


def test_a_wrong_key_is_named(script: Callable[[str], ModuleType]) -> None:
    from drivereplay.errors import SpecError

    with pytest.raises(SpecError, match="batchsize"):
        script("recipe").load_recipe(["batchsize=3"])
    with pytest.raises(SpecError, match="no size 'huge'"):
        script("recipe").new_model(script("recipe").load_recipe(), "huge")
