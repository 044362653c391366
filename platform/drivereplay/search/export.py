"""A chosen candidate as a ready diffusers directory with a model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, load_front
from drivereplay.search.predictor import padded
from drivereplay.spec import Spec, read_spec, with_values
from drivereplay.storage import Storage

CARD = "README.md"
_LEFT_OUT = ("training", "manifest.json")


def export_candidate(directory: str | Path, name: str, out: str | Path) -> Path:
    """Copy a candidate's checkpoint and write its model card.

    Args:
        directory: Of the sweep.
        name: Of the candidate (`t0003@200`), or `knee`.
        out: New directory.

    Returns:
        `out`; `from_pretrained` of diffusers reads it.

    Raises:
        SpecError: There is no such candidate, it kept no checkpoint, or `out` holds something already.
    """
    front = load_front(directory)
    candidate = _chosen(front, name)
    storage = Storage.of(directory)
    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise SpecError(f"{out} is not empty.", "Give a new directory.")
    if not candidate.checkpoint or not storage.exists(candidate.checkpoint):
        raise SpecError(
            f"The checkpoint of {candidate.name} is not kept any more.",
            "Keep more of them (`training.keep`), or train its setting again: trials/<id>/spec.yaml.",
        )
    storage.below(candidate.checkpoint).download("", out)
    for left_out in _LEFT_OUT:  # the optimiser's state is of no use to who generates
        Storage.of(out).delete(left_out)
    (out / CARD).write_text(model_card(front, candidate, _trial_spec(storage, candidate)), encoding="utf-8")
    return out


def candidate_spec(address: str, sets: Iterable[str] = ()) -> Spec:
    """The experiment of a candidate's own trial, to train it again with another base, size or length.

    Args:
        address: `RUN:CANDIDATE`, a sweep's directory and a candidate's name or `knee`.
        sets: Overrides such as `training.steps=5000`.

    Returns:
        The sweep's experiment with the candidate's values and seed; its name says where it comes from. It searches
        nothing.

    Raises:
        SpecError: There is no such sweep or candidate, or a value is wrong.
    """
    run, separator, name = address.rpartition(":")
    if not separator or not run or not name or "/" in name:
        raise SpecError(f"--from {address}: expected RUN:CANDIDATE.", "For example --from runs/quickstart:knee.")
    front = load_front(run)
    candidate = _chosen(front, name)
    storage = Storage.of(run)
    sweep = read_spec(storage.read("spec.yaml"), where=f"{storage.uri}/spec.yaml")
    values = {**padded(candidate.parameters, sweep), "seed": candidate.seed}
    if 0 < candidate.step < sweep.training.steps:
        values["training.steps"] = candidate.step  # the front's place is that of this checkpoint
    values |= {"name": f"{sweep.name}-{candidate.trial}", "search.space": {}, "search.scheduler": None}
    return read_spec(with_values(sweep, values).to_yaml(), sets, where=address)


def model_card(front: Front, candidate: Candidate, spec: Spec) -> str:
    """Markdown with what the model was made of and how it was judged."""
    environment = _environment(front)
    head = {
        "library_name": "diffusers",
        "pipeline_tag": "image-to-video",
        "base_model": spec.model.base,
        "tags": ["drivereplay", "video-generation", "autonomous-driving", spec.model.family],
    }
    rows = [
        ["driving (target)", spec.target.name, f"{1 - spec.replay.frequency:.3g}", spec.target.source.kind],
        *(
            ["replay", domain.name, f"{spec.replay.frequency * weight:.3g}", domain.source.kind]
            for domain, weight in zip(spec.replay.domains, spec.replay.mix, strict=True)
        ),
    ]
    judged = [
        [f"`{metric}`", f"{e.mean:.4g}", f"{e.low:.4g} to {e.high:.4g}", e.n]
        for metric, e in sorted(candidate.metrics.items())
    ]
    knee = front.knee is not None and front.knee.name == candidate.name
    place = "the knee of the front" if knee else "on the front" if candidate in front.front else "not on the front"
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=False).strip(),
            "---",
            "",
            f"# {spec.name}: candidate {candidate.name}",
            "",
            f"A {spec.model.family} video model fine-tuned for {candidate.step} steps of {spec.training.batch_size} "
            f"clips on driving footage with replay of other domains. It is {place} of the sweep `{spec.name}`.",
            "",
            "## Data and replay",
            "",
            _table(["part", "domain", "share of samples", "source"], rows),
            "",
            f"Replay frequency ρ = {spec.replay.frequency:.4g}, layout `{spec.replay.layout}`. "
            f"Clips of {spec.clip.frames} frames ({spec.clip.context} given) at {spec.clip.fps:g} frames/s, "
            f"{spec.clip.width}×{spec.clip.height} px.",
            "",
            "## How it was judged",
            "",
            _table(["metric", "value", "95 % interval", "clips"], judged),
            "",
            f"Protocol `{candidate.protocol}`. Figures of other protocols cannot be compared with these.",
            "",
            "## How to make it again",
            "",
            f"Seeds: training {candidate.seed}, evaluation {spec.evaluation.seed}. Base `{spec.model.base}`, adapter "
            f"`{spec.adapter.kind}`, learning rate {spec.training.learning_rate:g}. drivereplay "
            f"{environment.get('drivereplay', 'unknown')}, commit {environment.get('commit') or 'unknown'}.",
            "",
            "```yaml",
            spec.to_yaml().strip(),
            "```",
            "",
        ]
    )


def _chosen(front: Front, name: str) -> Candidate:
    if name == "knee":
        if front.knee is None:
            raise SpecError("The front is empty: no candidate has finished.")
        return front.knee
    for candidate in front.candidates:
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in front.front)
    raise SpecError(f"There is no candidate '{name}'.", f"On the front are: {known}.")


def _trial_spec(storage: Storage, candidate: Candidate) -> Spec:
    place = f"trials/{candidate.trial}/spec.yaml"
    return read_spec(storage.read(place), where=f"{storage.uri}/{place}")


def _environment(front: Front) -> dict[str, Any]:
    if front.directory is None or not front.directory.exists("environment.json"):
        return {}
    found: dict[str, Any] = json.loads(front.directory.read("environment.json"))
    return found


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
