"""Which source frames make up a clip of a fixed rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.videos.timeline import Timeline


def regular(frames: int, fps: float, starts: tuple[int, ...] = (0,)) -> Timeline:
    return Timeline.of(5.0 + np.arange(frames) / fps, starts)


def test_constant_rate_keeps_no_times() -> None:
    line = regular(100, 30)
    assert line.times_s is None
    assert line.interval_s == pytest.approx(1 / 30)
    # mkv rounds to milliseconds
    assert Timeline.of(np.round(np.arange(100) / 30, 3)).times_s is None


def test_variable_rate_keeps_them() -> None:
    line = Timeline.of(np.array([0.0, 0.1, 0.5, 0.6]))
    assert line.times_s is not None
    assert line.nearest(np.array([0.0, 0.29, 0.31, 0.55, 9.0]), 0, 4).tolist() == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("source_fps", "clip_fps", "expected"),
    [
        (8, 8, [0, 1, 2, 3]),
        (30, 10, [0, 3, 6, 9]),
        (10, 30, [0, 0, 1, 1]),
        (25, 8, [0, 3, 6, 9]),
        (24, 8, [0, 3, 6, 9]),
    ],
)
def test_resampling_takes_the_nearest_frame(source_fps: float, clip_fps: float, expected: list[int]) -> None:
    start, frames = regular(300, source_fps).window(0, 0, 4, 2, clip_fps)
    assert start == 0
    assert frames.tolist() == expected


@settings(deadline=None)
@given(
    frames=st.integers(2, 300), source_fps=st.floats(1, 60), clip_fps=st.floats(1, 60),
    length=st.integers(2, 20), stride=st.integers(1, 20),
)  # fmt: skip
def test_windows_lie_inside_and_no_further_one_fits(
    frames: int, source_fps: float, clip_fps: float, length: int, stride: int
) -> None:
    line = regular(frames, source_fps)
    numbers = [int(n) for n in line.numbers(length, stride, clip_fps)[0]]
    half = line.interval_s / 2
    shown = {n: line.window(0, n, length, stride, clip_fps) for n in range(numbers[-1] + 2 if numbers else 0)}
    for n, (start, pictures) in shown.items():
        moments = start + np.arange(length) / clip_fps
        fits = np.abs(line.time_s(pictures) - moments).max() <= half + 1e-5
        assert pictures.min() >= 0 and pictures.max() < frames
        if n in numbers:
            assert fits and len(set(pictures.tolist())) > 1
        elif len(set(pictures.tolist())) > 1:
            assert moments[-1] > (frames - 1) / source_fps + half - 1e-5


def test_a_clip_crosses_no_gap() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.3, 2.1, 2.2, 2.35, 2.4, 2.5, 2.6, 2.7])
    line = Timeline.of(times)
    assert line.gaps(10.0).tolist() == [4]
    (numbers,) = line.numbers(4, 1, 10.0)
    # every moment of a clip has a frame of its own, or one that is as near as frames of this video are
    near = [
        n for n in range(25) if all(np.abs(times - moment).min() <= 0.05 + 1e-9 for moment in (n + np.arange(4)) / 10)
    ]
    assert numbers.tolist() == near == [0, *range(21, 25)]
    # two frames a second do not notice that 1.8 s are missing any more than that others are
    assert line.gaps(0.5).tolist() == []


def test_a_gap_of_a_time_that_clips_do_not_notice_is_none() -> None:
    times = np.delete(np.arange(60) / 30, [20, 21, 22])
    line = Timeline.of(times)
    assert line.gaps(8.0).tolist() == []
    assert line.gaps(30.0).tolist() == [20]
    assert sum(line.windows(4, 1, 8.0)) == 13
    assert sum(line.windows(4, 1, 30.0)) == 20 - 3 + 37 - 3


def test_a_time_lapse_has_no_clip() -> None:
    assert Timeline.of(np.arange(12) * 3.0).windows(4, 1, 10.0) == [0]
    # nor do nanoseconds that were taken for seconds fill the memory
    times = np.arange(40) * 5e7 + np.arange(40) % 3
    assert Timeline.of(times).windows(8, 4, 8.0) == [0]


def test_exact_length_gives_one_window() -> None:
    assert regular(8, 8).windows(8, 4, 8) == [1]
    assert regular(7, 8).windows(8, 4, 8) == [0]


def test_windows_do_not_cross_cuts() -> None:
    line = regular(40, 8, (0, 10, 25))
    assert line.windows(8, 4, 8) == [1, 2, 2]
    for stretch, (first, last) in enumerate(line.stretches()):
        for n in range(line.windows(8, 4, 8)[stretch]):
            start, numbers = line.window(stretch, n, 8, 4, 8)
            assert first <= numbers.min() and numbers.max() < last
            assert start == pytest.approx(first / 8 + n * 0.5)


@pytest.mark.parametrize("gap", [5.0, 2_147_486.0])
def test_no_window_crosses_a_jump_in_time(gap: float) -> None:
    times = np.arange(40) / 10 + np.where(np.arange(40) < 15, 0.0, gap)
    timeline = Timeline.of(times)
    assert timeline.starts == (0, 15) and timeline.interval_s == pytest.approx(0.1)
    assert timeline.windows(8, 1, 10.0) == [8, 18]
    assert timeline.window(1, 0, 8, 1, 10.0)[1].tolist() == list(range(15, 23))


def test_a_slow_camera_does_not_jump() -> None:
    assert Timeline.of(np.arange(20) * 3.0).starts == (0,)
    assert Timeline.of(np.array([0.0, 0.1, 0.2, 1.9, 2.0])).starts == (0,)
