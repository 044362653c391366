"""From an index picture to colours: sun and shade, textures, haze, headlights, rain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.raster import Drawing, Index
from drivereplay.domains.worlds.scene import Look, Moment, Scene
from drivereplay.domains.worlds.textures import LEVELS, SIDE, atlas

Float = NDArray[np.float32]


def shade(scene: Scene, moment: Moment, drawing: Drawing, look: Look) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 RGB of a drawing.

    Edges are anti-aliased by averaging the faces' lit colours over a pixel's samples. What varies slowly (texture,
    haze, headlights) is worked out once per pixel, for the face in its middle; textures are filtered by their levels.
    """
    picture: NDArray[np.uint8] = shade_all(scene, [moment], [drawing], look)[0]
    return picture


def shade_all(scene: Scene, moments: Sequence[Moment], drawings: Sequence[Drawing], look: Look) -> NDArray[np.uint8]:
    """`shade` for K moments, whose cameras have one size: (K, H, W, 3)."""
    width, height = moments[0].camera.size_px
    columns = _Columns.of(drawings)
    table = _face_table(scene, moments, drawings, columns, look)
    # four channels are gathered and averaged faster than three
    palette = np.zeros((table.shape[1], 4), np.float32)
    palette[columns.skies, :3] = look.haze
    palette[columns.faces, :3] = scene.colours[columns.numbers] * table[_LIGHT, columns.faces, None]
    pictures = np.empty((len(drawings), height, width, 3), np.uint8)
    # one by one: what a picture needs stays in the processor's cache
    for picture, moment, drawing, first, last in zip(
        pictures, moments, drawings, columns.skies.tolist(), columns.ends.tolist(), strict=True
    ):
        picture[...] = _coloured(moment, drawing, table[:, first:last], palette[first:last], look)
    return pictures


def _coloured(moment: Moment, drawing: Drawing, table: Float, palette: Float, look: Look) -> NDArray[np.uint8]:
    """One picture (H, W, 3), with the columns of the table and the colours of its sky and its faces."""
    camera, samples = moment.camera, drawing.samples
    width, height = camera.size_px
    index = np.ascontiguousarray(drawing.index[samples // 2 :: samples, samples // 2 :: samples], np.intp)
    x, y = _grid(width, height, camera.focal_px, camera.centre_px)

    closeness = _plane(table[0:3], index, x, y)
    # painting reaches half a sample beyond a face, where the plane of a slanted one may be anywhere; the sky is far
    np.maximum(closeness, _taken(table[_FARTHEST], index), out=closeness)
    np.minimum(closeness, _taken(table[_NEAREST], index), out=closeness)
    depth = np.float32(1.0) / closeness
    light = _luminance(table, index, x, y, depth)
    if look.headlight:
        gain = _headlight(x, y, closeness, look.headlight) * _taken(table[_ANSWER], index)
        light *= gain + np.float32(1.0)
    depth *= np.float32(-1.0 / look.haze_m)
    clear = cv2.exp(depth)
    # what shines by itself is seen through the haze from further away
    np.maximum(clear, _taken(table[_GLOW], index), out=clear)
    sky = index == 0
    light *= clear
    light[sky], clear[sky] = 1.0, 1.0
    rise = _sky_share(camera.rotation, x, y) * sky if sky.any() else None

    flat = np.take(palette, drawing.index if samples > 1 else index, axis=0, mode="clip")
    if samples > 1:
        flat = cv2.resize(flat, (width, height), interpolation=cv2.INTER_AREA)
    planes = list(cv2.split(flat)[:3])
    veil = np.float32(1.0) - clear
    for channel, plane in enumerate(planes):
        plane *= light
        plane += np.float32(look.haze[channel]) * veil
        if rise is not None:
            plane += rise * np.float32(look.sky[channel] - look.haze[channel])
        np.maximum(plane, np.float32(0.0), out=plane)
    picture: NDArray[np.uint8] = cv2.convertScaleAbs(cv2.merge(planes))
    return picture


@dataclass(frozen=True)
class _Columns:
    """Where the faces of K drawings stand in one table: each drawing's sky, then its faces in painting order.

    Attributes:
        skies: (K,) column of each drawing's sky; the number in its index picture counts from there.
        ends: (K,) column after its last face.
        faces: (F,) columns of all faces.
        drawings: (F,) which drawing each belongs to.
        numbers: (F,) their numbers in the scene.
    """

    skies: Index
    ends: Index
    faces: Index
    drawings: Index
    numbers: Index

    @classmethod
    def of(cls, drawings: Sequence[Drawing]) -> _Columns:
        counts = np.array([len(drawing.faces) for drawing in drawings])
        ends = np.cumsum(counts + 1)
        of_drawing = np.repeat(np.arange(len(drawings)), counts)
        numbers = np.concatenate([drawing.faces for drawing in drawings])
        return cls(ends - counts - 1, ends, np.arange(len(numbers)) + of_drawing + 1, of_drawing, numbers)


def rain(picture: NDArray[np.uint8], look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Thin falling streaks in front of everything; they belong to no object and to no flow."""
    height, width = picture.shape[:2]
    count = round(look.rain * height * width / (96 * 160))
    veil = np.zeros((height, width), np.uint8)
    length = height / 14
    for x, y in rng.uniform(0, 1, (count, 2)) * (width, height):
        ends = np.rint(np.array([[x, y], [x + 0.12 * length, y + length]]) * 16).astype(np.int32)
        cv2.line(veil, tuple(ends[0].tolist()), tuple(ends[1].tolist()), 26, 1, cv2.LINE_AA, 4)
    return cv2.add(picture, cv2.merge([veil, veil, veil]))


@lru_cache(maxsize=64)
def _grid(width: int, height: int, focal: float, centre: tuple[float, float]) -> tuple[Float, Float]:
    """Ray directions of pixels: x/z (1, W) and y/z (H, 1)."""
    columns = (np.arange(width) + 0.5 - centre[0]) / focal
    rows = (np.arange(height) + 0.5 - centre[1]) / focal
    return columns.astype(np.float32)[None], rows.astype(np.float32)[:, None]


def _taken(values: Float, index: NDArray[np.intp]) -> Float:
    # indices are right by construction, and `clip` spares numpy the check
    taken: Float = np.take(values, index, mode="clip")
    return taken


# rows of the table of constants; 0–2, 3–5 and 6–8 are the planes of 1/depth and of the two texture coordinates
_ORIGIN, _FOOTPRINT, _TOP, _LIGHT, _ANSWER, _GLOW, _FARTHEST, _NEAREST, _ROWS = 9, 11, 12, 13, 14, 15, 16, 17, 18


def _face_table(
    scene: Scene, moments: Sequence[Moment], drawings: Sequence[Drawing], columns: _Columns, look: Look
) -> Float:
    """(18, F + K) constants of each face; a drawing's first column is its sky."""
    faces, numbers, place = columns.numbers, columns.drawings, columns.faces
    texture = scene.textures[faces]
    tiles = atlas()
    tile_m = tiles.tile_m[texture]
    table = np.zeros((_ROWS, len(faces) + len(drawings)), np.float32)
    normals, turns = (
        np.concatenate([getattr(drawing, name) for drawing in drawings], axis=-1) for name in ("normals", "turns")
    )
    offsets, farthest, nearest = (
        np.concatenate([getattr(drawing, name) for drawing in drawings]) for name in ("offsets", "farthest", "nearest")
    )
    plane = normals / offsets
    table[0:3, place] = plane
    # the camera's place in the axes of each body
    away = [(moment.camera.position - moment.translations)[..., None] for moment in moments]
    seat = [
        np.matmul(moment.rotations.transpose(0, 2, 1), far)[..., 0] for moment, far in zip(moments, away, strict=True)
    ]
    seats = np.stack(seat)[numbers, scene.bodies[faces]].T
    for n in range(2):
        axis = scene.axes[n][:, faces] / tile_m
        for i in range(3):
            table[3 + 3 * n + i, place] = turns[i, 0] * axis[0] + turns[i, 1] * axis[1] + turns[i, 2] * axis[2]
        origin = axis[0] * seats[0] + axis[1] * seats[1] + axis[2] * seats[2]
        # whole tiles do not matter, and small numbers keep float32 exact
        table[_ORIGIN + n, place] = origin - np.floor(origin)
    # a pixel covers about depth² · |plane| / focal metres of a slanted face
    slant = np.sqrt((plane * plane).sum(axis=0)) / np.array([m.camera.focal_px for m in moments])[numbers]
    table[_FOOTPRINT, place] = slant * SIDE / tile_m
    table[_TOP, place] = tiles.top[texture] - 0.5
    upright = np.concatenate([m.camera.rotation @ d.normals for m, d in zip(moments, drawings, strict=True)], axis=1)
    lit = look.ambient * (0.85 + 0.15 * upright[2]) + look.sunlight * np.maximum(np.asarray(look.sun) @ upright, 0.0)
    glow = scene.glows[faces]
    light = np.maximum(lit, glow).astype(np.float32)
    table[_LIGHT, place] = light
    # headlights add to what is there already: their gain is over the face's own light
    table[_ANSWER, place] = (glow < 0.5) / light
    table[_GLOW, place] = np.minimum(glow, 0.9)
    table[_FARTHEST, columns.skies], table[_NEAREST, columns.skies] = 1e-5, 1e-5
    table[_FARTHEST, place], table[_NEAREST, place] = np.maximum(farthest, 1e-5), nearest
    return table


def _plane(rows: Float, index: NDArray[np.intp], x: Float, y: Float) -> Float:
    """rows · (x, y, 1) at every pixel, with the rows (3, F + 1) of the face that is seen there."""
    total = _taken(rows[0], index)
    total *= x
    part = _taken(rows[1], index)
    part *= y
    total += part
    total += _taken(rows[2], index)
    return total


def _luminance(table: Float, index: NDArray[np.intp], x: Float, y: Float, depth: Float) -> Float:
    """Texture about 1 at every pixel, from the level whose texels are about as large as the pixel."""
    tiles = atlas()
    places = []
    for axis in range(2):
        place = _plane(table[3 + 3 * axis : 6 + 3 * axis], index, x, y)
        place *= depth
        place += _taken(table[_ORIGIN + axis], index)
        place -= np.floor(place)
        places.append(place)
    footprint = depth * depth
    footprint *= _taken(table[_FOOTPRINT], index)
    # the exponent of a float is the floor of its logarithm to base 2
    level = footprint.view(np.int32) >> 23
    level -= 127
    np.clip(level, 0, LEVELS - 1, out=level)
    # SIDE / 2^level from its exponent
    side = (np.int32(SIDE.bit_length() - 1 + 127 - level) << 23).view(np.float32)
    u, v = places
    u *= side
    u += _taken(tiles.left - np.float32(0.5), level.astype(np.intp))
    v *= side
    v += _taken(table[_TOP], index)
    luminance: Float = cv2.remap(tiles.image, u, v, cv2.INTER_LINEAR)
    luminance += np.float32(1.0)
    return luminance


def _headlight(x: Float, y: Float, closeness: Float, strength: float) -> Float:
    """Two beams as one: wide, falling with the square of the distance, cut off above the horizon."""
    beam = np.exp(-((x / np.float32(0.35)) ** 2)) * np.clip((y + np.float32(0.06)) / np.float32(0.08), 0, 1)
    reach = closeness * np.float32(14.0)
    np.minimum(reach * reach, np.float32(1.0), out=reach)
    reach *= beam * np.float32(strength)
    return reach


def _sky_share(rotation: NDArray[np.float64], x: Float, y: Float) -> Float:
    """How far the sky has turned from the haze's colour to its own in the directions (x, y, 1): 0 at the horizon."""
    up = rotation[2].astype(np.float32)
    share = (up[0] * x + up[1] * y + up[2]) * np.float32(2.2)
    np.minimum(np.maximum(share, np.float32(0.0), out=share), np.float32(1.0), out=share)
    return share
