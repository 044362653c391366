"""Simulated domains whose motion is known exactly: real mp4 files with annotations beside them."""

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.world import Footage, Shot, World
from drivereplay.domains.worlds.writer import open_world, write_world

__all__ = ["WORLDS", "Footage", "Shot", "World", "open_world", "world_named", "write_world"]
