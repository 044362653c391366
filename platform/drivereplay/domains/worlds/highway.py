"""A straight motorway seen from a car."""

from __future__ import annotations

import cv2
import numpy as np

from drivereplay.domains.worlds.world import Footage, Shot, World


class Highway(World):
    """Three lanes, cars that keep theirs; in the rare split one of them cuts in."""

    name = "highway"
    summary = "fast, straight, regular motorway traffic"
    driving = True

    def record(self, shot: Shot) -> Footage:
        rng = self.rng(shot)
        height, width, scale = shot.height, shot.width, 3
        focal = 0.9 * width
        eye, horizon = 1.4, 0.45 * height
        speed = rng.uniform(22, 32)
        count = int(rng.integers(3, 6))
        lanes = rng.permutation(np.array([-3.6, 0.0, 3.6, -3.6, 0.0, 3.6]))[:count]
        ahead = np.sort(rng.uniform(10, 60, count))
        relative = rng.normal(0, 3, count)
        drift = np.zeros(count)
        if shot.subset == "rare-motion":
            lanes[0], drift[0] = -3.6, 1.8
        colours = rng.integers(40, 255, (count, 3))
        frames, rows = [], []
        for t in range(shot.frames):
            time = t / shot.fps
            picture = np.empty((height * scale, width * scale, 3), np.uint8)
            top = int(horizon * scale)
            picture[:top], picture[top:] = (150, 190, 230), (90, 120, 70)

            def point(x: float, y: float, z: float) -> tuple[float, float]:
                return width / 2 + focal * x / z, horizon + focal * (eye - y) / z

            def fill(corners: list[tuple[float, float]], colour: tuple[int, ...], picture: np.ndarray = picture) -> None:
                cv2.fillConvexPoly(picture, np.round(np.array(corners) * scale).astype(np.int32), colour)

            fill([point(-5.4, 0, 1.5), point(-5.4, 0, 300), point(5.4, 0, 300), point(5.4, 0, 1.5)], (80, 80, 85))
            for edge in (-1.8, 1.8):
                first = -(speed * time) % 12
                for start in np.arange(first, 80, 12):
                    near, far = max(1.5, start), max(1.6, start + 4)
                    fill([point(edge + s, 0, z) for s, z in ((-0.1, near), (-0.1, far), (0.1, far), (0.1, near))], (230,) * 3)
            for i in np.argsort(-(ahead + relative * time)):
                z = ahead[i] + relative[i] * time
                x = lanes[i] + min(3.6, drift[i] * time) * np.sign(-lanes[i] or 1.0)
                if z < 4:
                    continue
                (x1, y1), (x2, y2) = point(x - 0.9, 1.5, z), point(x + 0.9, 0, z)
                fill([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], tuple(int(c) for c in colours[i]))
                box = np.clip([x1, y1, x2, y2], 0, [width, height, width, height])
                if box[2] > box[0] and box[3] > box[1]:
                    rows.append((t, i + 1, *box, speed * time + z + 2.2, -x, 0.75))
            frames.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
        table = np.array(rows).reshape(-1, 9)
        names = ("frame", "id", "x1_px", "y1_px", "x2_px", "y2_px", "x_m", "y_m", "z_m")
        objects = {name: table[:, n].astype(np.int64 if n < 2 else float) for n, name in enumerate(names)}
        objects["class"] = np.full(len(table), "car")
        objects["visible"] = np.ones(len(table))
        for name, value in (("length_m", 4.4), ("width_m", 1.8), ("height_m", 1.5), ("heading_rad", 0.0)):
            objects[name] = np.full(len(table), value)
        numbers = np.arange(shot.frames)
        pose = np.zeros((shot.frames, 3, 4))
        pose[:, 0, 2], pose[:, 1, 0], pose[:, 2, 1] = 1, -1, -1
        pose[:, 0, 3], pose[:, 2, 3] = speed * numbers / shot.fps, eye
        columns = {"frame": numbers, "time_s": numbers / shot.fps}
        for name, value in (("fx_px", focal), ("fy_px", focal), ("cx_px", width / 2), ("cy_px", horizon)):
            columns[name] = np.full(shot.frames, value)
        columns |= {f"pose_{r}{c}": pose[:, r, c] for r in range(3) for c in range(4)}
        return Footage(np.stack(frames), columns, objects)
