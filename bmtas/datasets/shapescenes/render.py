"""Pictures and label maps of a scene."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .materials import albedo
from .raycast import Hits, Surface
from .scene import Scene

CREASE = np.cos(np.radians(30))
"""Cosine between the normals of adjoining faces from which on their border is an edge."""
GAP = 0.02
"""Relative depth step between two parts of one thing from which on their border is an edge."""


@lru_cache(4)
def pixel_centres(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image points (u, v) of all pixels in row order, each (H * W,)."""
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    u, v = u.ravel(), v.ravel()
    # all callers share them
    u.flags.writeable = v.flags.writeable = False
    return u, v


def _contrast(image: np.ndarray, least: float = 0.05) -> np.ndarray:
    """Pixels of an image (3, H, W) that differ visibly from one of their four neighbours."""
    rows = np.abs(image[:, 1:] - image[:, :-1]).max(0) > least
    columns = np.abs(image[:, :, 1:] - image[:, :, :-1]).max(0) > least
    return _both_sides(rows, columns)


class View:
    """A scene seen through the pixels of an image: rays, hits and the geometry of the hits.

    Args:
        scene: The scene.
        size: Pixels (H, W).
    """

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self.scene, self.size = scene, size
        self.u, self.v = pixel_centres(size)
        self.hits, self.surface = self.look(self.u, self.v)

    def rays(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """World directions (3, n) of the rays through image points in pixels."""
        return self.scene.camera.directions(u, v, self.size)

    def look(self, u: np.ndarray, v: np.ndarray) -> tuple[Hits, Surface]:
        """Hits of the rays through image points (u, v) in pixels, each (n,)."""
        scene, rays = self.scene, self.rays(u, v)
        hits = scene.world.cast(scene.camera.position, rays)
        return hits, scene.world.surface(hits, scene.camera.position, rays)

    def per_pixel(self, table: np.ndarray) -> np.ndarray:
        """Map (H, W) of a value that the scene gives to every surface."""
        return table[self.hits.surface].reshape(self.size)

    @property
    def face(self) -> np.ndarray:
        """Map (H, W) with one number for every face of every surface."""
        return (self.hits.surface * 8 + self.hits.face).reshape(self.size)


def _contact_shade(scene: Scene, hits: Hits, surface: Surface) -> np.ndarray:
    """Fraction of ambient light (n,) left by the things near a point, each taken as a ball."""
    left = np.ones(hits.t.shape, np.float32)
    points, normals = surface.points, surface.normals
    owner = scene.instance[hits.surface]
    centres, radii = scene.world.contact_centre, scene.world.contact_radius
    # squared distance less 16 squared radii
    beyond = (-2 * centres.T) @ points + _dot(points, points)
    near = beyond < (16 * radii**2 - _dot(centres, centres))[:, None]
    near &= owner != np.arange(len(radii))[:, None]
    for number, radius in enumerate(radii):
        here = np.flatnonzero(near[number])
        towards = centres[:, number, None] - points.take(here, 1)
        distance2 = _dot(towards, towards)
        facing = _dot(towards, normals.take(here, 1)) / np.sqrt(distance2)
        # nothing is left of it at four radii
        cover = np.maximum(np.minimum(radius**2 / distance2, 1) - 1 / 16, 0)
        left[here] *= 1 - 0.9 * np.maximum(facing, 0) * cover
    return left


def _lamp_positions(scene: Scene, samples: int) -> list[np.ndarray]:
    """Points spread over the lamp's disc (sunflower arrangement); its centre for one sample."""
    if samples == 1:
        return [scene.lights.lamp]
    number = np.arange(samples) + 0.5
    radius = scene.lights.lamp_radius * np.sqrt(number / samples)
    angle = number * np.pi * (3 - np.sqrt(5))
    offsets = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], 1)
    return list(scene.lights.lamp + offsets.astype(np.float32))


def _lamp_light(scene, hits, surface, cosine, lamp_distance, samples) -> np.ndarray:
    """Light of the lamp (n,), dimmed by distance and slant, none in its shadow."""
    lit = np.flatnonzero(cosine > 0)
    # start above the surface, lest rounding makes it shade itself
    start = surface.points.take(lit, 1) + 2e-3 * surface.normals.take(lit, 1)
    shown = hits.surface[lit]
    visible = np.zeros(len(lit), np.float32)
    for position in _lamp_positions(scene, samples):
        visible += ~scene.world.single.blocked(start, position, shown)
    light = np.zeros(cosine.shape, np.float32)
    light[lit] = visible / samples * cosine[lit] * 1.45 / (0.6 + 0.06 * lamp_distance[lit] ** 2)
    return light


def shade(
    scene: Scene, hits: Hits, surface: Surface, pixel: float, shadow_samples: int
) -> np.ndarray:
    """sRGB colours (3, n) in [0, 1] of what the rays met.

    Diffuse and glossy light of the lamp with shadows, diffuse fill, ambient light dimmed near
    things. ``pixel`` is the angle of a pixel. The surface is in single precision.
    """
    lights, normals = scene.lights, surface.normals
    eye = scene.camera.position.astype(np.float32)
    rows = scene.material[hits.surface]
    view = eye[:, None] - surface.points
    distance = _length(view)
    slant = np.maximum(_dot(view, normals) / distance, 0.15)
    colour = albedo(scene.materials, rows, surface.texture, pixel * distance / slant)

    to_lamp = lights.lamp[:, None] - surface.points
    lamp_distance = _length(to_lamp)
    cosine = _dot(to_lamp, normals) / lamp_distance
    lamp = _lamp_light(scene, hits, surface, cosine, lamp_distance, shadow_samples)

    ambient = (0.5 + 0.5 * normals[2]) * (lights.above - lights.below)[:, None]
    light = (ambient + lights.below[:, None]) * _contact_shade(scene, hits, surface)
    light += lights.lamp_colour[:, None] * lamp
    light += lights.fill_colour[:, None] * np.maximum(lights.fill @ normals, 0)
    half = to_lamp / lamp_distance + view / distance
    mirror = np.maximum(_dot(half, normals) / _length(half), 0)
    for _ in range(5):
        mirror = mirror * mirror
    linear = colour * light + scene.materials.gloss[rows] * mirror * lamp
    # soft shoulder instead of clipped highlights
    linear = linear * (1 + linear / 3) / (1 + linear)
    return np.minimum(linear, 1) ** (1 / 2.2)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _length(a: np.ndarray) -> np.ndarray:
    return np.sqrt(_dot(a, a))


def _differs(values: np.ndarray) -> np.ndarray:
    """Pixels of a map (H, W) that differ from one of their four neighbours."""
    return _both_sides(values[1:] != values[:-1], values[:, 1:] != values[:, :-1])


def _both_sides(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Pixels (H, W) on either side of steps between rows (H - 1, W) or columns (H, W - 1)."""
    out = np.zeros((len(columns), rows.shape[1]), bool)
    out[1:] |= rows
    out[:-1] |= rows
    out[:, 1:] |= columns
    out[:, :-1] |= columns
    return out


def picture(view: View, antialias: int, shadow_samples: int) -> np.ndarray:
    """The picture (H, W, 3) uint8.

    Pixels on the border of two surfaces are smoothed by ``antialias`` x ``antialias`` rays; inside
    a surface textures are smooth already.
    """
    scene, size = view.scene, view.size
    pixel = float(1 / (scene.camera.focal * min(size)))
    image = shade(scene, view.hits, view.surface.single(), pixel, shadow_samples)
    if antialias > 1:
        border = np.flatnonzero(_differs(view.face) & _contrast(image.reshape(3, *size)))
        source = _sources(view, border, antialias)
        image[:, border] = image.take(source, 1).reshape(3, -1, len(border)).mean(1)
    levels = (255 * image + 0.5).astype(np.uint8)  # to the nearest integer
    return np.ascontiguousarray(levels.T).reshape(*size, 3)


def _sources(view: View, border: np.ndarray, antialias: int) -> np.ndarray:
    """For ``antialias`` squared rays through every border pixel, the pixels that lend their colour.

    That is the pixel itself, or the neighbour on the ray's side if it shows the face that the ray
    meets: the rays measure how much of a pixel each face covers, and need no light of their own.
    Only the solids that these pixels show are tested.
    """
    height, width = view.size
    steps = (np.arange(antialias) + 0.5) / antialias - 0.5
    du, dv = (np.repeat(grid.ravel(), len(border)) for grid in np.meshgrid(steps, steps))
    source = np.tile(border, antialias**2)
    row, column = np.divmod(source, width)
    down = np.clip(row + np.sign(dv).astype(int), 0, height - 1) * width
    right = np.clip(column + np.sign(du).astype(int), 0, width - 1)
    near = np.stack([source, source - column + right, down + column, down + right])
    faces = view.face.ravel().take(near)
    # between pixels of one face there is nothing to decide
    mixed = np.flatnonzero((faces[1:] != faces[0]).any(0))
    near, faces = near.take(mixed, 1), faces.take(mixed, 1)
    rays = view.rays(view.u[near[0]] + du[mixed], view.v[near[0]] + dv[mixed])
    eye = view.scene.camera.position.astype(np.float32)
    hits = view.scene.world.single.cast(eye, rays.astype(np.float32), faces // 8)
    met = hits.surface * 8 + hits.face
    for neighbour, shown in zip(near[::-1], faces[::-1]):
        source[mixed] = np.where(shown == met, neighbour, source[mixed])
    return source


def edges(view: View) -> np.ndarray:
    """Edge map (H, W) uint8: borders between neighbouring pixels, one pixel wide.

    Two pixels side by side have an edge between them if they show different things (floor and walls
    count as things), or different faces of one thing whose normals differ by more than 30 degrees
    or whose depths differ by more than 2 %. The nearer of the two pixels carries the edge.
    """
    height, width = view.size
    depth = view.hits.t.reshape(view.size)
    instance = view.per_pixel(view.scene.instance)
    face = view.face
    normals = view.surface.normals.reshape(3, *view.size)
    out = np.zeros(view.size, np.uint8)
    for dy, dx in ((0, 1), (1, 0)):
        a = slice(0, height - dy), slice(0, width - dx)
        b = slice(dy, height), slice(dx, width)
        near = np.minimum(depth[a], depth[b])
        crease = _dot(normals[(slice(None), *a)], normals[(slice(None), *b)]) < CREASE
        step = np.abs(depth[a] - depth[b]) > GAP * near
        edge = (face[a] != face[b]) & (crease | step) | (instance[a] != instance[b])
        first = depth[a] <= depth[b]
        out[a] |= edge & first
        out[b] |= edge & ~first
    return out


def camera_normals(view: View) -> np.ndarray:
    """Normals (H, W, 3) float32 in camera coordinates, x right, y down, z forward.

    They face the camera, so the z of a surface seen head-on is -1.
    """
    normals = (view.scene.camera.rotation.T @ view.surface.normals).T.reshape(*view.size, 3)
    return np.ascontiguousarray(normals, np.float32)
