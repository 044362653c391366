from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.overlay import video_tracks


def test_tracks_show_where_the_object_is_in_each_video() -> None:
    clip = make_clip(4, velocity=(3.0, 0.0))
    still = clip.frames.copy()
    still[clip.context :] = clip.frames[clip.context - 1]
    tracks = json.loads(json.dumps(video_tracks(clip, still)))
    assert [row["frame"] for row in tracks["real"]] == list(range(8))
    assert {row["label"] for row in tracks["real"]} == {"car"}
    assert clip.annotations is not None
    np.testing.assert_allclose([row["box"] for row in tracks["real"]], clip.annotations.boxes_px[:, 0])
    assert tracks["generated"][: clip.context] == tracks["real"][: clip.context], "the given frames are the same"
    last = np.array(tracks["generated"][-1]["box"])
    np.testing.assert_allclose(last, clip.annotations.boxes_px[clip.context - 1, 0], atol=0.3)


def test_clips_without_boxes_have_no_tracks() -> None:
    clip = make_clip(0, annotated=False)
    assert video_tracks(clip, clip.frames) == {"real": [], "generated": []}


def test_objects_of_unknown_visibility_have_tracks() -> None:
    clip = make_clip(4)
    assert clip.annotations is not None
    known = replace(clip.annotations, visible=np.full((8, 1), np.nan, np.float32))
    unknown = replace(clip, annotations=known)
    assert video_tracks(unknown, clip.frames) == video_tracks(clip, clip.frames)
