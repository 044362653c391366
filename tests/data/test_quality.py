"""The data-quality report: each fault is made on purpose, and what is reported is what was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.footage import moving_square
from tests.marked import X264, ffmpeg, make, marked, needs_ffmpeg, numbers_in

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.quality import Measure, enforce, measures_of, table
from drivereplay.domains.comma2k19 import read_comma2k19
from drivereplay.domains.images import read_images
from drivereplay.domains.lerobot import read_lerobot
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import ClipSpec, QualitySpec, load_quality

CLIP = ClipSpec(frames=8, context=2, fps=10, height=54, width=96)


def indexed(found: list[Any], out: Path, clip: ClipSpec = CLIP) -> tuple[ClipIndex, dict[str, Measure]]:
    index = ingest(found, domain="d", clip=clip, held_out=0.25, seed=0, out=out)
    opened = ClipIndex.open(out)  # what is saved says the same
    assert measures_of(opened.report.quality) == measures_of(index.report.quality)
    return index, {found.check: found for found in measures_of(opened.report.quality)}


def videos(directory: Path, out: Path, clip: ClipSpec = CLIP) -> dict[str, Measure]:
    return indexed(read_videos(str(directory), out.parent / "annotations"), out, clip)[1]


def images(directory: Path, numbers: list[int], times_s: list[float]) -> Path:
    directory.mkdir(parents=True)
    for n in numbers:
        cv2.imwrite(str(directory / f"{n:04d}.png"), marked(n, 96, 54)[..., ::-1])
    (directory / "timestamps.txt").write_text("\n".join(f"{t:.4f}" for t in times_s))
    return directory


def test_every_check_has_limits_and_good_data_pass(tmp_path: Path) -> None:
    for n in range(3):
        write_video(tmp_path / "v" / f"{n}.mp4", moving_square(n, 40), 10.0)
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert list(measured) == list(QualitySpec.model_fields)
    assert {row["level"] for row in table(tuple(measured.values()), QualitySpec())} == {"ok"}


def test_a_gap_in_time(tmp_path: Path) -> None:
    """1.8 s without a frame, as in a phone's video or a scene of nuScenes: no clip stands still there."""
    times = [n / 12 + (1.7 if n >= 24 else 0.0) for n in range(48)]
    images(tmp_path / "i" / "a", list(range(48)), times)
    index, measured = indexed(read_images(str(tmp_path / "i"), None), tmp_path / "index")
    assert measured["gaps"].where == ("a: 1, up to 1.78 s",)
    assert measured["repeated_frames"].value == 0
    frames = [index.window("train", n).frames for n in range(index.count("train"))]
    assert frames and all(len(set(f)) == 8 and not f[0] < 24 <= f[-1] for f in frames)
    # at two frames a second the same gap is a missing frame or two
    _, slow = indexed(read_images(str(tmp_path / "i"), None), tmp_path / "slow", ClipSpec(frames=4, context=1, fps=1))
    assert slow["gaps"].value == 0


def test_frames_that_are_missing_one_by_one_repeat_the_one_before(tmp_path: Path) -> None:
    numbers = [n for n in range(60) if n % 20 != 10]
    images(tmp_path / "i" / "a", numbers, [n / 10 for n in numbers])
    index, measured = indexed(read_images(str(tmp_path / "i"), None), tmp_path / "index")
    expected = sum(len(set(index.window("train", n).frames)) < 8 for n in range(index.count("train")))
    assert expected > 0 and measured["gaps"].value == 0
    assert measured["repeated_frames"].where == (f"a: {expected} clips",)
    assert measured["repeated_frames"].value == expected / index.count("train")


@needs_ffmpeg
def test_frames_that_a_conversion_repeated(tmp_path: Path) -> None:
    """10 frames a second made 30: each image three times, as coded frames of their own."""
    make(tmp_path / "slow.mp4", 60, *X264, fps=10)
    (tmp_path / "v").mkdir()
    ffmpeg("-i", tmp_path / "slow.mp4", "-vf", "fps=30", "-c:v", "libx264", "-crf", 28, tmp_path / "v" / "a.mp4")
    at_30 = ClipSpec(frames=8, context=2, fps=30, height=54, width=96)
    assert videos(tmp_path / "v", tmp_path / "30", at_30)["repeated_frames"].value == pytest.approx(1.0)
    # every third frame is another one: a clip of ten a second has no repetition
    assert videos(tmp_path / "v", tmp_path / "10")["repeated_frames"].value == 0


def test_a_source_that_is_slower_than_the_clip(tmp_path: Path) -> None:
    write_video(tmp_path / "v" / "a.mp4", moving_square(1, 40), 5.0)
    write_video(tmp_path / "v" / "b.mp4", moving_square(2, 40), 10.0)
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert measured["slow_source"].where == ("a.mp4: 5 fps",)
    assert measured["repeated_frames"].value == 0


def test_rates_that_no_camera_has(tmp_path: Path) -> None:
    images(tmp_path / "i" / "fast", list(range(600)), [n / 300 for n in range(600)])
    _, measured = indexed(read_images(str(tmp_path / "i"), None, "s"), tmp_path / "index")
    assert measured["frame_rate"].where == ("fast: 300 fps",)


@needs_ffmpeg
def test_open_groups_of_pictures(tmp_path: Path) -> None:
    open_gop = ("-c:v", "libx264", "-x264-params", "open-gop=1:keyint=15:bframes=3:b-adapt=0", "-pix_fmt", "yuv420p")
    make(tmp_path / "v" / "a.mp4", 60, *open_gop)
    make(tmp_path / "v" / "b.mp4", 60, *X264, first=100)
    assert videos(tmp_path / "v", tmp_path / "index")["open_gop"].where == ("a.mp4: h264",)


def test_black_and_constant_frames(tmp_path: Path) -> None:
    frames = moving_square(1, 40)
    frames[10:14] = 0
    frames[20:21] = (200, 30, 90)
    write_video(tmp_path / "v" / "a.mp4", frames, 10.0)
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert measured["empty_frames"].where == ("a.mp4: 5 frames",)
    assert measured["empty_frames"].value == 5 / 40


def _labelled(video: Path, frames: list[int]) -> None:
    write_video(video, moving_square(len(frames), 40), 10.0)
    objects = [{"frame": n, "id": 1, "x1_px": 1, "y1_px": 1, "x2_px": 9, "y2_px": 9} for n in frames]
    video.with_suffix(".json").write_text(json.dumps({"width": 96, "height": 72, "objects": objects}))


def test_labels(tmp_path: Path) -> None:
    _labelled(tmp_path / "v" / "all.mp4", list(range(40)))
    _labelled(tmp_path / "v" / "some.mp4", list(range(0, 40, 5)))
    _labelled(tmp_path / "v" / "late.mp4", list(range(20, 45)))
    _labelled(tmp_path / "v" / "early.mp4", list(range(-2, 30)))
    write_video(tmp_path / "v" / "none.mp4", moving_square(7, 40), 10.0)
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert measured["unlabelled_recordings"].where == ("none.mp4: has none",)
    assert set(measured["label_range"].where) == {
        "early.mp4: has labels of frames -2 to 29, and 40 frames",
        "late.mp4: has labels of frames 20 to 44, and 40 frames",
    }
    assert measured["unlabelled_frames"].value == (32 + 20 + 10) / 160
    # an index that is there is used again, and labels that changed are counted again
    _labelled(tmp_path / "v" / "late.mp4", list(range(20, 40)))
    again = videos(tmp_path / "v", tmp_path / "index")
    assert again["label_range"].count == 1


def test_labels_are_no_fault_where_there_are_none_at_all(tmp_path: Path) -> None:
    write_video(tmp_path / "v" / "a.mp4", moving_square(7, 40), 10.0)
    assert videos(tmp_path / "v", tmp_path / "index")["unlabelled_recordings"].value == 0


@needs_ffmpeg
@pytest.mark.parametrize("times", [60, 59, 61])
def test_times_of_comma2k19_against_frames(tmp_path: Path, times: int) -> None:
    segment = tmp_path / "c" / "Chunk_1" / "route" / "3"
    make(segment / "video.hevc", 60, "-c:v", "libx265", "-x265-params", "log-level=error", fps=20)
    (segment / "global_pose").mkdir()
    position = np.tile([-2712470.0, -4262540.0, 3879310.0], (times, 1))
    arrays = (np.arange(times) * 0.05, position, np.tile([1.0, 0, 0, 0], (times, 1)))
    for name, array in zip(("frame_times", "frame_positions", "frame_orientations"), arrays, strict=True):
        with (segment / "global_pose" / name).open("wb") as file:
            np.save(file, array)
    _, measured = indexed(read_comma2k19(str(tmp_path / "c"), tmp_path / "notes"), tmp_path / "index")
    said = () if times == 60 else (f"Chunk_1/route/3: has 60 frames, the data set says {times}",)
    assert measured["frame_count"].where == said


@needs_ffmpeg
def test_lengths_of_lerobot_against_frames(tmp_path: Path) -> None:
    camera = "observation.images.front"
    make(tmp_path / "videos" / camera / "chunk-000" / "file-000.mp4", 120, *X264)
    columns: dict[str, list[Any]] = {"episode_index": [0, 1], "length": [60, 70]}
    places = {"chunk_index": [0, 0], "file_index": [0, 0], "from_timestamp": [0.0, 2.0167], "to_timestamp": [2.0, 4.0]}
    columns |= {f"videos/{camera}/{name}": values for name, values in places.items()}
    (tmp_path / "meta" / "episodes").mkdir(parents=True)
    pq.write_table(pa.table(columns), tmp_path / "meta" / "episodes" / "0.parquet")
    info = {"codebase_version": "v3.0", "fps": 30, "features": {camera: {"dtype": "video"}}}
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    (tmp_path / "meta" / "info.json").write_text(json.dumps(info))
    index, measured = indexed(read_lerobot(str(tmp_path), None), tmp_path / "index")
    assert measured["frame_count"].where[-1].startswith("episode-000001: has 6")
    assert "120 frames where the data set counts 130" in index.report.notes["episode-000001"]
    # without lengths that fit, the frames nearest to the episode's times are its own
    decoder = Decoder(CLIP)
    for split in ("train", "evaluation"):
        for n in range(index.count(split)):
            window = index.window(split, n)
            numbers = numbers_in(decoder.decode([window])[0][0])
            assert all((number < 60) == (window.key == "episode-000000") for number in numbers)
    decoder.close()


def test_what_is_set_aside_and_what_repeats_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / "v" / f"{name}.mp4", moving_square(1, 40), 10.0)
    (tmp_path / "v" / "c.mp4").write_bytes(b"no video")
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert (measured["set_aside"].value, measured["duplicates"].value) == (1 / 3, 1 / 2)
    assert measured["set_aside"].where[0].startswith("c.mp4: ")
    assert measured["duplicates"].where == ("b.mp4: shows a.mp4",)


def test_large_frames(tmp_path: Path) -> None:
    write_video(tmp_path / "v" / "a.mp4", moving_square(1, 40), 10.0)
    measured = videos(tmp_path / "v", tmp_path / "index")
    assert measured["max_pixels"].value == 72 * 96
    row = table([measured["max_pixels"]], QualitySpec.model_validate({"max_pixels": {"warn": 6911, "fail": 6912}}))[0]
    assert (row["level"], row["where"]) == ("warn", ["a.mp4: 96x72"])


def test_a_limit_that_is_passed_ends_the_run() -> None:
    found = Measure("gaps", 0.25, 1, 4, ("a.mp4: 1, up to 1.80 s",))
    enforce("d", [found], QualitySpec.model_validate({"gaps": {"fail": 0.25}}))
    with pytest.raises(
        DataError, match=r"domain 'd' look wrong: gaps is 0\.25, above 0\.1 \(a\.mp4: 1, up to 1\.80 s\)"
    ):
        enforce("d", [found], QualitySpec.model_validate({"gaps": {"warn": 0.0, "fail": 0.1}}))


def test_limits_come_from_an_experiment_or_a_file_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("gaps: {warn: 0.1, fail: 0.5}\nopen_gop: {warn: null}\n")
    limits = load_quality(file)
    assert (limits.gaps.warn, limits.gaps.fail, limits.open_gop.warn) == (0.1, 0.5, None)
    file.write_text("name: a\ntarget: {}\nquality: {gaps: {fail: 0.5}}\n")
    assert load_quality(file).gaps.fail == 0.5
    file.write_text("name: a\ntarget: {}\n")
    assert load_quality(file) == QualitySpec()
    for text, said in (
        ("gap: {}", "quality.gap"),
        ("gaps: {warn: 2, fail: 1}", "must not be below"),
        ("[]", "quality"),
    ):
        file.write_text(text)
        with pytest.raises(SpecError, match=said):
            load_quality(file)
