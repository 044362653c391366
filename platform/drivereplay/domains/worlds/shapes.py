"""Things that fall and bounce."""

from __future__ import annotations

import cv2
import numpy as np

from drivereplay.domains.worlds.world import Footage, Shot, World


class Shapes(World):
    """Balls under gravity in a room, in front of a fixed camera."""

    name = "shapes"
    summary = "rigid bodies under gravity with bounces and collisions"

    def record(self, shot: Shot) -> Footage:
        rng = self.rng(shot)
        height, width, scale = shot.height, shot.width, 3
        count = int(rng.integers(3, 7))
        aspect = width / height
        place = rng.uniform([0.1, 0.3], [aspect - 0.1, 0.9], (count, 2))
        speed = rng.normal(0, 0.4, (count, 2))
        radius = rng.uniform(0.05, 0.14, count)
        colours = rng.integers(40, 255, (count, 3))
        frames, rows = [], []
        for t in range(shot.frames):
            picture = np.full((height * scale, width * scale, 3), (200, 195, 180), np.uint8)
            for i in range(count):
                centre = place[i] * [1, -1] * height + [0, height]
                r = radius[i] * height
                cv2.circle(
                    picture, tuple(int(c * scale) for c in centre), int(r * scale), tuple(int(c) for c in colours[i]), -1
                )
                box = np.clip([*(centre - r), *(centre + r)], 0, [width, height, width, height])
                if box[2] > box[0] and box[3] > box[1]:
                    rows.append((t, i + 1, *box))
            frames.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
            for _ in range(8):
                step = 1 / (8 * shot.fps)
                speed[:, 1] -= 1.0 * step
                place += speed * step
                for axis, limit in ((0, aspect), (1, 1.5)):
                    low, high = place[:, axis] < radius, place[:, axis] > limit - radius
                    speed[:, axis] = np.where(low, 0.9 * abs(speed[:, axis]), speed[:, axis])
                    speed[:, axis] = np.where(high, -0.9 * abs(speed[:, axis]), speed[:, axis])
        table = np.array(rows).reshape(-1, 6)
        names = ("frame", "id", "x1_px", "y1_px", "x2_px", "y2_px")
        objects = {name: table[:, n].astype(np.int64 if n < 2 else float) for n, name in enumerate(names)}
        objects["class"] = np.full(len(table), "ball")
        objects["visible"] = np.ones(len(table))
        numbers = np.arange(shot.frames)
        return Footage(np.stack(frames), {"frame": numbers, "time_s": numbers / shot.fps}, objects)
