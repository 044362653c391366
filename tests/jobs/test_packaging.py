"""What travels with a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivereplay.errors import SpecError
from drivereplay.jobs.packaging import pack, readable
from drivereplay.spec import load_spec


def test_the_packages_and_the_experiment_travel(tmp_path: Path, experiment: Path) -> None:
    package = pack(["sweep", str(experiment), "--json"], _empty(tmp_path))
    names = {path for path, _ in package.files}
    assert {"drivereplay/cli/experiments.py", "drivereplay/__main__.py", "drivereplay/jobs/submit.py"} <= names
    assert any(name.startswith("tensorboard_pareto/") for name in names)
    assert "experiments/small.yaml" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    assert package.arguments == ("sweep", "experiments/small.yaml", "--json")
    assert package.size_bytes == sum(p.stat().st_size for p in package.directory.rglob("*") if p.is_file())


def test_the_experiment_means_the_same_in_the_job(
    tmp_path: Path, experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(experiment.parent)
    package = pack(["train", "small.yaml", "--set", "seed=7", "--set=training.steps=3"], _empty(tmp_path))
    assert package.arguments == ("train", "experiments/small.yaml")
    inside = load_spec(package.directory / package.arguments[1])
    assert inside.seed == 7
    assert inside.training.steps == 3
    assert inside.storage == str(experiment.parent / "runs")
    assert inside.target.source.path == str(experiment.parent / "clips")
    assert package.run == str(experiment.parent / "runs" / "small")


def test_remote_storage_stays_as_it_is(tmp_path: Path, experiment: Path) -> None:
    package = pack(["sweep", str(experiment), "--set", "storage=s3://bucket/runs"], _empty(tmp_path))
    assert package.run == "s3://bucket/runs/small"


def test_paths_among_the_arguments_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "made").mkdir()
    into = _empty(tmp_path)
    package = pack(["evaluate", "--generated", "made", "--real", "real", "--out=result", "--context", "2"], into)
    here = str(tmp_path)
    assert package.arguments == (
        "evaluate", "--generated", f"{here}/made", "--real", f"{here}/real", f"--out={here}/result", "--context", "2",
    )  # fmt: skip
    assert package.experiment is None and package.run is None


@pytest.mark.parametrize("arguments", [["worlds", "new", "--world", "shapes"], ["ingest", "new", "--out", "new"]])
def test_what_a_verb_writes_becomes_absolute(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = pack(arguments, _empty(tmp_path))
    assert str(tmp_path / "new") in package.arguments


def test_the_demo_is_kept_where_it_was_called_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pack(["demo"], _empty(tmp_path)).arguments == ("demo", "--storage", f"{tmp_path}/runs")
    (tmp_path / "again").mkdir()
    package = pack(["demo", "--storage=s3://bucket/runs"], tmp_path / "again")
    assert package.arguments == ("demo", "--storage=s3://bucket/runs")


def test_included_files_travel_without_what_nobody_needs(tmp_path: Path) -> None:
    tree = tmp_path / "mine"
    for name in (".git/x", "__pycache__/m.pyc", ".venv/lib", "runs/old/spec.yaml", ".gitignore", "readers/fleet.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x", encoding="utf-8")
    package = pack(["doctor"], _empty(tmp_path), include=[tree])
    assert [path for path, _ in package.files if path.startswith("mine/")] == ["mine/readers/fleet.py"]


def test_links_travel_as_what_they_lead_to(tmp_path: Path) -> None:
    tree = tmp_path / "mine"
    (tree / "data").mkdir(parents=True)
    (tree / "data" / "tool").write_text("x", encoding="utf-8")
    (tree / "data" / "tool").chmod(0o755)
    (tree / "link").symlink_to("data/tool")
    (tree / "away").symlink_to("..")
    package = pack(["doctor"], _empty(tmp_path), include=[tree])
    copied = package.directory / "mine" / "link"
    assert copied.read_text(encoding="utf-8") == "x" and not copied.is_symlink()
    assert copied.stat().st_mode & 0o100
    assert package.left_out == (("mine/away", f"links to {tmp_path}, which is outside {tree}"),)


def test_a_directory_above_travels_under_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "below").mkdir(parents=True)
    (tmp_path / "mine" / "a.txt").touch()
    monkeypatch.chdir(tmp_path / "mine" / "below")
    package = pack(["doctor"], _empty(tmp_path), include=[".."])
    assert ("mine/a.txt", 0) in package.files


def test_too_much_is_refused_with_the_folders_that_make_it(tmp_path: Path) -> None:
    heavy = tmp_path / "heavy"
    (heavy / "footage").mkdir(parents=True)
    (heavy / "footage" / "a.mp4").write_bytes(bytes(3 * 1024**2))
    into = _empty(tmp_path)
    with pytest.raises(SpecError, match=r"heavy/footage 3\.0 MiB") as caught:
        pack(["doctor"], into, include=[heavy], limit_bytes=2 * 1024**2)
    assert caught.value.exit_code == 2
    assert "shared file system" in caught.value.fix
    assert not list(into.iterdir())  # nothing is copied before it is known to fit


@pytest.mark.parametrize(
    ("arguments", "include", "said"),
    [
        ([], [], "no verb"),
        (["--json"], [], "no verb"),
        (["sweep", "missing.yaml"], [], "missing.yaml"),
        (["train", "x.yaml", "--set"], [], "--set: expected key=value"),
        (["doctor"], ["nowhere"], "nowhere: there is no such"),
        (["doctor"], ["/dev/null"], "null: there is no such"),
        (["doctor"], [".gitignore"], "Ray takes nothing of that name"),
    ],
)
def test_a_wrong_call_is_refused(
    arguments: list[str], include: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").touch()
    with pytest.raises(SpecError, match=said):
        pack(arguments, _empty(tmp_path), include=include)


def test_a_wrong_experiment_is_refused_before_anything_starts(tmp_path: Path, experiment: Path) -> None:
    with pytest.raises(SpecError, match=r"replay\.frequency"):
        pack(["sweep", str(experiment), "--set", "replay.frequency=2"], _empty(tmp_path))


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "s3://key:hidden@bucket/run"],
        ["demo", "--storage=s3://bucket/runs?secret_key=hidden"],
        ["demo", "--storage", "s3://bucket/runs?secret_key=hidden"],
        ["evaluate", "a", "--set", "storage=s3://key:hidden@bucket/runs"],
    ],
)
def test_a_secret_among_the_arguments_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    """A cluster shows the commands of its jobs to all who may ask."""
    with pytest.raises(SpecError, match="holds a secret") as refused:
        pack(arguments, tmp_path)
    assert "hidden" not in str(refused.value)


def test_two_things_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "drivereplay").mkdir()
    with pytest.raises(SpecError, match="already in the package"):
        pack(["doctor"], _empty(tmp_path), include=[tmp_path / "drivereplay"])


def test_sizes_are_readable() -> None:
    assert [readable(n) for n in (3, 2048, 3 * 1024**2, 5 * 1024**3)] == ["3 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]


def _empty(tmp_path: Path) -> Path:
    into = tmp_path / "staged"
    into.mkdir()
    return into
