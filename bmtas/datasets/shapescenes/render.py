"""Pictures and label maps of a scene."""

from __future__ import annotations

import numpy as np

from .materials import albedo
from .raycast import Hits
from .scene import Scene

CREASE = np.cos(np.radians(30))
"""Cosine between the normals of adjoining faces from which on their border is an edge."""
GAP = 0.02
"""Relative depth step between two parts of one thing from which on their border is an edge."""


def cast(scene: Scene, u: np.ndarray, v: np.ndarray, size: tuple[int, int]) -> Hits:
    """Hits of the rays through image points (u, v) in pixels, each (n,)."""
    camera = scene.camera
    return scene.world.cast(camera.position, camera.directions(u, v, size))


def pixel_centres(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Image points (u, v) of all pixels in row order, each (H * W,)."""
    v, u = np.mgrid[: size[0], : size[1]] + 0.5
    return u.ravel(), v.ravel()


def _contact_shade(scene: Scene, hits: Hits) -> np.ndarray:
    """Fraction of ambient light (n,) left by the things near a point, each taken as a ball."""
    left = np.ones(hits.t.shape)
    world = scene.world
    owner = scene.instance[hits.surface]
    for number in range(int(scene.instance[-3])):
        solids = np.flatnonzero(scene.instance[:-3] == number)
        centres, radii = world.ball_centre[solids], world.ball_radius[solids]
        low, high = (centres - radii[:, None]).min(0), (centres + radii[:, None]).max(0)
        # a flat ball low over the ground darkens the floor most where the thing stands
        centre = np.array([*((low + high) / 2)[:2], min((low[2] + high[2]) / 2, low[2] + 0.45)])
        radius = min((high - low)[:2].max() / 2, 0.5) * 0.8
        towards = centre[:, None] - hits.points
        distance2 = (towards**2).sum(0) + 1e-3
        facing = (towards * hits.normals).sum(0) / np.sqrt(distance2)
        cover = np.clip(facing, 0, 1) * np.minimum(radius**2 / distance2, 1)
        left *= np.where(owner == number, 1, 1 - 0.85 * cover)
    return left


def _lamp_positions(scene: Scene, samples: int) -> list[np.ndarray]:
    """Points spread over the lamp's disc (sunflower arrangement); its centre for one sample."""
    if samples == 1:
        return [scene.lights.lamp]
    number = np.arange(samples) + 0.5
    radius = scene.lights.lamp_radius * np.sqrt(number / samples)
    angle = number * np.pi * (3 - np.sqrt(5))
    offsets = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], 1)
    return list(scene.lights.lamp + offsets)


def shade(scene: Scene, hits: Hits, pixel: float, shadow_samples: int) -> np.ndarray:
    """sRGB colours (3, n) in [0, 1] of what the rays met.

    Diffuse and glossy light of the lamp with shadows, diffuse fill, ambient light dimmed near
    things. ``pixel`` is the angle of a pixel.
    """
    lights, normals = scene.lights, hits.normals
    rows = scene.material[hits.surface]
    view = scene.camera.position[:, None] - hits.points
    distance = np.sqrt((view**2).sum(0))
    view = view / distance
    slant = np.clip((view * normals).sum(0), 0.15, 1)
    colour = albedo(scene.materials, rows, hits.texture, pixel * distance / slant)

    to_lamp = lights.lamp[:, None] - hits.points
    lamp_distance = np.sqrt((to_lamp**2).sum(0))
    to_lamp /= lamp_distance
    cosine = np.clip((to_lamp * normals).sum(0), 0, None)
    lit = np.flatnonzero(cosine > 0)
    visible = np.zeros(cosine.shape)
    # start above the surface, lest rounding makes it shade itself
    start = hits.points[:, lit] + 1e-4 * normals[:, lit]
    for position in _lamp_positions(scene, shadow_samples):
        visible[lit] += ~scene.world.blocked(start, position)
    lamp = visible / shadow_samples * cosine * 1.25 / (0.6 + 0.07 * lamp_distance**2)

    fill = np.clip(lights.fill @ normals, 0, None)
    level = normals[2] * 0.5 + 0.5
    ambient = lights.below[:, None] + level * (lights.above - lights.below)[:, None]
    light = ambient * _contact_shade(scene, hits)
    light += lights.lamp_colour[:, None] * lamp + lights.fill_colour[:, None] * fill
    half = to_lamp + view
    half /= np.sqrt((half**2).sum(0)) + 1e-9
    gloss = np.array([m.gloss for m in scene.materials])[rows]
    shine = gloss * np.clip((half * normals).sum(0), 0, 1) ** 32 * lamp
    linear = colour * light + shine
    # soft shoulder instead of clipped highlights
    linear = linear * (1 + linear / 3) / (1 + linear)
    return np.clip(linear, 0, 1) ** (1 / 2.2)


def _differs(values: np.ndarray) -> np.ndarray:
    """Pixels of a map (H, W) that differ from one of their four neighbours."""
    out = np.zeros(values.shape, bool)
    rows, columns = values[1:] != values[:-1], values[:, 1:] != values[:, :-1]
    out[1:] |= rows
    out[:-1] |= rows
    out[:, 1:] |= columns
    out[:, :-1] |= columns
    return out


def render(
    scene: Scene, hits: Hits, size: tuple[int, int], antialias: int, shadow_samples: int
) -> np.ndarray:
    """The picture (H, W, 3) uint8.

    Pixels on the border of two surfaces are the mean of ``antialias`` x ``antialias`` rays;
    inside a surface textures are smooth already.
    """
    pixel = 1 / (scene.camera.focal * min(size))
    image = shade(scene, hits, pixel, shadow_samples)
    if antialias > 1:
        surface = (hits.surface * 8 + hits.face).reshape(size)
        border = np.flatnonzero(_differs(surface))
        u, v = pixel_centres(size)
        steps = (np.arange(antialias) + 0.5) / antialias - 0.5
        du, dv = (grid.ravel() for grid in np.meshgrid(steps, steps))
        fine = cast(scene, (u[border, None] + du).ravel(), (v[border, None] + dv).ravel(), size)
        colours = shade(scene, fine, pixel / antialias, shadow_samples)
        image[:, border] = colours.reshape(3, len(border), -1).mean(2)
    return np.round(255 * image.T.reshape(*size, 3)).astype(np.uint8)


def edges(scene: Scene, hits: Hits, size: tuple[int, int]) -> np.ndarray:
    """Edge map (H, W) uint8: borders between neighbouring pixels, one pixel wide.

    Two pixels side by side have an edge between them if they show different things (floor and walls
    count as things), or different faces of one thing whose normals differ by more than 30 degrees
    or whose depths differ by more than 2 %. The nearer of the two pixels carries the edge.
    """
    depth = hits.t.reshape(size)
    instance = scene.instance[hits.surface].reshape(size)
    surface = (hits.surface * 8 + hits.face).reshape(size)
    normals = hits.normals.reshape(3, *size)
    out = np.zeros(size, np.uint8)
    height, width = size
    for dy, dx in ((0, 1), (1, 0)):
        a = slice(0, height - dy), slice(0, width - dx)
        b = slice(dy, height), slice(dx, width)
        near = np.minimum(depth[a], depth[b])
        crease = (normals[(slice(None), *a)] * normals[(slice(None), *b)]).sum(0) < CREASE
        step = np.abs(depth[a] - depth[b]) > GAP * near
        edge = (surface[a] != surface[b]) & (crease | step) | (instance[a] != instance[b])
        first = depth[a] <= depth[b]
        out[a] |= edge & first
        out[b] |= edge & ~first
    return out


def camera_normals(scene: Scene, hits: Hits, size: tuple[int, int]) -> np.ndarray:
    """Normals (H, W, 3) float32 in camera coordinates, x right, y down, z forward.

    They face the camera, so the z of a surface seen head-on is -1.
    """
    normals = (scene.camera.rotation.T @ hits.normals).T.reshape(*size, 3)
    return np.ascontiguousarray(normals, np.float32)
