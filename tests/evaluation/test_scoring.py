from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.scoring import (
    RealScores,
    cache_key,
    clip_digest,
    one_opencv_thread,
    score_real,
    score_videos,
)

NAMES = ["fidelity.psnr", "agents.flow_epe"]


def test_real_scores_survive_the_cache_and_save_work() -> None:
    clips = [make_clip(n) for n in range(2)]
    real = score_real(clips, NAMES)
    back = RealScores.from_bytes(real.to_bytes())
    assert set(back.rows) == {"real", "frozen", "constant-motion"} and len(back.estimates) == 2
    assert "residual_flow" in back.estimates[0]
    videos = np.stack([c.frames[::-1] for c in clips])[None]
    fresh, cached = score_videos(clips, videos, NAMES), score_videos(clips, videos, NAMES, back)
    for name in NAMES:
        np.testing.assert_array_equal(fresh[0].curves[name], cached[0].curves[name])
        assert fresh[0].curves[name].shape == (2, 6)


def test_the_key_follows_clips_and_metrics() -> None:
    clip = make_clip(0)
    digest = clip_digest(clip)
    changed = clip.frames.copy()
    changed[0, 0, 0, 0] ^= 1
    assert clip_digest(replace(clip, frames=changed)) != digest
    assert clip_digest(replace(clip, annotations=None)) != digest
    assert clip_digest(make_clip(0)) == digest
    assert cache_key([digest], NAMES) != cache_key([digest], NAMES[:1])
    assert cache_key([digest], NAMES) == cache_key([digest], NAMES)


def test_the_digest_is_of_what_is_judged() -> None:
    """Unknown visibility is judged as full, so it is no other clip than one that says so; a hidden one is."""
    clip = make_clip(0)
    assert clip.annotations is not None
    unknown, hidden = (
        replace(clip, annotations=replace(clip.annotations, visible=np.full((8, 1), value, np.float32)))
        for value in (np.nan, 0.4)
    )
    assert clip_digest(unknown) == clip_digest(clip) != clip_digest(hidden)


def test_opencv_s_threads_come_back() -> None:
    before = cv2.getNumThreads()
    with one_opencv_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before
