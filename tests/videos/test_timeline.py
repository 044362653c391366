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


@pytest.mark.parametrize("times", [np.arange(12) * 3.0, np.array([0.0, 0.1, 0.2, 1.9, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5])])
def test_a_window_that_shows_one_picture_is_no_clip(times: np.ndarray) -> None:
    line = Timeline.of(times)
    (numbers,) = line.numbers(4, 1, 10.0)
    shown = [len(set(line.window(0, int(n), 4, 1, 10.0)[1].tolist())) for n in range(int(numbers[-1]) + 1)]
    assert 1 in shown
    assert [int(n) for n in numbers] == [n for n, count in enumerate(shown) if count > 1]
    assert line.windows(4, 1, 10.0) == [len(numbers)]


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
