"""The experiment file: one YAML says everything; typed, validated, frozen."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from drivereplay._sections.base import Section
from drivereplay._sections.judge import EvaluationSpec, RacingSpec, ResourcesSpec, SchedulerSpec, SearchSpec, SetSpec
from drivereplay._sections.own_family import names_file
from drivereplay._sections.quality import QualitySpec
from drivereplay._sections.strict import StrictYamlError, dump_yaml, load_yaml, validated
from drivereplay._sections.train import (
    AdapterSpec,
    AugmentSpec,
    ModelSpec,
    NoiseLevelsSpec,
    RetentionSpec,
    TrainingSpec,
)
from drivereplay._sections.video import (
    AdaptiveSpec,
    BufferSpec,
    ClipSpec,
    DatasetSource,
    DomainSpec,
    Name,
    ReplaySpec,
    SourceSpec,
    VideosSource,
    WorldSource,
)
from drivereplay.addresses import refuse_secrets
from drivereplay.errors import SpecError

__all__ = [
    "AdapterSpec", "AdaptiveSpec", "AugmentSpec", "BufferSpec", "ClipSpec", "DatasetSource", "DomainSpec",
    "EvaluationSpec", "ModelSpec", "NoiseLevelsSpec", "QualitySpec", "RacingSpec", "ReplaySpec", "ResourcesSpec",
    "RetentionSpec", "SchedulerSpec", "SearchSpec", "SetSpec", "SourceSpec", "Spec", "TrainingSpec", "VideosSource",
    "WorldSource", "load_quality", "load_spec", "parse_spec", "read_spec", "with_values",
]  # fmt: skip


class Spec(Section):
    """A whole experiment: what is fine-tuned on what, how it is judged, and what is searched."""

    name: Name
    """Name of the run; its directory below `storage`."""
    seed: int = 0
    """Seed of everything: plan, noise, weights, search."""
    storage: str = "runs"
    """Where runs are kept: a directory or any pyarrow filesystem URI."""
    clip: ClipSpec = ClipSpec()
    """What a clip is."""
    model: ModelSpec = ModelSpec()
    """Which video model is fine-tuned."""
    adapter: AdapterSpec = AdapterSpec()
    """Which of its parameters are trained."""
    target: DomainSpec
    """The domain that is fine-tuned on (driving)."""
    replay: ReplaySpec = ReplaySpec()
    """How much replay, and from where."""
    training: TrainingSpec = TrainingSpec()
    """How it is trained."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """How it is judged."""
    search: SearchSpec = SearchSpec()
    """What is searched."""
    quality: QualitySpec = QualitySpec()
    """From which values on data that look wrong are reported, or end the run."""
    resources: ResourcesSpec = ResourcesSpec()
    """What trials and their data tasks ask of the Ray cluster."""

    @pydantic.model_validator(mode="after")
    def _domains_differ(self) -> Spec:
        if self.target.name in {d.name for d in self.replay.domains}:
            raise ValueError(f"the target and a replay domain are both called '{self.target.name}'")
        return self

    @pydantic.model_validator(mode="after")
    def _sets_are_there(self) -> Spec:
        known = [domain.name for domain in (*self.domains, *self.evaluation.domains)]
        twice = sorted({name for name in known if known.count(name) > 1})
        if twice:
            raise ValueError(f"evaluation.domains: there is already a domain called '{twice[0]}'")
        for name, wanted in self.evaluation.sets.items():
            for domain in wanted.domains:
                if domain not in known:
                    raise ValueError(
                        f"evaluation.sets.{name}.domains: there is no domain '{domain}'; there are {', '.join(known)}"
                    )
        search, sets = self.search, self.evaluation.sets
        for key, names in (
            ("evaluation.metrics", self.evaluation.metrics),
            ("search.objectives", search.objectives),
            ("search.constraints", search.constraints),
        ):
            for name in names:
                metric, at, wanted_set = name.partition("@")
                if at and wanted_set not in sets:
                    there = ", ".join(f"'{metric}@{one}'" for one in sets) or f"'{metric}', as no sets are named"
                    raise ValueError(f"{key}: there is no evaluation set '{wanted_set}' for '{name}'; valid: {there}")
        return self

    @property
    def domains(self) -> tuple[DomainSpec, ...]:
        """The target first, then the replay domains; a domain's number in plans and ledgers is its place here."""
        return (self.target, *self.replay.domains)

    def to_yaml(self) -> str:
        """The resolved file: every field, defaults included."""
        return dump_yaml(self.model_dump(mode="json"))


def load_spec(path: str | Path, sets: Iterable[str] = ()) -> Spec:
    """Read an experiment file.

    Args:
        path: A YAML file. Relative paths of sources and of the base model count from its directory, those of `storage`
            and `search.warm_start` from the current one.
        sets: Overrides such as `training.steps=50`; values are YAML.

    Raises:
        SpecError: The file cannot be read, is not a mapping, or a value is wrong. The message has the key's path.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SpecError(f"Cannot read the experiment file {path}: {error}.", "Give the path of a YAML file.") from error
    return read_spec(text, sets, base=path.parent, where=str(path))


def read_spec(text: str | bytes, sets: Iterable[str] = (), *, base: Path | None = None, where: str) -> Spec:
    """An experiment from the text of its file; arguments and errors are those of `load_spec` and `parse_spec`."""
    try:
        data = load_yaml(text)
    except StrictYamlError as error:
        raise SpecError(f"{where} is not valid YAML: {error}.", "Correct the place that is named.") from error
    if not isinstance(data, dict):
        raise SpecError(
            f"{where} is not a mapping but {type(data).__name__}.",
            "An experiment file begins with `name:` and `target:`.",
        )
    return parse_spec(_overridden(data, sets), base=base, where=where)


def load_quality(path: str | Path) -> QualitySpec:
    """Read the limits of the data-quality report from an experiment file, or from a file of that section alone.

    Raises:
        SpecError: The file cannot be read, or a value is wrong.
    """
    path = Path(path)
    try:
        data = load_yaml(path.read_bytes())
    except OSError as error:
        raise SpecError(f"Cannot read {path}: {error}.", "Give the path of a YAML file.") from error
    except StrictYamlError as error:
        raise SpecError(f"{path} is not valid YAML: {error}.", "Correct the place that is named.") from error
    section = data.get("quality", {} if "target" in data else data) if isinstance(data, dict) else data
    try:
        return validated(QualitySpec, section)
    except pydantic.ValidationError as error:
        wrong = "; ".join(f"quality.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SpecError(f"{path}: {wrong}.", _FIX) from error


def parse_spec(data: Mapping[str, Any], *, base: Path | None = None, where: str = "the experiment") -> Spec:
    """Validate a mapping as an experiment.

    Args:
        data: The parsed YAML.
        base: Directory from which relative source paths count; None leaves them as they are.
        where: Named in error messages.
    """
    try:
        spec = validated(Spec, data)
    except pydantic.ValidationError as error:
        raise SpecError(f"{where}: " + "; ".join(_explained(e, data) for e in error.errors()), _FIX) from error
    _refuse_secrets(spec)
    return _anchored(spec, base)


def with_values(spec: Spec, values: Mapping[str, Any]) -> Spec:
    """A copy of `spec` with dotted keys replaced, validated anew. This is what a trial does with its parameters."""
    data = spec.model_dump(mode="json")
    for key, value in values.items():
        _put(data, key, value)
    return parse_spec(data, where=f"{spec.name} with {dict(values)}")


_FIX = "Every key is described by `drivereplay spec --keys`."


def _overridden(data: dict[str, Any], sets: Iterable[str]) -> dict[str, Any]:
    for item in sets:
        key, separator, text = item.partition("=")
        if not separator or not key:
            raise SpecError(f"--set {item}: expected key=value.", "For example --set training.steps=50.")
        try:
            value = load_yaml(text)
        except StrictYamlError as error:
            raise SpecError(f"--set {item}: the value is not valid YAML: {error}.") from error
        _put(data, key, value)
    return data


def _put(data: Any, dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node: Any = data
    for part in parents:
        if isinstance(node, list):
            node = node[_list_position(node, part, dotted)]
            continue
        if node.get(part) is None:
            node[part] = {}
        node = node[part]
        if not isinstance(node, dict | list):
            raise SpecError(f"{dotted}: '{part}' is a value, not a section.", _FIX)
    if isinstance(node, list):
        node[_list_position(node, last, dotted)] = value
    else:
        node[last] = value


def _list_position(items: list[Any], part: str, dotted: str) -> int:
    """Lists are addressed by position or, for domains, by name: replay.domains.street.weight."""
    for position, item in enumerate(items):
        if part == str(position) or (isinstance(item, dict) and item.get("name") == part):
            return position
    names = [str(i.get("name")) if isinstance(i, dict) else str(n) for n, i in enumerate(items)]
    raise SpecError(f"{dotted}: there is no '{part}' in the list, which has {', '.join(names) or 'nothing'}.")


def _explained(error: Any, data: Any) -> str:
    """One pydantic error as `path: what`, with the nearest valid name for an unknown key."""
    location = [str(part) for part in error["loc"]]
    # pydantic puts the source's kind into the path; a reader of the file would look for it in vain
    kept = [part for n, part in enumerate(location) if not (n and location[n - 1] == "source" and part in _TAGS)]
    path = ".".join(kept) or "the file"
    if error["type"] == "extra_forbidden":
        if location[-1] in _RENAMED:
            return f"{path}: {_RENAMED[location[-1]]}"
        names = _siblings(location)
        near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.5)
        return f"{path}: unknown key" + (
            f", did you mean '{near[0]}'?" if near else f"; valid here: {', '.join(names)}"
        )
    if error["type"] == "missing":
        return f"{path}: is missing"
    message = error["msg"].removeprefix("Value error, ")
    got = error.get("input")
    shown = "" if isinstance(got, dict | list) or message.startswith("`") else f" (got {_as_yaml(got)})"
    return f"{path}: {message}{shown}"


def _as_yaml(value: Any) -> str:
    """A scalar as the file has it: `true`, where Python says `True`."""
    return repr(value) if isinstance(value, str) else dump_yaml(value).split("\n", 1)[0]


_RENAMED = {
    "subset": "is called `split` now",
    "replay_clips": "is gone: name an evaluation set of each replay domain in `evaluation.sets`",
}
_TAGS = {"world", "videos", "kitti", "nuscenes", "bdd100k", "argoverse2", "comma2k19", "lerobot", "images"}


def _siblings(location: list[str]) -> list[str]:
    """Valid names beside the unknown key at `location`."""
    schema = Spec.model_json_schema()
    definitions = schema["$defs"]
    node: dict[str, Any] = schema
    for part in location[:-1]:
        if part in _TAGS and "mapping" in node.get("discriminator", {}):
            node = definitions[node["discriminator"]["mapping"][part].rsplit("/", 1)[-1]]
            continue
        below: dict[str, Any] = next(iter(node.get("patternProperties", {}).values()), {})
        below = node.get("items", {}) if part.isdigit() else node.get("properties", {}).get(part, below)
        node = _resolved(below, definitions)
    return sorted(node.get("properties", {}))


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for option in (node, *node.get("allOf", ()), *node.get("anyOf", ())):
        if "$ref" in option:
            resolved: dict[str, Any] = definitions[option["$ref"].rsplit("/", 1)[-1]]
            return resolved
        if option is not node and option.get("type") == "array":
            return option  # type: ignore[no-any-return]
    return node


def _refuse_secrets(spec: Spec) -> None:
    """No address in the experiment may hold a secret: the saved file, logs and a job's metadata show it."""
    sources = [
        domain.source
        for domain in (*spec.domains, *spec.evaluation.domains)
        if not isinstance(domain.source, WorldSource)
    ]
    places = [spec.storage, spec.search.warm_start, spec.model.base]
    for place in (*places, *(s.path for s in sources), *(s.evaluation for s in sources)):
        if place is not None and "://" in place:
            refuse_secrets(place)


def _anchored(spec: Spec, base: Path | None) -> Spec:
    """Relative paths made absolute, so that the saved file means the same from anywhere.

    What runs leave behind counts from the current directory, as on any command line: trials and jobs have others. What
    they are made of counts from the experiment file.
    """
    here = Path.cwd()
    search = spec.search.model_copy(update={"warm_start": _absolute(spec.search.warm_start, here)})
    spec = spec.model_copy(update={"storage": _absolute(spec.storage, here), "search": search})
    if base is None:
        return spec
    if names_file(spec.model.family):
        path, _, name = spec.model.family.rpartition(":")
        own = f"{_absolute(path, base)}:{name}"
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"family": own})})
    # a name without a slash is a shipped base's; one with a slash that is no directory is looked for on the hub
    if "/" in spec.model.base and Path(found := _absolute(spec.model.base, base) or "").is_dir():
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"base": found})})

    def moved(source: SourceSpec) -> SourceSpec:
        if isinstance(source, WorldSource):
            return source
        changes = {key: _absolute(getattr(source, key), base) for key in ("path", "evaluation")}
        return source.model_copy(update=changes)

    def domain(d: DomainSpec) -> DomainSpec:
        return d.model_copy(update={"source": moved(d.source)})

    replay = spec.replay.model_copy(update={"domains": tuple(domain(d) for d in spec.replay.domains)})
    evaluation = spec.evaluation.model_copy(update={"domains": tuple(domain(d) for d in spec.evaluation.domains)})
    return spec.model_copy(update={"target": domain(spec.target), "replay": replay, "evaluation": evaluation})


def _absolute(path: str | None, base: Path) -> str | None:
    if path is None or "://" in path:
        return path
    # a path that starts at the root or at somebody's home stays where it is
    return os.path.normpath(base.absolute() / Path(path).expanduser())
