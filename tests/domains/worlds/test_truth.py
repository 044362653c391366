"""Exact annotations: boxes, visible shares, masks, depth and flow, against pictures and against a ray caster."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from drivereplay.domains.worlds.raster import draw
from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.scene import SceneBuilder, Take, still
from drivereplay.domains.worlds.solids import Body, box
from drivereplay.domains.worlds.truth import ground_truth, measure, projected_box
from drivereplay.domains.worlds.world import Shot, render

from .scenes import FLAT, boxes_take
from .test_raster import cast

CLIPS = [(name, subset) for name, world in WORLDS.items() for subset in ("regular", "rare-motion") if world.driving]
CLIPS += [(name, "regular") for name, world in WORLDS.items() if not world.driving]


def flat_take(name: str, subset: str, frames: int = 5) -> Take:
    """A clip in light without direction, so that colours do not change with the way a thing turns."""
    take = world_named(name).take(Shot(3, 1, frames, 12.0, 96, 160, subset))  # type: ignore[arg-type]
    return replace(take, look=FLAT)


@pytest.mark.parametrize(("name", "subset"), CLIPS)
def test_flow_leads_from_a_pixel_to_the_same_pixel_of_the_next_frame(name: str, subset: str) -> None:
    take = flat_take(name, subset)
    now, after = (render(take, frame)[0].astype(np.float32) for frame in (2, 3))
    truth = ground_truth(take, 2)
    rows, columns = np.mgrid[0:96, 0:160].astype(np.float32)
    flow = np.nan_to_num(truth.flow_px)

    def error_with(flow: np.ndarray) -> np.ndarray:
        warped = cv2.remap(after, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
        return np.abs(warped - now).mean(axis=-1)

    error, unmoved = error_with(flow), np.abs(after - now).mean(axis=-1)
    seen = truth.followed
    assert seen.mean() > 0.5
    # outlines are anti-aliased, so that there some error is left
    assert error[seen].mean() < max(0.7 * unmoved[seen].mean(), 0.6)
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        assert error[seen].mean() < 0.8 * error_with(flow + np.array(shift, np.float32))[seen].mean()
    # away from outlines, where a pixel is not mixed of two things, there is next to nothing left
    inner = seen & (cv2.erode((truth.ids == cv2.blur(truth.ids.astype(np.float32), (5, 5))).astype(np.uint8), None) > 0)
    assert np.median(error[inner]) < 2.5
    moving = inner & (truth.ids > 0) & (np.linalg.norm(truth.flow_px, axis=-1) > 1.0)
    if moving.sum() > 50:
        assert error[moving].mean() < 0.6 * unmoved[moving].mean()


@pytest.mark.parametrize(("name", "subset"), CLIPS)
def test_boxes_fit_the_masks_and_lie_in_the_projected_3d_boxes(name: str, subset: str) -> None:
    take = flat_take(name, subset)
    moment = take.moment(2)
    _, drawing = render(take, 2)
    boxes, visible = measure(take.scene, moment, drawing)
    ids = ground_truth(take, 2).ids
    assert ((visible >= 0) & (visible <= 1)).all()
    compared = 0
    for number, body in enumerate(take.scene.main_bodies):
        if np.isnan(boxes[number, 0]):
            # only what is too small to be painted may be in the exact mask and have no box
            assert (ids == number + 1).sum() <= 6
            continue
        solid = projected_box(
            moment.camera, moment.rotations[body], moment.translations[body], take.scene.sizes_m[number]
        ).clip(0, [160, 96, 160, 96])
        assert (boxes[number, :2] >= solid[:2] - 1.0).all()
        assert (boxes[number, 2:] <= solid[2:] + 1.0).all()
        rows, columns = np.nonzero(ids == number + 1)
        if visible[number] > 0.995 and len(rows) > 12:
            mask = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(boxes[number], mask, atol=1.6)
            compared += 1
    assert compared > 0 or name == "drone"


@pytest.mark.parametrize("seed", range(4))
def test_masks_and_depth_agree_with_ray_casting(seed: int) -> None:
    take = boxes_take(seed)
    truth = ground_truth(take, 0)
    owner, depth = cast(take.scene, take.moment(0))
    agree = truth.ids == np.maximum(owner + 1, 0)
    assert agree.mean() > 0.988
    seen = agree & (owner != -2) & (depth < 80)
    np.testing.assert_allclose(truth.depth_m[seen], depth[seen], rtol=0.06)
    assert np.median(np.abs(truth.depth_m[seen] / depth[seen] - 1)) < 1e-5
    assert np.isinf(truth.depth_m[(owner == -2) & (truth.ids == 0)]).mean() > 0.95


def test_flow_of_the_boxes_is_the_projected_motion() -> None:
    take = boxes_take(5)
    truth = ground_truth(take, 0)
    now, after = take.moment(0), take.moment(1)
    for number, body in enumerate(take.scene.main_bodies):
        rows, columns = np.nonzero(truth.ids == number + 1)
        for row, column in list(zip(rows, columns, strict=True))[:: max(1, len(rows) // 5)]:
            ray = now.camera.rays(np.array(column + 0.5), np.array(row + 0.5))
            world = now.camera.position + now.camera.rotation @ ray * truth.depth_m[row, column]
            own = now.rotations[body].T @ (world - now.translations[body])
            moved = after.rotations[body] @ own + after.translations[body]
            expected = after.camera.project(moved) - (column + 0.5, row + 0.5)
            np.testing.assert_allclose(truth.flow_px[row, column], expected, atol=1e-3)


def two_crates(front_y: float) -> Take:
    """A large crate at 10 m, and a smaller one that stands before it."""
    builder = SceneBuilder()
    back = builder.object("crate", Body((box(1, 2, 2, (200.0, 0, 0)),), (1, 2, 2)))
    front = builder.object("crate", Body((box(0.2, 1, 2, (0, 200.0, 0)),), (0.2, 1, 2)))
    scene = builder.build()
    rotations, translations, present = still(1, scene)
    translations[0, back], translations[0, front] = (10.5, 0, 0), (8, front_y, 0)
    return Take(scene, rotations, translations, present, boxes_take(0, frames=1).cameras[:1], FLAT)


def level(take: Take) -> Take:
    from drivereplay.domains.worlds.camera import Camera, view_rotation

    camera = Camera(view_rotation(0.0), np.array([0.0, 0.0, 1.0]), 100.0, (80.0, 48.0), (160, 96))
    return replace(take, cameras=(camera,))


def test_visible_share_is_the_share_that_is_not_hidden() -> None:
    take = level(two_crates(0.0))
    boxes, visible = measure(take.scene, take.moment(0), draw(take.scene, take.moment(0), 4))
    # the back crate is 20 px wide and 20 px high, the front one hides 12.5 px of its width
    np.testing.assert_allclose(boxes[0], [70, 38, 90, 58], atol=0.2)
    assert visible[1] == pytest.approx(1.0)
    assert visible[0] == pytest.approx(1 - 12.5 / 20, abs=0.04)


def test_visible_share_counts_what_the_pictures_edge_cuts_off() -> None:
    take = level(two_crates(6.2))
    _, visible = measure(take.scene, take.moment(0), draw(take.scene, take.moment(0), 4))
    # 1 m wide at about 8 m: from y 5.7 to 6.7, of which the picture shows up to 6.4 at its front
    assert 0.5 < visible[1] < 0.8
    hidden = replace(take, translations=take.translations + np.array([0.0, 20.0, 0.0]))
    boxes, visible = measure(hidden.scene, hidden.moment(0), draw(hidden.scene, hidden.moment(0), 4))
    assert np.isnan(boxes).all()
    assert (visible == 0).all()


def test_the_last_frame_has_no_flow() -> None:
    truth = ground_truth(boxes_take(1), 1)
    assert np.isnan(truth.flow_px).all()
    assert not truth.followed.any()


def test_a_box_behind_the_camera_has_no_projection_and_one_around_it_is_cut() -> None:
    take = level(two_crates(0.0))
    camera = take.cameras[0]
    assert np.isnan(projected_box(camera, np.eye(3), np.array([-9.0, 0, 0]), np.ones(3))).all()
    cut = projected_box(camera, np.eye(3), np.array([2.0, 0.0, 0.0]), np.array([6.0, 1.0, 0.5]))
    assert np.isfinite(cut).all()
    assert cut[3] > 96
