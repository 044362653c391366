"""The standing checks of every family: each takes its truth from the stock pipeline (`drivereplay.testing`).

`python -m tests.models.test_standing` prints the table of docs/models.md.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from tests.models.cases import CASES, TOLERANCES

from drivereplay.spec import Spec
from drivereplay.testing import (
    FamilyCase,
    context_influence,
    hooked_inputs,
    oracle,
    overfit,
    stock_lora,
    stock_video,
    two_rank_gradients,
)


@pytest.fixture(scope="module", params=CASES)
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FamilyCase, Spec]:
    case = CASES[request.param]
    return case, case.prepare(tmp_path_factory.mktemp("case"))


def test_the_oracle_is_sampled_back(prepared: tuple[FamilyCase, Spec]) -> None:
    case, spec = prepared
    found = oracle(case, spec)
    assert found.loss <= 1e-12
    assert found.error <= TOLERANCES[spec.model.family]
    assert found.control > 10


def test_the_denoiser_is_fed_what_the_stock_pipeline_feeds_it(prepared: tuple[FamilyCase, Spec]) -> None:
    case, spec = prepared
    assert hooked_inputs(case, spec) < 2e-5


def test_the_future_depends_on_every_context_frame(prepared: tuple[FamilyCase, Spec]) -> None:
    case, spec = prepared
    assert min(context_influence(case, spec)) > 0


def test_the_named_class_reproduces_our_video(prepared: tuple[FamilyCase, Spec], tmp_path: Path) -> None:
    case, spec = prepared
    assert stock_video(case, spec, tmp_path) <= 1


def test_adapters_are_read_by_stock_diffusers(prepared: tuple[FamilyCase, Spec], tmp_path: Path) -> None:
    case, spec = prepared
    assert stock_lora(case, spec, tmp_path) <= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_ranks_have_the_gradients_of_one_process(tmp_path: Path) -> None:
    cases = {n: (case.prepare(tmp_path / str(i)), case.prompt) for i, (n, case) in enumerate(CASES.items())}
    found = two_rank_gradients(cases)
    assert found.keys() == CASES.keys()
    assert all(difference < 1e-4 for difference in found.values()), found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_clip_is_learnt_and_sampled_by_stock_diffusers(prepared: tuple[FamilyCase, Spec], tmp_path: Path) -> None:
    case, spec = prepared
    found = overfit(case, spec, tmp_path)
    assert found.after < 0.5 * found.before


def table() -> None:
    """Figures of all checks but the overfit, in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        specs = {name: case.prepare(Path(folder) / name.replace(" ", "-")) for name, case in CASES.items()}
        ranks = two_rank_gradients({name: (specs[name], CASES[name].prompt) for name in CASES})
        print("| case | our loss | sampled back | sign turned | inputs | least influence | video | LoRA | two ranks |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, case in CASES.items():
            spec, saved = specs[name], Path(folder) / f"saved-{name.replace(' ', '-')}"
            found = oracle(case, spec)
            figures = (
                f"{found.loss:.0e}", f"{found.error:.0e}", f"{found.control:.0f}", f"{hooked_inputs(case, spec):.0e}",
                f"{min(context_influence(case, spec)):.2f}", str(stock_video(case, spec, saved / "video")),
                str(stock_lora(case, spec, saved / "lora")), f"{ranks[name]:.0e}",
            )  # fmt: skip
            print(f"| {name} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    table()
