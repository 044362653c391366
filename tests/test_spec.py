"""The experiment file: what is refused, how it is said, and that the resolved file means the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drivereplay.errors import SpecError
from drivereplay.spec import Spec, load_spec, parse_spec, with_values

MINIMAL: dict[str, Any] = {"name": "a", "target": {"name": "driving", "source": {"kind": "world", "world": "highway"}}}
REPLAY = {
    "domains": [
        {"name": "street", "weight": 1, "source": {"kind": "videos", "path": "street"}},
        {"name": "objects", "weight": 3, "source": {"kind": "videos", "path": "objects"}},
    ]
}


def saved(directory: Path, data: Any) -> Path:
    path = directory / "experiment.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"trainig": {}}, "trainig: unknown key, did you mean 'training'?"),
        ({"training": {"stps": 3}}, "training.stps: unknown key, did you mean 'steps'?"),
        ({"training": {"retention": {"ewcc": 1}}}, "training.retention.ewcc: unknown key, did you mean 'ewc'?"),
        (
            {"target": {"name": "d", "source": {"kind": "world", "wrld": "x"}}},
            "target.source.wrld: unknown key, did you mean",
        ),
        ({"target": {"name": "d", "source": {"kind": "world"}}}, "target.source.world: is missing"),
        ({"replay": {**REPLAY, "frequency": 1.2}}, "replay.frequency: Input should be less than or equal to 1"),
        ({"replay": {**REPLAY, "frequency": -0.1}}, "replay.frequency"),
        ({"replay": {**REPLAY, "frequency": float("nan")}}, "replay.frequency"),
        ({"replay": {**REPLAY, "weights": [0, 0]}}, "all zero"),
        ({"replay": {**REPLAY, "weights": [1, -1]}}, "replay.weights.1"),
        ({"replay": {**REPLAY, "weights": [1]}}, "1 values for 2 domains"),
        ({"replay": {"frequency": 0.5}}, "name at least one replay domain"),
        ({"replay": {"domains": [REPLAY["domains"][0]] * 2}}, "domain names must differ"),
        ({"clip": {"frames": 4, "context": 4}}, "nothing is left to predict"),
        ({"training": {"batch_size": 10, "workers": 4}}, "batch_size (10) must be a multiple"),
        ({"name": "../outside"}, "name"),
        ({"search": {"objectives": ["fidelity.psnr"]}}, "two or three objectives"),
        ({"search": {"objectives": ["fidelity.psnr", "fidelity.psnr"]}}, "objectives must differ"),
    ],
)
def test_wrong_values_are_refused_with_path_and_reason(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(saved(tmp_path, {**MINIMAL, **change}))
    assert expected in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "", "a: [1, 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"not a mapping|not valid YAML"):
        load_spec(saved(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Cannot read the experiment file"):
        load_spec(tmp_path / "nowhere.yaml")


def test_python_tags_in_yaml_are_not_executed(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load_spec(saved(tmp_path, "name: !!python/object/apply:os.getcwd []\n"))


def test_set_overrides_values_lists_and_named_domains(tmp_path: Path) -> None:
    path = saved(tmp_path, {**MINIMAL, "replay": REPLAY})
    spec = load_spec(
        path,
        ["training.steps=7", "replay.frequency=0.5", "replay.domains.street.weight=5", "replay.domains.1.weight=15"],
    )
    assert spec.training.steps == 7
    assert spec.replay.mix == (0.25, 0.75)
    for wrong in ("training.steps", "training.steps.x=1", "replay.domains.nobody.weight=1", "=3"):
        with pytest.raises(SpecError):
            load_spec(path, [wrong])


def test_relative_sources_count_from_the_file_and_the_resolved_file_means_the_same(tmp_path: Path) -> None:
    spec = load_spec(saved(tmp_path, {**MINIMAL, "replay": REPLAY}))
    source = spec.replay.domains[0].source
    assert source.kind == "videos"
    assert source.path == str(tmp_path / "street")
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert load_spec(saved(other, spec.to_yaml())) == spec


def test_a_relative_storage_counts_from_where_the_command_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_spec(MINIMAL).storage == str(tmp_path / "runs")
    assert parse_spec({**MINIMAL, "storage": "s3://bucket/runs"}).storage == "s3://bucket/runs"
    assert parse_spec({**MINIMAL, "storage": "~/runs"}).storage == str(Path.home() / "runs")


def test_an_earlier_sweep_counts_from_the_command_and_a_base_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep" / "weights" / "wan").mkdir(parents=True)
    data = {**MINIMAL, "search": {"warm_start": "runs/first"}}
    for base, meant in (
        ("weights/wan", str(tmp_path / "deep" / "weights" / "wan")),
        ("somebody/model", "somebody/model"),
        ("tiny", "tiny"),
    ):
        spec = load_spec(saved(tmp_path / "deep", {**data, "model": {"base": base}}))
        assert spec.model.base == meant
        assert spec.search.warm_start == str(tmp_path / "runs" / "first")


@pytest.mark.parametrize(
    "change",
    [
        {"storage": "s3://KEYID:sesame@bucket/runs"},
        {"search": {"warm_start": "s3://KEYID:sesame@bucket/runs/first"}},
        {"model": {"base": "s3://bucket/base?secret_key=sesame"}},
        {"target": {"name": "driving", "source": {"kind": "videos", "path": "abfs://c@a/x?client_secret=sesame"}}},
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="holds a secret") as caught:
        parse_spec({**MINIMAL, **change})
    assert "sesame" not in str(caught.value)


def test_specs_are_frozen() -> None:
    spec = parse_spec(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        spec.seed = 3  # type: ignore[misc]


@given(weights=st.lists(st.floats(0, 1e6), min_size=2, max_size=2).filter(lambda w: sum(w) > 1e-9), rho=st.floats(0, 1))
def test_trial_parameters_replace_values_and_are_validated(weights: list[float], rho: float) -> None:
    spec = parse_spec({**MINIMAL, "replay": REPLAY})
    changed = with_values(spec, {"replay.frequency": rho, "replay.weights": weights})
    assert changed.replay.frequency == rho
    assert sum(changed.replay.mix) == pytest.approx(1)
    with pytest.raises(SpecError):
        with_values(spec, {"replay.frequency": 1.5})


def test_every_field_is_documented() -> None:
    schema = Spec.model_json_schema()
    sections = {"Spec": schema, **schema["$defs"]}
    missing = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, field in section.get("properties", {}).items()
        if key != "kind" and not field.get("description")
    ]
    assert not missing


def test_importing_the_package_and_a_spec_loads_no_engine() -> None:
    code = (
        "import sys, drivereplay, drivereplay.spec; "
        "print([m for m in ('torch', 'ray', 'diffusers', 'cv2', 'optuna', 'tensorboard') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
