"""The painter: what is in front is seen, against a ray caster that knows nothing of painting."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.camera import Camera, view_rotation
from drivereplay.domains.worlds.raster import NEAR_M, draw
from drivereplay.domains.worlds.scene import Moment, Scene, SceneBuilder, still
from drivereplay.domains.worlds.solids import Body, box, ground, rectangle

from .scenes import boxes_take


def cast(scene: Scene, moment: Moment) -> tuple[np.ndarray, np.ndarray]:
    """Nearest object (−1 ground, −2 sky) and depth at every pixel centre, by intersecting rays with boxes."""
    camera = moment.camera
    width, height = camera.size_px
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    rays = camera.rays(columns, rows)
    directions = rays @ camera.rotation.T
    with np.errstate(divide="ignore", invalid="ignore"):
        down = -camera.position[2] / directions[..., 2]
        foot = np.abs(camera.position[:2] + down[..., None] * directions[..., :2]).max(axis=-1)
    # the patch of ground in `boxes_take` ends at 100 m
    depth = np.where((down > 0) & (foot < 100), down, np.inf)
    owner = np.where(np.isfinite(depth), -1, -2)
    for number, body in enumerate(scene.main_bodies):
        turn, place = moment.rotations[body], moment.translations[body]
        size = scene.sizes_m[number]
        origin = (camera.position - place) @ turn
        local = directions @ turn
        low, high = np.array([-size[0] / 2, -size[1] / 2, 0.0]), np.array([size[0] / 2, size[1] / 2, size[2]])
        with np.errstate(divide="ignore"):
            one, two = (low - origin) / local, (high - origin) / local
        enter, leave = np.minimum(one, two).max(axis=-1), np.maximum(one, two).min(axis=-1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        depth, owner = np.where(hit, enter, depth), np.where(hit, number, owner)
    return owner, depth


@pytest.mark.parametrize("seed", range(6))
def test_painting_agrees_with_ray_casting(seed: int) -> None:
    take = boxes_take(seed, count=10, frames=1)
    moment = take.moment(0)
    owner, _ = cast(take.scene, moment)
    drawing = draw(take.scene, moment, 5)
    face = drawing.index[2::5, 2::5]
    solids = take.scene.solids[drawing.faces]
    objects = take.scene.body_objects[take.scene.bodies[drawing.faces]]
    painted = np.concatenate([[-2], np.where(solids < 0, -1, objects)])[face]
    assert len(np.unique(owner)) > 6
    # painting widens outlines by up to half a sample, a tenth of a pixel
    assert (painted != owner).mean() < 0.012


def test_a_long_wall_does_not_hide_what_stands_before_it() -> None:
    """The middle of the wall is nearer than the post, the wall's part behind the post is not."""
    builder = SceneBuilder()
    wall = builder.object("wall", Body((box(30, 1, 5, (200, 0, 0)),), (30, 1, 5)))
    post = builder.object("post", Body((box(0.5, 0.5, 4, (0, 200, 0)),), (0.5, 0.5, 4)))
    scene = builder.build()
    rotations, translations, present = still(1, scene)
    translations[0, wall], translations[0, post] = (16, 5, 0), (26, 3, 0)
    camera = Camera(view_rotation(0.0), np.array([0.0, 0.0, 1.5]), 80.0, (80.0, 48.0), (160, 96))
    drawing = draw(scene, Moment(rotations[0], translations[0], present[0], camera), 2)
    owner = np.concatenate([[-1], scene.body_objects[scene.bodies[drawing.faces]]])[drawing.index]
    column, row = camera.project(np.array([25.7, 3.0, 2.0])) * 2
    assert owner[int(row), int(column)] == 1
    assert (owner == 0).any()


def test_what_is_not_present_or_behind_is_not_drawn() -> None:
    builder = SceneBuilder()
    bodies = [builder.object("crate", Body((box(1, 1, 1, (200, 0, 0)),), (1, 1, 1))) for _ in range(3)]
    scene = builder.build()
    rotations, translations, present = still(1, scene)
    translations[0, bodies] = [(6, 0, 0), (6, 2, 0), (-6, 0, 0)]
    present[0, bodies[1]] = False
    camera = Camera(view_rotation(0.0), np.array([0.0, 0.0, 0.5]), 80.0, (80.0, 48.0), (160, 96))
    drawing = draw(scene, Moment(rotations[0], translations[0], present[0], camera), 2)
    assert set(scene.bodies[drawing.faces]) == {bodies[0]}


def test_ground_that_reaches_behind_the_camera_is_cut_at_the_near_plane() -> None:
    builder = SceneBuilder()
    builder.ground(ground(rectangle(1000, 1000), (100, 100, 100)))
    scene = builder.build()
    rotations, translations, present = still(1, scene)
    camera = Camera(view_rotation(0.3, 0.1, 0.2), np.array([0.0, 0.0, 1.5]), 80.0, (80.0, 48.0), (160, 96))
    moment = Moment(rotations[0], translations[0], present[0], camera)
    drawing = draw(scene, moment, 3)
    assert drawing.nearest.max() <= 1 / NEAR_M
    rows, columns = np.mgrid[0:96, 0:160] + 0.5
    directions = camera.rays(columns, rows) @ camera.rotation.T
    # ground where a ray goes down and meets it within the patch
    with np.errstate(divide="ignore"):
        reach = -1.5 / directions[..., 2]
    expected = (reach > 0) & (reach < 440)
    assert ((drawing.index[1::3, 1::3] > 0) == expected).mean() > 0.985


def test_an_empty_scene_is_all_sky() -> None:
    builder = SceneBuilder()
    builder.scenery(box(1, 1, 1, (1, 1, 1)).moved(-50))
    scene = builder.build()
    rotations, translations, present = still(1, scene)
    camera = Camera(view_rotation(0.0), np.array([0.0, 0.0, 1.5]), 80.0, (80.0, 48.0), (160, 96))
    drawing = draw(scene, Moment(rotations[0], translations[0], present[0], camera), 2)
    assert (drawing.index == 0).all()
    assert len(drawing.faces) == 0
