"""What a job takes along: the packages as they are here, the resolved experiment, and what the user adds."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivereplay._sections.own_family import names_file, source_of
from drivereplay.addresses import refuse_secrets
from drivereplay.errors import SpecError
from drivereplay.jobs.tree import RAY_LEAVES_OUT, Files, credentials
from drivereplay.spec import Spec, load_spec

LIMIT_BYTES = 512 * 1024**2
"""Ray keeps a job's files in its control store and takes no message above 512 MiB."""

_PACKAGES = ("drivereplay", "tensorboard_pareto")
_OUTPUT_OPTIONS = ("--out", "--plot", "--storage")
_WRITES_TO_FIRST = ("worlds",)
_KEEPS_IN_RUNS = ("demo", "doctor")


@dataclass(frozen=True)
class Package:
    """A staged directory that becomes the job's working directory.

    Attributes:
        directory: Where it is staged.
        arguments: The verb and its arguments as they are called inside it.
        files: Relative path and size in bytes of each file, sorted by path.
        experiment: The resolved experiment among the arguments, or None.
        left_out: Path and reason of what was to be included and does not travel.
    """

    directory: Path
    arguments: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    experiment: Spec | None
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def size_bytes(self) -> int:
        """Of all files, unpacked."""
        return sum(size for _, size in self.files)

    @property
    def run(self) -> str | None:
        """The directory of the run that the job works on; two jobs with the same one would be rivals."""
        return None if self.experiment is None else f"{self.experiment.storage.rstrip('/')}/{self.experiment.name}"

    def folders(self) -> list[tuple[str, int]]:
        """Bytes for each folder, the largest first."""
        return _folders(self.files)


def pack(
    arguments: Sequence[str], into: Path, include: Iterable[str | Path] = (), limit_bytes: int = LIMIT_BYTES
) -> Package:
    """Stage what a verb needs.

    An experiment file is resolved here, with its `--set` values, and its relative paths are made absolute: the job
    runs in another directory, often on another machine. Data stay where they are; only code and experiment travel.

    Args:
        arguments: The verb and its arguments, as on this machine.
        into: An empty directory.
        include: Further files and directories, staged under their own names at the top.
        limit_bytes: Largest sum of the files' sizes.

    Raises:
        SpecError: No verb, an experiment that is wrong, a file that is missing, more than the limit, or a secret in
            an address: a cluster shows its jobs' commands.
    """
    if not arguments or arguments[0].startswith("-"):
        raise SpecError("submit: no verb is given.", "For example: drivereplay submit -- sweep experiment.yaml")
    for text in arguments:
        name, equals, value = text.partition("=")
        refuse_secrets(value if equals and "://" not in name else text)
    found = Files()
    for name in _PACKAGES:
        # some installers link each of its files to a place of their own
        found.add(_location(name), name, confined=False)
    for item in include:
        found.add(*_named(item, found))
    _check_size(found.sizes(), limit_bytes)
    for place, source in found.taken.items():
        (into / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, into / place)
    rewritten, experiment = _rewritten(list(arguments), into)
    files = tuple(sorted(_listed(into)))
    return Package(into, tuple(rewritten), files, experiment, tuple(found.left_out.items()))


def readable(size: int) -> str:
    """Bytes as people write them: 1.5 MiB."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _location(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SpecError(f"The package {package} is not installed here.", "Install drivereplay: pip install -e .")
    return Path(found.origin).parent


def _named(item: str | Path, found: Files) -> tuple[Path, str]:
    """What `--include` names, and its name in the package."""
    source = Path(os.path.normpath(Path(item).absolute()))
    if not (source.is_file() or source.is_dir()):
        raise SpecError(f"submit --include {item}: there is no such file or directory.")
    name = source.name
    if not name or name in RAY_LEAVES_OUT:
        raise SpecError(f"submit --include {item}: Ray takes nothing of that name along.", "Rename it.")
    secret = credentials(source, name)
    if secret:
        raise SpecError(
            f"submit --include {item}: {secret}.", "Hand variables on with --env, or use the machine's role."
        )
    if any(place.split("/")[0] == name for place in (*found.taken, *found.left_out)):
        raise SpecError(f"submit --include {item}: '{name}' is already in the package.", "Rename it.")
    return source, name


def _check_size(files: Sequence[tuple[str, int]], limit_bytes: int) -> None:
    total = sum(size for _, size in files)
    if total > limit_bytes:
        largest = ", ".join(f"{folder} {readable(size)}" for folder, size in _folders(files)[:3])
        raise SpecError(
            f"The job's files are {readable(total)}, Ray takes {readable(limit_bytes)}; most: {largest}.",
            "Leave data where all nodes can read it (a shared file system, an object store).",
        )


def _folders(files: Iterable[tuple[str, int]], depth: int = 2) -> list[tuple[str, int]]:
    """Bytes for each folder, the largest first."""
    sizes: dict[str, int] = {}
    for path, size in files:
        folder = "/".join(path.split("/")[:-1][:depth]) or "."
        sizes[folder] = sizes.get(folder, 0) + size
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))


def _listed(directory: Path) -> Iterator[tuple[str, int]]:
    for path in directory.rglob("*"):
        if path.is_file():
            yield path.relative_to(directory).as_posix(), path.stat().st_size


def _rewritten(arguments: list[str], into: Path) -> tuple[list[str], Spec | None]:
    """The arguments as they mean the same inside the package, and the experiment among them."""
    rest, sets = without_sets(arguments)
    place = next((n for n, text in enumerate(rest) if n and text.endswith((".yaml", ".yml"))), None)
    if place is None:
        if arguments[0] in _KEEPS_IN_RUNS and not any(text.startswith("--storage") for text in arguments):
            # their `runs` is below the directory in which they are called, and a job's own is thrown away
            arguments = [*arguments, "--storage", "runs"]
        return [_anchored(arguments, n) for n in range(len(arguments))], None
    experiment = load_spec(rest[place], sets)
    experiment = experiment.model_copy(update={"storage": _absolute(experiment.storage)})
    relative = f"experiments/{experiment.name}.yaml"
    (into / "experiments").mkdir(exist_ok=True)
    if names_file(experiment.model.family):
        # the user's own family travels beside the experiment that names it
        source, name = source_of(experiment.model.family), experiment.model.family.rpartition(":")[2]
        (into / "experiments" / f"{experiment.name}_family.py").write_text(source, encoding="utf-8")
        own = experiment.model.model_copy(update={"family": f"{experiment.name}_family.py:{name}"})
        experiment = experiment.model_copy(update={"model": own})
    (into / relative).write_text(experiment.to_yaml(), encoding="utf-8")
    return [relative if n == place else _anchored(rest, n) for n in range(len(rest))], experiment


def without_sets(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A verb's arguments without `--set` and its values, and the values.

    Raises:
        SpecError: The last `--set` has no value.
    """
    rest: list[str] = []
    sets: list[str] = []
    waiting = False
    for text in arguments:
        if waiting:
            sets.append(text)
            waiting = False
        elif text == "--set":
            waiting = True
        elif text.startswith("--set="):
            sets.append(text.removeprefix("--set="))
        else:
            rest.append(text)
    if waiting:
        raise SpecError("--set: expected key=value after it.", "For example --set training.steps=50.")
    return rest, sets


def _anchored(arguments: list[str], n: int) -> str:
    """An argument that is a path, made absolute: what exists here, and what the verb will write."""
    text = arguments[n]
    option, equals, value = text.partition("=")
    if equals and option in _OUTPUT_OPTIONS:
        return f"{option}={_absolute(value)}"
    if n == 0 or text.startswith("-"):
        return text
    is_output = arguments[n - 1] in _OUTPUT_OPTIONS or (n == 1 and arguments[0] in _WRITES_TO_FIRST)
    return _absolute(text) if is_output or Path(text).exists() else text


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.normpath(Path(path).expanduser().absolute())
