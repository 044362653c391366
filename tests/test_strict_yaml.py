"""Strict YAML: what the core schema of YAML 1.2.2 says, and that no file can cost more than it should."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from drivereplay._sections.strict import StrictYamlError, dump_yaml, load_yaml
from drivereplay.errors import SpecError
from drivereplay.spec import load_spec, read_spec, with_values

HEAD = "name: a\ntarget: {name: driving, source: {kind: world, world: highway}}\n"
REPLAY = "replay:\n  domains: [{name: street, source: {kind: videos, path: street}}]\n"

_VALUES: list[tuple[str, Any]] = [
    # examples 10.3 to 10.9 of the specification, and the ones that version 1.1 reads otherwise
    ("null", None), ("~", None), ("true", True), ("False", False), ("0", 0), ("-19", -19), ("0o7", 7), ("0x3A", 58),
    ("0.", 0.0), ("-0.0", -0.0), (".5", 0.5), ("+12e03", 12000.0), ("-2E+05", -200000.0), ("1e3", 1000.0),
    (".inf", math.inf), ("-.Inf", -math.inf), ("0123", 123), ("010", 10), ("1:30", "1:30"), ("190:20:30", "190:20:30"),
    ("yes", "yes"), ("No", "No"), ("on", "on"), ("OFF", "OFF"), ("1_000", "1_000"), ("0b11", "0b11"),
    ("2026-01-02", "2026-01-02"), ("=", "="), ("'1'", "1"), ("!!str 1", "1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), _VALUES)
def test_scalars_are_those_of_version_1_2(text: str, value: Any) -> None:
    read = load_yaml(f"a: {text}\n")["a"]
    assert type(read) is type(value)
    assert read == value


def test_what_is_not_a_number_is_read() -> None:
    assert math.isnan(load_yaml(".nan"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("training:\n  steps: 1\n  batch_size: 2\n  steps: 3\n", ("line 2", "line 4")),
        ("a: 1\nb: {c: 1,\n c: 2}\n", ("line 2", "line 3")),
        ('a: 1\n"a": 2\n', ("line 1", "line 2")),
        ("a: {<<: {b: 1},\n <<: {c: 1}}\n", ("line 1", "line 2")),
    ],
)
def test_a_key_that_occurs_twice_is_refused_with_both_lines(text: str, lines: tuple[str, str]) -> None:
    with pytest.raises(StrictYamlError, match="occurs twice") as caught:
        load_yaml(text)
    assert all(line in str(caught.value) for line in lines)


def test_a_merged_key_may_be_overridden() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc:\n  <<: [*a, {z: 4}]\n"
    assert load_yaml(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2, "z": 4}}


def _grown(first: str, each: str, levels: int) -> str:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} " + each.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " + "{b: " * 100_000,
        "- " * 500 + "a",
        _grown("[x, x]", "[{}]", 12),
        _grown("{x: 1}", "{{<<: [{}]}}", 12),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}}}\n" for n in range(1, 400)),
        "&a [*a]",
        "a: &a {<<: *a}",
        "9" * 5_000,
    ],
    ids=["brackets", "braces", "dashes", "aliases", "merges", "chain", "own element", "own merge", "digits"],
)
def test_bombs_are_refused_at_once(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(StrictYamlError):
        load_yaml(text)
    assert time.process_time() - begin < 2.0


@pytest.mark.parametrize(
    "text", ["1: a", "~: a", "true: a", "[a]: b", "!!python/name:os.system a", "!!set {a}", '"\\ud800"', "a: \0", "<<"]
)
def test_what_is_no_plain_data_is_refused(text: str) -> None:
    with pytest.raises(StrictYamlError):
        load_yaml(text)


_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@example(data={"\x85": "a\u2028b"})
@given(
    data=_DATA | st.sampled_from([value for _, value in _VALUES]).map(str) | st.sampled_from([t for t, _ in _VALUES])
)
def test_what_is_written_is_read_as_the_same_by_this_reader_and_by_others(data: Any) -> None:
    text = dump_yaml(data)
    assert load_yaml(text) == data
    # PyYAML's own reader of version 1.1 stands for other people's tools
    assert yaml.safe_load(text) == data


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("replay.frequency", "yes", "replay.frequency: Input should be a valid number (got 'yes')"),
        ("replay.frequency", "true", "replay.frequency: Input should be a valid number (got true)"),
        ("replay.weights", "[true]", "replay.weights.0: Input should be a valid number (got true)"),
        ("training.steps", "true", "training.steps: Input should be a valid integer (got true)"),
        ("training.steps", "'50'", "training.steps: Input should be a valid integer (got '50')"),
        ("training.steps", "1:30", "training.steps: Input should be a valid integer (got '1:30')"),
        ("training.steps", "50.5", "training.steps: Input should be a valid integer (got 50.5)"),
        ("training.cache", "yes", "training.cache: Input should be a valid boolean (got 'yes')"),
        ("training.cache", "1", "training.cache: Input should be a valid boolean (got 1)"),
        ("name", "0123", "name: Input should be a valid string (got 123)"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_files_and_overrides(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(HEAD + REPLAY)
    with pytest.raises(SpecError) as by_set:
        load_spec(file, [f"{key}={value}"])
    assert said in str(by_set.value)
    section, _, last = key.rpartition(".")
    text = HEAD.replace("name: a\n", "") + REPLAY + f"{last}: {value}\n"
    if section:
        text = HEAD + (REPLAY if section == "replay" else REPLAY + f"{section}:\n") + f"  {last}: {value}\n"
    with pytest.raises(SpecError) as by_file:
        read_spec(text, where="the file")
    assert said in str(by_file.value)


def test_numbers_are_read_as_version_1_2_has_them(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(HEAD + "training: {steps: 0123, learning_rate: 1e-3}\nclip: {fps: 8}\n")
    spec = load_spec(file, ["seed=010"])
    assert (spec.training.steps, spec.training.learning_rate, spec.clip.fps, spec.seed) == (123, 1e-3, 8.0, 10)


def test_an_override_that_names_a_key_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(HEAD)
    with pytest.raises(SpecError, match="--set training=.*'steps' occurs twice"):
        load_spec(file, ["training={steps: 1, steps: 2}"])


def test_a_damaged_saved_experiment_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"spec\.yaml is not valid YAML"):
        read_spec(b"\xff\xfe\0", where="spec.yaml")


def test_numbers_of_a_sampler_are_numbers() -> None:
    import numpy as np

    spec = with_values(
        read_spec(HEAD, where="a"), {"training.steps": np.int64(7), "training.learning_rate": np.float32(0.5)}
    )
    assert (spec.training.steps, spec.training.learning_rate) == (7, 0.5)
