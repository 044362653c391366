"""From an index picture to colours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivereplay.domains.worlds.camera import Camera, view_rotation
from drivereplay.domains.worlds.raster import draw
from drivereplay.domains.worlds.scene import Look, Moment, Scene, SceneBuilder, still
from drivereplay.domains.worlds.shading import rain, shade
from drivereplay.domains.worlds.solids import Body, box, ground, rectangle

from .scenes import FLAT


def picture(builder: SceneBuilder, look: Look, samples: int = 2, pitch: float = 0.0) -> np.ndarray:
    scene: Scene = builder.build()
    rotations, translations, present = still(1, scene)
    camera = Camera(view_rotation(0.0, pitch), np.array([0.0, 0.0, 1.5]), 80.0, (80.0, 48.0), (160, 96))
    moment = Moment(rotations[0], translations[0], present[0], camera)
    return shade(scene, moment, draw(scene, moment, samples), look)


def floor() -> SceneBuilder:
    builder = SceneBuilder()
    builder.ground(ground(rectangle(4000, 4000), (100.0, 150.0, 50.0)))
    return builder


def test_sky_above_and_ground_below_the_horizon() -> None:
    found = picture(floor(), FLAT)
    assert np.abs(found[0].astype(float) - FLAT.sky).max() < 30
    assert np.abs(found[90].astype(float).mean(axis=0) - (100, 150, 50)).max() < 12


def test_the_sun_lights_the_side_that_faces_it() -> None:
    builder = floor()
    builder.scenery(box(2, 4, 6, (200.0, 200.0, 200.0)).moved(10.0))
    front = picture(builder, Look(sun=(-1.0, 0.0, 0.0), ambient=0.4, sunlight=0.5))[40, 80].mean()
    behind = picture(builder, Look(sun=(1.0, 0.0, 0.0), ambient=0.4, sunlight=0.5))[40, 80].mean()
    assert front > 1.8 * behind


def test_far_things_fade_to_the_haze() -> None:
    found = picture(floor(), replace(FLAT, haze_m=40.0, haze=(200.0, 200.0, 200.0))).astype(float)
    away = np.abs(found - 200.0).mean(axis=(1, 2))
    assert away[92] > away[70] > away[56] > away[50]


def test_headlights_light_what_is_near_and_ahead() -> None:
    dark = replace(FLAT, ambient=0.1, sky=(0.0, 0.0, 0.0), haze=(0.0, 0.0, 0.0))
    unlit, lit = picture(floor(), dark).astype(float), picture(floor(), replace(dark, headlight=0.9)).astype(float)
    gain = (lit - unlit).mean(axis=-1)
    assert gain[75, 80] > 20
    assert gain[75, 80] > 2 * gain[75, 5]
    assert gain[51, 80] < 0.3 * gain[75, 80]
    assert np.abs(gain[:40]).max() == 0


def test_lamps_shine_in_the_dark() -> None:
    builder = floor()
    builder.scenery(box(1, 2, 2, (250.0, 200.0, 100.0), bottom_m=1, glow=1.0).moved(10.0))
    dark = replace(FLAT, ambient=0.1)
    assert picture(builder, dark)[48, 80].astype(float).mean() > 150


def test_edges_are_anti_aliased() -> None:
    builder = SceneBuilder()
    builder.scenery(box(2, 4, 6, (255.0, 255.0, 255.0)).moved(10.3, 0.37))
    look = replace(FLAT, sky=(0.0, 0.0, 0.0), haze=(0.0, 0.0, 0.0))
    values = picture(builder, look, samples=4)[40, :, 0].astype(float)
    between = (values > 0.1 * values.max()) & (values < 0.9 * values.max())
    assert 1 <= between.sum() <= 4


def test_rain_brightens_a_little_and_follows_its_seed() -> None:
    still_picture = np.full((96, 160, 3), 60, np.uint8)
    look = replace(FLAT, rain=40)
    one = rain(still_picture, look, np.random.default_rng(1))
    np.testing.assert_array_equal(one, rain(still_picture, look, np.random.default_rng(1)))
    changed = (one != still_picture).any(axis=-1).mean()
    assert 0.005 < changed < 0.2
    assert (one >= still_picture).all()


def test_a_body_carries_its_texture_with_it() -> None:
    """The picture of a crate that moved sideways and of a camera that moved the other way are the same."""
    from drivereplay.domains.worlds.textures import MOSAIC

    builder = SceneBuilder()
    body = builder.object("crate", Body((box(2, 4, 3, (200.0, 180.0, 160.0), texture=MOSAIC),), (2, 4, 3)))
    scene = builder.build()
    pictures = []
    for crate_y, camera_y in ((0.0, -0.7), (0.7, 0.0)):
        rotations, translations, present = still(1, scene)
        translations[0, body] = (8.0, crate_y, 0.0)
        camera = Camera(view_rotation(0.0), np.array([0.0, camera_y, 1.5]), 80.0, (80.0, 48.0), (160, 96))
        moment = Moment(rotations[0], translations[0], present[0], camera)
        pictures.append(shade(scene, moment, draw(scene, moment, 2), FLAT))
    assert pictures[0].std() > 20
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
