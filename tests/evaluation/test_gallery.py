from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.gallery import Gallery
from drivereplay.evaluation.scoring import Scores


def _offered(size: int, figures: list[float], name: str) -> Gallery:
    gallery = Gallery(size)
    clips = [make_clip(n) for n in range(len(figures))]
    for start in range(0, len(clips), 2):
        batch = clips[start : start + 2]
        curves = {name: np.array(figures[start : start + 2])[:, None]}
        gallery.offer(batch, np.stack([c.frames for c in batch]), Scores(curves))
    return gallery


def test_the_worst_come_first_whichever_way_is_worse() -> None:
    figures = [0.3, 0.1, float("nan"), 0.5, 0.2, 0.4]
    lower = _offered(2, figures, "agents.ade")
    assert [s.figure for s in lower.worst()] == [0.5, 0.4] and [s.figure for s in lower.best()] == [0.1, 0.2]
    higher = _offered(2, figures, "fidelity.psnr")
    assert [s.figure for s in higher.worst()] == [0.1, 0.2] and [s.figure for s in higher.best()] == [0.5, 0.4]


def test_a_clip_is_shown_once_and_nothing_where_nothing_ranks() -> None:
    few = _offered(4, [0.1, 0.2], "agents.ade")
    assert len(few.worst()) == 2 and few.best() == []
    assert _offered(0, [0.1, 0.2], "agents.ade").worst() == []
    assert _offered(2, [0.1, 0.2], "fidelity.ssim").worst() == []
