"""Evaluation sets: which clips are in them, and what a report of several says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.clips import StandInModel, make_clip, make_spec

from drivereplay.data.clips import ClipSets, evaluation_sets, evenly
from drivereplay.data.prepare import evaluation_indexes, prepare
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, DriveReplayError, ProtocolError, SpecError
from drivereplay.evaluation.compare import compare
from drivereplay.evaluation.html import FILE
from drivereplay.evaluation.judge import evaluate_model, metrics_of_sets
from drivereplay.evaluation.report import Report
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage

LIGHT = ("fidelity.psnr", "fidelity.fvd_worlds", "agents.ade")


def world(name: str, world: str, split: str = "both", clips: int | str = "fresh", **more: object) -> dict[str, object]:
    return {"name": name, "source": {"kind": "world", "world": world, "clips": clips, "split": split}, **more}


def experiment(storage: Path, sets: dict[str, object], **evaluation: object) -> Spec:
    return parse_spec(
        {
            "name": "sets",
            "storage": str(storage),
            "clip": {"frames": 4, "context": 2, "fps": 8, "height": 16, "width": 24},
            "target": world("driving", "highway"),
            "replay": {"domains": [world("shapes", "shapes", "regular"), world("orbit", "orbit", "regular")]},
            "evaluation": {"clips": 6, "videos": 0, "sets": sets, **evaluation},
        }
    )


def chosen(spec: Spec) -> dict[str, list[str]]:
    found = evaluation_sets(spec, evaluation_indexes(spec, prepare(spec)))
    clips = [clip.name for clip in found]
    assert len(clips) == len(set(clips))
    return {name: sorted(members or clips) for name, members in found.sets.items()}


def test_a_set_unites_domains_with_the_split_of_those_that_have_it(tmp_path: Path) -> None:
    sets = {
        "driving": {"split": "regular"},
        "motion": {"domains": ["driving", "shapes", "orbit"], "split": "rare-motion", "clips": 8},
    }
    spec = experiment(tmp_path, sets)
    found = evaluation_sets(spec, evaluation_indexes(spec, prepare(spec)))
    clips = {clip.name: clip for clip in found}
    driving, motion = ([clips[name] for name in found.sets[s] or ()] for s in ("driving", "motion"))
    assert [clip.subset for clip in driving] == ["regular"] * 6
    counts = {d: sum(clip.domain == d for clip in motion) for d in ("driving", "shapes", "orbit")}
    assert counts == {"driving": 3, "shapes": 3, "orbit": 2}
    assert {clip.subset for clip in motion if clip.domain == "driving"} == {"rare-motion"}
    assert chosen(spec) == chosen(spec)
    # clips of one domain follow each other, so that a batch has one text
    order = [clip.domain for clip in found]
    assert sum(a != b for a, b in itertools.pairwise(order)) == 2


def test_a_clip_of_several_sets_is_there_once(tmp_path: Path) -> None:
    found = chosen(experiment(tmp_path, {"all": {"clips": 40}, "few": {"clips": 4}}))
    assert set(found["few"]) <= set(found["all"]) and len(found["all"]) == 40


def test_a_split_that_no_domain_of_a_set_has_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no held-out clip of split 'rare-motion'"):
        chosen(experiment(tmp_path, {"rare": {"domains": ["shapes", "orbit"], "split": "rare-motion"}}))


def test_one_set_without_a_name_is_what_it_always_was(tmp_path: Path) -> None:
    found = chosen(experiment(tmp_path, {}, split="rare-motion"))
    assert list(found) == [""] and len(found[""]) == 6


def test_a_benchmark_is_only_evaluated_on_and_all_of_it_is(tmp_path: Path) -> None:
    for n in range(3):
        write_video(tmp_path / "town" / f"{n}.mp4", make_clip(n).frames, 8.0)
    bench = {"name": "bench", "source": {"kind": "videos", "path": str(tmp_path / "town")}, "prompt": "a town"}
    sets = {"driving": {}, "bench": {"domains": ["bench"], "clips": 64}}
    spec = experiment(tmp_path / "runs", sets, domains=[bench])
    trained = prepare(spec)
    assert set(trained) == {"driving", "shapes", "orbit"}
    index = evaluation_indexes(spec, trained)["bench"]
    assert index.count("train") == 0 and index.count("evaluation") == len(chosen(spec)["bench"]) >= 3


def test_what_a_set_holds_out_is_not_trained_on(tmp_path: Path) -> None:
    """The target's own footage as a benchmark: none of it may be left to train on, which is refused."""
    for n in range(4):
        write_video(tmp_path / "town" / f"{n}.mp4", make_clip(n).frames, 8.0)
    source = {"kind": "videos", "path": str(tmp_path / "town")}
    spec = experiment(
        tmp_path / "runs", {"bench": {"domains": ["bench"]}}, domains=[{"name": "bench", "source": source}]
    )
    data = spec.model_dump(mode="json")
    data["replay"]["domains"] = [{"name": "copy", "source": source}]
    copied = prepare(parse_spec(data))["copy"]
    assert copied.count("train") == 0 and "held out of 'bench'" in str(copied.report.set_aside)


def test_clips_are_spread_evenly_where_there_are_enough() -> None:
    assert evenly(96, [1000, 1000, 1000]) == [32, 32, 32]
    assert evenly(8, [1000, 1000, 1000]) == [3, 3, 2]
    assert evenly(96, [1000, 5, 1000]) == [46, 5, 45]
    assert evenly(96, [10, 5, 0]) == [10, 5, 0] and evenly(1, [3, 3]) == [1, 0]


def two_sets() -> ClipSets:
    clips = [make_clip(n) for n in range(5)]
    return ClipSets(clips, {"all": frozenset(c.name for c in clips), "rare": frozenset(c.name for c in clips[3:])})


def report(**evaluation: object) -> Report:
    sets = {"all": {}, "rare": {"split": "rare-motion"}}
    spec = make_spec(**{"metrics": LIGHT, "sets": sets, **evaluation})
    return evaluate_model(StandInModel(), two_sets(), spec)  # type: ignore[arg-type]


def test_metrics_are_named_by_set_and_are_those_of_the_set_s_clips_alone(tmp_path: Path) -> None:
    model = StandInModel()
    spec = make_spec(metrics=LIGHT, sets={"all": {}, "rare": {"split": "rare-motion"}})
    found = evaluate_model(model, two_sets(), spec, page=Storage.of(tmp_path))  # type: ignore[arg-type]
    names = {*LIGHT, *make_spec().search.objectives}
    assert set(found.metrics) == {f"{name}@{s}" for name in names for s in ("all", "rare")}
    assert model.calls == 2  # five clips in batches of four: none is generated twice
    alone = evaluate_model(StandInModel(), two_sets().clips[3:], make_spec(metrics=LIGHT))  # type: ignore[arg-type,index]
    for name in LIGHT:
        assert found.metrics[f"{name}@rare"].mean == pytest.approx(alone.metrics[name].mean, rel=1e-5)
        assert found.references["frozen"][f"{name}@rare"].mean == pytest.approx(
            alone.references["frozen"][name].mean, rel=1e-5
        )
    assert found.sets == {"all": (0, 5), "rare": (5, 7)} and len(found.clips) == 7
    assert [clip for _, clip in found.units_of("agents.ade@rare")] == [c.name for c in two_sets().clips[3:]]  # type: ignore[index]
    assert found.protocol.fields["sets"]["rare"]["split"] == "rare-motion"
    assert found.directions["fidelity.psnr@all"] == "max" and found.tables["horizon"]["agents.ade@rare"]
    text = (tmp_path / FILE).read_text()
    assert "5 all, 2 rare clips" in text and "agents.ade@rare" in text
    back = Report.from_json(json.loads(json.dumps(found.to_json())))
    assert back.figures(["fidelity.psnr@rare"]) == found.figures(["fidelity.psnr@rare"])


def test_reports_of_sets_are_compared_set_by_set() -> None:
    one, other = report(), report()
    other.per_clip = {name: values + 1.0 for name, values in other.per_clip.items()}
    found = compare(one, other).differences
    assert found["fidelity.psnr@rare"].estimate.mean == -1 and found["fidelity.psnr@rare"].estimate.n == 2
    assert found["fidelity.psnr@all"].estimate.n == 5
    with pytest.raises(ProtocolError, match="rare.split"):
        compare(one, report(sets={"all": {}, "rare": {}}))


def test_a_metric_may_be_asked_for_on_one_set() -> None:
    found = report(metrics=("fidelity.psnr", "agents.ade@rare"))
    objectives = make_spec().search.objectives
    wanted = {"fidelity.psnr@all", "fidelity.psnr@rare", "agents.ade@rare"}
    assert set(found.metrics) == wanted | {f"{name}@{s}" for name in objectives for s in ("all", "rare")}


def test_objectives_are_computed_where_they_are_asked_for() -> None:
    data = make_spec(metrics=("fidelity.psnr",), sets={"all": {}, "rare": {}}).model_dump(mode="json")
    data["search"]["objectives"] = ["fidelity.psnr@all", "agents.ade@rare"]
    assert metrics_of_sets(parse_spec(data)) == {"all": ["fidelity.psnr"], "rare": ["fidelity.psnr", "agents.ade"]}
    with pytest.raises(SpecError, match="no metric"):
        metrics_of_sets(make_spec(metrics=("agents.adee@rare",), sets={"rare": {}}))


def test_a_metric_that_a_set_lacks_is_refused_only_where_it_was_asked_for() -> None:
    clips = [make_clip(0), make_clip(1, annotated=False)]
    sets = ClipSets(clips, {name: frozenset([clip.name]) for name, clip in zip("ab", clips, strict=True)})
    how = {"sets": {"a": {}, "b": {}}, "pseudo": "none"}
    found = evaluate_model(StandInModel(), sets, make_spec(metrics=("agents.ade",), **how))  # type: ignore[arg-type]
    assert "agents.ade@a" in found.metrics and "agents.ade@b" not in found.metrics
    assert any(w.startswith("b: agents.ade is left out") for w in found.warnings)
    with pytest.raises(DriveReplayError, match="agents.ade@b"):
        evaluate_model(StandInModel(), sets, make_spec(metrics=("agents.ade@b",), **how))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"evaluation": {"sets": {"rare": {}}}, "search": {"objectives": ["a.b@rar", "c.d@rare"]}},
            "valid: 'a.b@rare'",
        ),
        ({"search": {"constraints": {"a.b@rare": 1.0}}}, "no sets are named"),
        ({"evaluation": {"sets": {"town": {"domains": ["town"]}}}}, "no domain 'town'; there are test"),
        ({"evaluation": {"sets": {"a@b": {}}}}, "evaluation.sets"),
        ({"evaluation": {"sets": {"a": {"splt": "all"}}}}, "did you mean 'split'"),
        ({"evaluation": {"sets": {"a": {}}, "split": "regular"}}, "give each set its own"),
        ({"evaluation": {"replay_clips": 4}}, "evaluation.sets"),
        ({"target": {"subset": "regular"}}, "is called `split` now"),
        (
            {"evaluation": {"domains": [{"name": "test", "source": {"kind": "videos", "path": "x"}}]}},
            "already a domain",
        ),
    ],
)
def test_wrong_names_are_refused_with_the_right_ones(changes: dict[str, dict[str, object]], message: str) -> None:
    data = make_spec().model_dump(mode="json")
    for section, values in changes.items():
        data[section].update(values)
    with pytest.raises(SpecError) as error:
        parse_spec(data)
    assert message in str(error.value)


def test_texts_are_those_of_the_clips_domains() -> None:
    texts: list[str] = []

    class Reading(StandInModel):
        def generate(self, context, frames, seeds, denoising_steps, conditions):  # type: ignore[no-untyped-def]
            texts.extend(conditions.prompts)
            return super().generate(context, frames, seeds, denoising_steps, conditions)

    data = make_spec(metrics=("fidelity.psnr",)).model_dump(mode="json")
    data["target"]["prompt"] = "driving"
    other = {"name": "other", "source": {"kind": "videos", "path": "/nowhere"}, "prompt": "something else"}
    data["evaluation"] |= {"domains": [other], "sets": {"both": {"domains": ["test", "other"]}}}
    from dataclasses import replace

    clips = [make_clip(0), replace(make_clip(1), domain="other")]
    sets = ClipSets(clips, {"both": frozenset(clip.name for clip in clips)})
    evaluate_model(Reading(), sets, parse_spec(data))  # type: ignore[arg-type]
    assert texts == ["driving", "something else"]


def test_recordings_are_drawn_whole() -> None:
    from dataclasses import replace

    clips = [replace(make_clip(n), group=f"drive-{n // 2}") for n in range(4)]
    found = evaluate_model(StandInModel(), clips, make_spec(metrics=("fidelity.psnr",)))  # type: ignore[arg-type]
    assert found.groups == ["test/drive-0", "test/drive-0", "test/drive-1", "test/drive-1"]
    assert np.isfinite(found.metrics["fidelity.psnr"].low)
