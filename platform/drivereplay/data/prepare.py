"""All domains of an experiment made ready: worlds written, videos probed, indexes kept for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from drivereplay.data.buffer import buffered
from drivereplay.data.duplicates import shared_footage
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.quality import enforce, measures_of, table
from drivereplay.data.rendered import RenderedIndex
from drivereplay.domains import recordings
from drivereplay.errors import SpecError
from drivereplay.spec import DomainSpec, QualitySpec, Spec, WorldSource
from drivereplay.storage import Storage


def prepare(spec: Spec) -> dict[str, ClipIndex]:
    """The clip index of every domain, by name, in the order of `spec.domains`.

    Indexes lie in `<storage>/.shared/indexes/`, one for each source and definition of a clip; a second run reads only
    what has changed since.

    Raises:
        SpecError: A source does not exist or holds no video, a world cannot be rendered as asked, or the target has
            nothing to evaluate on.
        DataError: A domain has no clip, or its data look worse than `spec.quality` allows.
    """
    shared = Storage.of(spec.storage).below(".shared")
    indexes = {domain.name: _index(spec, domain, shared) for domain in spec.domains}
    _check_target(indexes[spec.target.name], spec)
    everything = evaluation_indexes(spec, indexes)
    named = [name for wanted in spec.evaluation.sets.values() for name in wanted.domains]
    held_out = {name: everything[name] for name in (spec.target.name, *named)}
    for domain in spec.domains:
        index = _apart(indexes[domain.name], held_out).trained_on(domain.split)
        if domain is not spec.target:
            index = buffered(index, spec.replay.buffer, spec.seed, shared.below("indexes", "buffers"))
        indexes[domain.name] = index
    return indexes


def quality(indexes: Mapping[str, ClipIndex], limits: QualitySpec) -> dict[str, list[dict[str, Any]]]:
    """The data-quality report of each domain: a row for each check."""
    return {name: table(measures_of(index.report.quality), limits) for name, index in indexes.items()}


def evaluation_indexes(spec: Spec, indexes: Mapping[str, ClipIndex]) -> dict[str, ClipIndex]:
    """The indexes of the domains that are trained on, and of those that are only evaluated on, all held out.

    Args:
        indexes: What `prepare` gives.
    """
    shared = Storage.of(spec.storage).below(".shared")
    named = {name for wanted in spec.evaluation.sets.values() for name in wanted.domains}
    further = [domain for domain in spec.evaluation.domains if domain.name in named]
    return {**indexes, **{domain.name: _index(spec, domain, shared, held_out=True) for domain in further}}


def _index(spec: Spec, domain: DomainSpec, shared: Storage, *, held_out: bool = False) -> ClipIndex:
    if isinstance(domain.source, WorldSource) and domain.source.clips == "fresh":
        return RenderedIndex(domain.name, spec.clip, domain.source)
    found = recordings(domain, spec.clip, shared)
    if held_out:
        found = [replace(recording, split="evaluation") for recording in found]
    index = ingest(
        found,
        domain=domain.name,
        clip=spec.clip,
        held_out=spec.evaluation.held_out,
        seed=spec.evaluation.seed,
        out=shared.below("indexes", _name(spec, domain) + ("-held-out" if held_out else "")).uri,
    )
    enforce(domain.name, measures_of(index.report.quality), spec.quality)
    return index


def _apart(index: ClipIndex, held_out: Mapping[str, ClipIndex]) -> ClipIndex:
    """A domain without what is held out of another one: nothing may be trained on and evaluated by."""
    dropped: dict[str, str] = {}
    for name, other in held_out.items():
        if name != index.name:
            shared = shared_footage(index.footage("train"), other.footage("evaluation"))
            dropped |= {key: f"shows the same as {same}, held out of '{name}'" for key, same in shared.items()}
    return index.without(dropped) if dropped else index


def _name(spec: Spec, domain: DomainSpec) -> str:
    # clips that differ in size alone have the same windows, but an index says which clip it was made for
    judged = spec.evaluation
    made: Any = (domain.source.model_dump_json(), spec.clip.model_dump_json(), judged.held_out, judged.seed)
    return f"{domain.name}-{hashlib.sha256(repr(made).encode()).hexdigest()[:16]}"


def _check_target(index: ClipIndex, spec: Spec) -> None:
    if index.count("evaluation"):
        if index.count("train"):
            return
        raise SpecError(f"The target '{index.name}' has no training clip: all its recordings are held out.", _ADD)
    raise SpecError(
        f"The target '{index.name}' has one usable recording, so none can be held out for evaluation. "
        + " ".join(f"{key} {reason}." for key, reason in list(index.report.set_aside.items())[:3]),
        _ADD,
    )


_ADD = "Add a recording, or name held-out videos as target.source.evaluation."
