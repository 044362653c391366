"""The worlds by name."""

from __future__ import annotations

import pytest

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.errors import SpecError


def test_the_promised_worlds_are_there() -> None:
    driving = {name for name, world in WORLDS.items() if world.driving}
    assert driving == {"highway", "town", "night-rain"}
    assert set(WORLDS) - driving == {"shapes", "orbit", "drone", "streetcam", "handheld", "crowd"}
    assert all(world.name == name and world.summary for name, world in WORLDS.items())


def test_an_unknown_world_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"no world 'higway'.*Did you mean 'highway'.*streetcam"):
        world_named("higway")
