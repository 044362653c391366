"""The recipe of the video encoder, and what the shipped one must be able to tell."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy import stats

from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.evaluation.encoder_training import (
    DAMAGES,
    MOTIONS,
    RUNGS,
    Lessons,
    aim,
    damaged,
    motion,
    train_encoder,
)
from drivereplay.evaluation.features import SHIPPED, WorldsEncoder, shipped_sha256
from drivereplay.evaluation.frechet import frechet_distance


def moving_clips(count: int, seed: int = 0, length: int = 7) -> np.ndarray:
    """Clips (count, length, 64, 96, 3) of textured rectangles over a texture that pans."""
    rng = np.random.default_rng(seed)
    clips = np.empty((count, length, 64, 96, 3), np.uint8)
    for n in range(count):
        ground = cv2.resize(rng.integers(0, 255, (12, 30, 3), dtype=np.uint8), (240, 64), interpolation=cv2.INTER_CUBIC)
        speed, place = rng.uniform(1, 6), rng.uniform(0, 60)
        boxes = [(rng.uniform([0, 0], [80, 48]), rng.normal(0, 4, 2), rng.integers(0, 255, 3)) for _ in range(3)]
        for t in range(length):
            left = int(place + speed * t)
            clips[n, t] = ground[:, left : left + 96]
            for corner, velocity, colour in boxes:
                x, y = (corner + velocity * t).astype(int)
                cv2.rectangle(clips[n, t], (x, y), (x + 16, y + 12), [int(c) for c in colour], -1)
    return clips


def known(poses: np.ndarray, boxes: np.ndarray) -> ClipAnnotations:
    frames, objects = len(poses), boxes.shape[1]
    return ClipAnnotations(
        ids=np.arange(objects), classes=np.array(["car"] * objects), boxes_px=boxes.astype(np.float32),
        visible=np.ones((frames, objects), np.float32), poses=poses,
        intrinsics_px=np.tile(np.array([[80.0, 0, 48], [0, 80, 32], [0, 0, 1]]), (frames, 1, 1)),
        positions_m=np.full((frames, objects, 3), np.nan), sizes_m=np.full((objects, 3), np.nan, np.float32),
        headings_rad=np.full((frames, objects), np.nan, np.float32),
    )  # fmt: skip


def test_motion_is_that_of_the_camera_and_of_the_boxes() -> None:
    angle = 0.02
    poses = np.tile(np.eye(4), (4, 1, 1))
    for t in range(1, 4):
        turn = np.eye(4)
        turn[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
        turn[:3, 3] = [0.0, 0.0, 1.5]
        poses[t] = poses[t - 1] @ turn
    boxes = np.array([[[10.0 + 9.6 * t, 10, 20 + 9.6 * t, 20]] for t in range(4)])
    np.testing.assert_allclose(motion(known(poses, boxes)), [0, 0, 1.5, 0, angle, 0, 0.1, 0.1], atol=1e-4)


def test_what_is_not_annotated_is_not_taught() -> None:
    clips = [Clip(f"a/{n}", "a", moving_clips(1, n)[0], 2, 8.0) for n in range(2)]
    lessons = Lessons.of(clips, first=2)
    assert lessons.frames.shape == (2, 5, 64, 96, 3)
    assert np.isnan(lessons.motions).all()
    assert lessons.motions.shape == (2, MOTIONS)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_grows_with_its_strength(kind: str) -> None:
    clip = moving_clips(1)[0]
    rng = np.random.default_rng(0)
    changes = [float(np.abs(damaged(clip, kind, s, rng).astype(float) - clip).mean()) for s in (0.0, 0.3, 1.0)]
    if kind == "none":
        assert changes == [0, 0, 0]
    else:
        assert changes[0] < changes[1] < changes[2]


def test_training_teaches_and_the_seed_decides() -> None:
    frames = moving_clips(16)
    frames[:8, ..., 0] = 255
    lessons = Lessons(frames, np.repeat([0, 1], 8), np.full((16, MOTIONS), np.nan, np.float32))
    losses: list[float] = []
    encoder = train_encoder(lessons, steps=40, batch_size=8, report=lambda _, loss: losses.append(loss))
    assert losses[-1] < 0.75 * losses[0]
    twin = train_encoder(lessons, steps=3, batch_size=4)
    other = train_encoder(lessons, steps=3, batch_size=4)
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), other.parameters(), strict=True))
    assert isinstance(encoder, WorldsEncoder)


def test_aimed_features_have_unit_variance_on_real_clips_and_move_with_damage() -> None:
    torch.manual_seed(0)
    encoder = WorldsEncoder(channels=(8, 8, 8, 16), features=4).eval().requires_grad_(False)
    clips = moving_clips(48, seed=3)
    aim(encoder, clips)
    assert encoder.config["features"] == encoder.head.out_features == len(RUNGS) * (len(DAMAGES) - 1) + 4
    seen = encoder(torch.from_numpy(clips)).double()
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(12, dtype=torch.float64), atol=1e-2, rtol=0)
    wanted = torch.tensor([1.0] * 8 + [0.25] * 4, dtype=torch.float64)
    torch.testing.assert_close(seen.var(dim=0), wanted, atol=2e-2, rtol=2e-2)
    rng = np.random.default_rng(1)
    for number, kind in enumerate(DAMAGES[1:]):
        worse = encoder(torch.from_numpy(np.stack([damaged(clip, kind, RUNGS[1], rng) for clip in clips]))).double()
        assert float((worse - seen).mean(dim=0)[2 * number + 1].detach()) > 0


def test_the_shipped_encoder_is_small() -> None:
    assert shipped_sha256()
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) <= 3_000_000


@pytest.mark.parametrize("kind", ["blur", "noise", "frozen"])
def test_the_shipped_encoders_distance_rises_with_damage(kind: str) -> None:
    encoder = WorldsEncoder.load()
    rng = np.random.default_rng(0)
    # as in an evaluation, where real and generated futures are of the same clips
    clips = moving_clips(64, seed=1)

    def features(videos: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return encoder(torch.from_numpy(videos)).double().numpy()

    real = features(clips)
    strengths = (0.0, 0.2, 0.4, 0.7, 1.0)
    distances = [
        frechet_distance(real, features(np.stack([damaged(clip, kind, strength, rng) for clip in clips])))
        for strength in strengths
    ]
    assert stats.spearmanr(strengths, distances).statistic >= 0.95
    assert distances[-1] > 10 * distances[0] + 1e-4
