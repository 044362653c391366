"""People on the move."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.people import Crowd, Walker
from drivereplay.domains.worlds.scene import SceneBuilder, still


def test_a_walker_waits_walks_and_stops() -> None:
    walker = Walker((1.0, 2.0), (0.0, 1.5), starts_s=1.0, ends_s=3.0)
    np.testing.assert_allclose(walker.places(np.array([0.0, 1.0, 2.0, 9.0])), [[1, 2], [1, 2], [1, 3.5], [1, 5]])


def test_a_crowd_is_posed_as_told() -> None:
    builder = SceneBuilder()
    crowd = Crowd(builder, np.random.default_rng(0))
    crowd.add(Walker((0.0, 0.0), (1.0, 0.0)))
    crowd.add(Walker((5.0, 5.0), (0.0, -2.0)))
    scene = builder.build()
    assert scene.classes == ("pedestrian", "pedestrian")
    rotations, translations, _ = still(3, scene)
    crowd.pose(rotations, translations, np.array([0.0, 0.5, 1.0]))
    one, other = scene.main_bodies
    np.testing.assert_allclose(translations[:, one, 0], [0, 0.5, 1])
    np.testing.assert_allclose(translations[:, other, 1], [5, 4, 3])
    np.testing.assert_allclose(rotations[0, other] @ [1, 0, 0], [0, -1, 0], atol=1e-12)
