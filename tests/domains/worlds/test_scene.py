"""Scenes as arrays."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.scene import SceneBuilder, box_corners, headings, still
from drivereplay.domains.worlds.solids import Body, box, ground, polygon, rectangle

WHITE = (255.0, 255.0, 255.0)


def small_scene() -> SceneBuilder:
    builder = SceneBuilder()
    limb = Body((box(0.1, 0.1, 0.5, WHITE),))
    shadow = ground(polygon(8, 1.0), (10.0, 10.0, 10.0))
    builder.object(
        "robot", Body((box(1, 1, 2, WHITE), box(1, 1, 1, WHITE, bottom_m=2)), (1, 1, 3), (limb, limb), (shadow,))
    )
    builder.ground(ground(rectangle(10, 10), WHITE))
    builder.scenery(box(5, 5, 5, WHITE).moved(20))
    builder.object("crate", Body((box(2, 1, 1, WHITE),), (2, 1, 1)))
    return builder


def test_faces_know_their_body_and_solid() -> None:
    scene = small_scene().build()
    # shadow and ground, then 6 faces for each of the 6 solids
    assert scene.solids.tolist() == [-1, -1] + [n for n in range(6) for _ in range(6)]
    assert scene.bodies[:2].tolist() == [1, 0]
    assert scene.solid_bodies.tolist() == [0, 1, 1, 2, 3, 4]
    assert scene.body_objects.tolist() == [-1, 0, 0, 0, 1]
    assert scene.classes == ("robot", "crate")
    assert scene.main_bodies.tolist() == [1, 4]
    np.testing.assert_allclose(scene.sizes_m, [[1, 1, 3], [2, 1, 1]])


def test_counts_normals_and_texture_axes() -> None:
    scene = small_scene().build()
    assert scene.counts.tolist() == [8, 4] + [4] * 36
    np.testing.assert_allclose(np.linalg.norm(scene.normals, axis=0), 1.0)
    np.testing.assert_allclose((scene.axes * scene.normals).sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(scene.axes, axis=1), 1.0)


def test_boxes_enclose_their_solids() -> None:
    scene = small_scene().build()
    np.testing.assert_allclose(scene.boxes[:, 0, 0], [17.5, -2.5, 0])
    np.testing.assert_allclose(scene.boxes[:, 7, 0], [22.5, 2.5, 5])
    # x runs fastest, then y, then z
    np.testing.assert_allclose(scene.boxes[:, 1, 0] - scene.boxes[:, 0, 0], [5, 0, 0])
    np.testing.assert_allclose(scene.boxes[:, 4, 0] - scene.boxes[:, 0, 0], [0, 0, 5])


def test_a_scene_without_solids_is_one() -> None:
    builder = SceneBuilder()
    builder.ground(ground(rectangle(1, 1), WHITE))
    assert builder.build().boxes.shape == (3, 8, 0)


def test_headings_turn_about_the_vertical() -> None:
    np.testing.assert_allclose(headings(np.array([np.pi / 2]))[0] @ [1, 0, 5], [0, 1, 5], atol=1e-12)


def test_still_is_the_identity() -> None:
    scene = small_scene().build()
    rotations, translations, present = still(3, scene)
    assert rotations.shape == (3, 5, 3, 3)
    assert (translations == 0).all()
    assert present.all()


def test_an_objects_box_stands_on_the_ground() -> None:
    corners = box_corners((4.0, 2.0, 1.5))
    np.testing.assert_allclose(corners.min(axis=0), [-2, -1, 0])
    np.testing.assert_allclose(corners.max(axis=0), [2, 1, 1.5])
