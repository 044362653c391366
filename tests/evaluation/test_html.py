from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.storage import Storage
from drivereplay.videos import read_frames


class _Checker(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    clips = [make_clip(n, subset="regular") for n in range(5)]
    pairs = [(c, np.roll(c.frames, n, axis=2)) for n, c in enumerate(clips)]
    names = ("fidelity.psnr", "agents.ade", "agents.hota")
    report = evaluate_pairs(pairs, {}, metrics=names, page=Storage.of(tmp_path), videos=1, resamples=100)
    text = (tmp_path / "evaluation.html").read_text()
    checker = _Checker()
    checker.feed(text)
    assert not checker.open and checker.seen.count("video") == 2 and checker.seen.count("svg") == 2
    assert not re.search(r"(src|href)=.?https?:", text) and "@import" not in text
    for name in names:
        assert name in text
    assert report.protocol.hash in text and "constant-motion" in text and "regular" in text
    data = re.search(r"data:video/mp4;base64,([^\"]+)", text)
    assert data is not None
    (tmp_path / "shown.mp4").write_bytes(base64.b64decode(data.group(1)))
    shown = read_frames(tmp_path / "shown.mp4")
    frames, fps = shown.frames, shown.fps
    assert len(frames) == 8 and fps == 8


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    from dataclasses import replace

    clip = replace(make_clip(0), name="<script>alert(1)</script>")
    evaluate_pairs([(clip, clip.frames)], {}, metrics=("fidelity.psnr",), page=Storage.of(tmp_path), resamples=100)
    text = (tmp_path / "evaluation.html").read_text()
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_many_notes_are_folded() -> None:
    from drivereplay.evaluation.gallery import Gallery
    from drivereplay.evaluation.html import page

    clip = make_clip(0, annotated=False)
    report = evaluate_pairs([(clip, clip.frames)] * 2, {}, metrics=("fidelity.psnr",), resamples=100)
    report.warnings = [f"ego.{n} is left out: it needs poses that none of the 2 clips has." for n in range(5)]
    text = page(report, Gallery(0))
    checker = _Checker()
    checker.feed(text)
    assert not checker.open and "5 notes on what does not apply" in text
