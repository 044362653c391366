"""Simulated domains whose motion is known exactly: real mp4 files with annotations beside them."""

from drivereplay.domains.worlds.clips import WorldClips, render_clip
from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.truth import GroundTruth
from drivereplay.domains.worlds.world import Footage, Shot, World
from drivereplay.domains.worlds.writer import open_world, render_ground_truth, write_ground_truth, write_world

__all__ = [
    "WORLDS",
    "Footage",
    "GroundTruth",
    "Shot",
    "World",
    "WorldClips",
    "open_world",
    "render_clip",
    "render_ground_truth",
    "world_named",
    "write_ground_truth",
    "write_world",
]
