"""All domains of an experiment made ready: worlds written, videos probed, indexes kept for the next run."""

from __future__ import annotations

import hashlib
from typing import Any

from drivereplay.data.buffer import buffered
from drivereplay.data.duplicates import shared_footage
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.rendered import RenderedIndex
from drivereplay.domains import recordings
from drivereplay.errors import SpecError
from drivereplay.spec import DomainSpec, Spec, WorldSource
from drivereplay.storage import Storage


def prepare(spec: Spec) -> dict[str, ClipIndex]:
    """The clip index of every domain, by name, in the order of `spec.domains`.

    Indexes lie in `<storage>/.shared/indexes/`, one for each source and definition of a clip; a second run reads only
    what has changed since.

    Raises:
        SpecError: A source does not exist or holds no video, a world cannot be rendered as asked, or the target has
            nothing to evaluate on.
        DataError: A domain has no clip.
    """
    shared = Storage.of(spec.storage).below(".shared")
    indexes: dict[str, ClipIndex] = {}
    for domain in spec.domains:
        index = _index(spec, domain, shared)
        if domain is not spec.target:
            index = _apart(index, indexes[spec.target.name]).trained_on(domain.subset)
            index = buffered(index, spec.replay.buffer, spec.seed, shared.below("indexes", "buffers"))
        else:
            _check_target(index, spec)
            index = index.trained_on(domain.subset)
        indexes[domain.name] = index
    return indexes


def _index(spec: Spec, domain: DomainSpec, shared: Storage) -> ClipIndex:
    if isinstance(domain.source, WorldSource) and domain.source.clips == "fresh":
        return RenderedIndex(domain.name, spec.clip, domain.source)
    return ingest(
        recordings(domain, spec.clip, shared),
        domain=domain.name,
        clip=spec.clip,
        held_out=spec.evaluation.held_out,
        seed=spec.evaluation.seed,
        out=shared.below("indexes", _name(spec, domain)).uri,
    )


def _apart(index: ClipIndex, target: ClipIndex) -> ClipIndex:
    """A replay domain without what is held out of the target: nothing may be trained on and judged by."""
    shared = shared_footage(index.footage("train"), target.footage("evaluation"))
    if not shared:
        return index
    return index.without(
        {key: f"shows the same as {other}, held out of '{target.name}'" for key, other in shared.items()}
    )


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
