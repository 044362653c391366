from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.clips import StandInModel, make_clip, make_spec

from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, DriveReplayError, SpecError
from drivereplay.evaluation import scoring
from drivereplay.evaluation.judge import available_metrics, evaluate_model, evaluate_pairs, evaluate_videos
from drivereplay.storage import Storage

LIGHT = ("fidelity.psnr", "agents.ade", "agents.flow_epe")


def test_a_model_is_judged_with_reference_rows_tables_and_protocol(tmp_path: Path) -> None:
    clips = [make_clip(n, subset="regular" if n % 2 else "rare-motion") for n in range(6)]
    spec = make_spec(metrics=LIGHT, samples=2, videos=1)
    seen: list[int] = []
    report = evaluate_model(StandInModel(), iter(clips), spec, videos=Storage.of(tmp_path), progress=seen.append)  # type: ignore[arg-type]
    assert seen == [4, 6] and report.clips == [c.name for c in clips]
    assert set(report.metrics) == {*LIGHT, *spec.search.objectives} and report.metrics["fidelity.psnr"].n == 6
    assert set(report.references) == {"real", "frozen", "constant-motion"}
    assert report.references["real"]["fidelity.psnr"].mean == 100
    assert report.references["real"]["agents.ade"].mean < 0.03 < report.references["frozen"]["agents.ade"].mean
    assert report.tables["best"]["fidelity.psnr"]["mean"] >= report.metrics["fidelity.psnr"].mean
    assert set(report.tables["split"]) == {"regular", "rare-motion"}
    horizon = report.tables["horizon"]["agents.ade"]
    assert horizon["seconds"][0] == 0.125 and len(horizon["mean"]) == 6
    fields = report.protocol.fields
    assert fields["samples"] == 2 and fields["clips"]["count"] == 6 and fields["height"] == 48
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00-generated.mp4", "00-real.mp4", "00-tracks.json"]


def test_the_same_call_gives_the_same_report_and_another_seed_another_protocol() -> None:
    clips, model = [make_clip(n) for n in range(3)], StandInModel()
    first = evaluate_model(model, clips, make_spec(metrics=LIGHT))  # type: ignore[arg-type]
    again = evaluate_model(model, clips, make_spec(metrics=LIGHT, batch_size=1))  # type: ignore[arg-type]
    assert first.to_json() == again.to_json()
    other = evaluate_model(model, clips, make_spec(metrics=LIGHT, seed=1))  # type: ignore[arg-type]
    assert set(first.protocol.differences(other.protocol)) == {"seed"}


def test_work_on_real_clips_is_done_once_per_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, cache = [make_clip(n) for n in range(4)], Storage.of(tmp_path)
    fresh = evaluate_model(StandInModel(), clips, make_spec(metrics=LIGHT), cache=cache)  # type: ignore[arg-type]
    made: list[int] = []
    original = scoring.score_real
    monkeypatch.setattr(scoring, "score_real", lambda *a: made.append(1) or original(*a))
    cached = evaluate_model(StandInModel(), clips, make_spec(metrics=LIGHT), cache=cache)  # type: ignore[arg-type]
    assert not made and cached.to_json() == fresh.to_json()
    evaluate_model(StandInModel(), clips, make_spec(metrics=("fidelity.ssim",)), cache=cache)  # type: ignore[arg-type]
    assert made


def test_a_codec_that_loses_something_has_its_own_row(tmp_path: Path) -> None:
    clips = [make_clip(n) for n in range(3)]
    for _ in range(2):
        report = evaluate_model(  # type: ignore[arg-type]
            StandInModel(codec_loss=9), clips, make_spec(metrics=("fidelity.psnr",)), cache=Storage.of(tmp_path)
        )
        assert 25 < report.references["reconstruction"]["fidelity.psnr"].mean < 35


def test_ray_gives_what_this_process_gives(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [make_clip(n) for n in range(6)]
    here = evaluate_model(StandInModel(), clips, make_spec(metrics=LIGHT))  # type: ignore[arg-type]
    monkeypatch.setattr("drivereplay.evaluation.workers.PAYS_PIXELS", 1)
    there = evaluate_model(StandInModel(), clips, make_spec(metrics=LIGHT))  # type: ignore[arg-type]
    assert here.to_json() == there.to_json()


def test_clips_without_what_a_metric_needs() -> None:
    clips = [make_clip(n, annotated=False) for n in range(3)]
    report = evaluate_pairs([(c, c.frames) for c in clips], {}, resamples=100, pseudo="none")
    assert "agents.ade" not in report.metrics and "agents.flow_epe" in report.metrics
    assert any(w.startswith("agents.ade is left out: it needs boxes") for w in report.warnings)
    with pytest.raises(DataError, match="needs boxes"):
        evaluate_pairs([(c, c.frames) for c in clips], {}, metrics=("agents.ade",), resamples=100, pseudo="none")
    mixed = [*clips, make_clip(9)]
    report = evaluate_pairs([(c, c.frames) for c in mixed], {}, metrics=("agents.ade",), resamples=100, pseudo="none")
    assert report.metrics["agents.ade"].n == 1 and "rests on 1 of 4 clips" in report.warnings[0]


def test_black_videos_are_judged_and_not_crashed_on() -> None:
    clips = [make_clip(n) for n in range(2)]
    black = [(c, np.zeros_like(c.frames)) for c in clips]
    report = evaluate_pairs(black, {}, resamples=100)
    assert report.metrics["agents.ade"].mean > 0.03
    assert all(np.isfinite(e.mean) for e in report.metrics.values())
    still = [(make_clip(5), np.zeros_like(clips[0].frames))] * 2
    assert evaluate_pairs(still, {}, resamples=100).metrics["fidelity.psnr"].mean < 20


def test_bad_calls_are_named() -> None:
    with pytest.raises(DataError, match="no clips"):
        evaluate_pairs([], {})
    with pytest.raises(SpecError, match=r"no metric 'agents\.nothing'"):
        available_metrics(("agents.nothing",))
    unlike = [make_clip(0), make_clip(1, width=80)]
    with pytest.raises(DataError, match="one size, length and rate"):
        evaluate_pairs([(c, c.frames) for c in unlike], {})
    with pytest.raises(DataError, match="8 frames and 8 of them are given"):
        evaluate_pairs([(make_clip(0, context=8), make_clip(0).frames)], {})


@pytest.mark.parametrize("unlike", ["frames", "size", "type", "channels"])
def test_generated_frames_unlike_the_real_ones_are_named(unlike: str) -> None:
    clip = make_clip(0)
    made = {
        "frames": clip.frames[:6],
        "size": clip.frames[:, ::2, ::2],
        "type": (clip.frames / 255).astype(np.float32),
        "channels": clip.frames[..., :1],
    }[unlike]
    shapes = f"{made.shape} {made.dtype}, the real ones are {clip.frames.shape} uint8"
    with pytest.raises(DataError, match=re.escape(shapes)):
        evaluate_pairs([(clip, made)], {}, metrics=("fidelity.psnr",))  # type: ignore[list-item]


def test_a_truth_that_cannot_be_told_leaves_the_metric_out() -> None:
    """A black video against itself: no pose of the real camera is known, so nothing is said of the generated one's."""
    black = replace(make_clip(0, annotated=False), frames=np.zeros((8, 48, 64, 3), np.uint8))
    names = ("ego.rpe_rotation", "ego.failure_rate")
    with pytest.raises(DataError, match=r"rpe_rotation is left out: there is nothing it could judge in any of the 1 c"):
        evaluate_pairs([(black, black.frames)], {}, metrics=names)
    report = evaluate_pairs([(black, black.frames)], {}, resamples=100)
    assert report.metrics["ego.failure_rate"].mean == 1 and "ego.rpe_translation" not in report.metrics
    assert "ego.rpe_rotation_1s is left out: a second is 8 frames, the clips have 6 future ones." in report.warnings


def test_unknown_visibility_leaves_no_metric_out() -> None:
    clip = make_clip(0, velocity=(3.0, 0.0))
    assert clip.annotations is not None
    known = replace(clip.annotations, visible=np.full((8, 1), np.nan, np.float32))
    names = ("agents.ade", "agents.iou", "agents.idf1", "agents.missing_rate", "agents.flow_epe")
    exact, unknown = (
        evaluate_pairs([(c, np.roll(c.frames, 1, axis=0))], {}, metrics=names, resamples=100)
        for c in (clip, replace(clip, annotations=known))
    )
    assert unknown.to_json() == exact.to_json()


def test_missing_weights_come_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVEREPLAY_WEIGHTS", str(tmp_path))
    with pytest.raises(DriveReplayError, match="drivereplay weights install"):
        available_metrics(("fidelity.fvd",))
    assert "fidelity.fvd" not in available_metrics()


def test_a_model_that_gives_another_shape_is_refused() -> None:
    model = StandInModel()
    model.generate = lambda *a: np.zeros(3)  # type: ignore[method-assign,assignment]
    with pytest.raises((DriveReplayError, AttributeError)):
        evaluate_model(model, [make_clip(0)], make_spec(metrics=LIGHT))  # type: ignore[arg-type]


def test_anyone_s_videos(tmp_path: Path) -> None:
    for n in range(3):
        clip = make_clip(n)
        write_video(tmp_path / "real" / f"drive-{n}.mp4", clip.frames, 8)
        write_video(tmp_path / "made" / f"drive-{n}.mp4", np.roll(clip.frames, 1, axis=1), 8)
    report = evaluate_videos(tmp_path / "made", tmp_path / "real", context=2, resamples=100)
    assert report.clips == ["drive-0", "drive-1", "drive-2"]
    assert 10 < report.metrics["fidelity.psnr"].mean < 40 and report.protocol.fields["context"] == 2


def test_several_samples_of_anyone_s_videos_give_their_mean_and_the_best(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = (4.0, 25.0, 12.0)
    for n in range(3):
        clip = make_clip(n)
        write_video(tmp_path / "real" / f"{n}.mp4", clip.frames, 8)
        for k, sigma in enumerate(noise):
            frames = np.clip(clip.frames + rng.normal(0, sigma, clip.frames.shape), 0, 255).astype(np.uint8)
            write_video(tmp_path / "made" / f"{n}.{k}.mp4", frames, 8)
            write_video(tmp_path / f"alone{k}" / f"{n}.mp4", frames, 8)
    names = ("fidelity.psnr", "fidelity.kvd_worlds")
    found = evaluate_videos(tmp_path / "made", tmp_path / "real", metrics=names, pseudo="none")
    alone = [evaluate_videos(tmp_path / f"alone{k}", tmp_path / "real", metrics=names, pseudo="none") for k in range(3)]
    for name in names:
        assert found.metrics[name].mean == pytest.approx(np.mean([r.metrics[name].mean for r in alone]), rel=1e-6)
    best = found.tables["best"]["fidelity.psnr"]["mean"]
    assert best == pytest.approx(alone[0].metrics["fidelity.psnr"].mean)
    assert found.protocol.fields["samples"] == 3 and "fidelity.psnr" not in alone[0].tables["best"]
