"""The worlds by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from drivereplay.domains.worlds.crowd import Crowd
from drivereplay.domains.worlds.drone import Drone
from drivereplay.domains.worlds.handheld import Handheld
from drivereplay.domains.worlds.highway import Highway
from drivereplay.domains.worlds.night_rain import NightRain
from drivereplay.domains.worlds.orbit import Orbit
from drivereplay.domains.worlds.shapes import Shapes
from drivereplay.domains.worlds.streetcam import Streetcam
from drivereplay.domains.worlds.town import Town
from drivereplay.domains.worlds.world import World
from drivereplay.errors import SpecError

_ALL = (Highway, Town, NightRain, Shapes, Orbit, Drone, Streetcam, Handheld, Crowd)

WORLDS: Mapping[str, type[World]] = {world.name: world for world in _ALL}


def world_named(name: str) -> World:
    """The world with this name.

    Raises:
        SpecError: There is none.
    """
    if name in WORLDS:
        return WORLDS[name]()
    near = difflib.get_close_matches(name, WORLDS, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise SpecError(f"There is no world '{name}'.", f"{hint}The worlds are {', '.join(sorted(WORLDS))}.")
