"""Builders of the things that stand in a scene, one function per category.

A builder places solids in a frame whose origin lies on the ground below the thing; x right, y the
way it faces, z up, metres. Sizes and colours come from the generator it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .geometry import Solid
from .materials import Material
from .primitives import BOX, ELLIPSOID, FRUSTUM, TAPER

UP = (0.0, 0.0, 1.0)


class Builder:
    """Collects the solids and materials of one thing standing at ``origin``, turned by ``yaw``."""

    def __init__(self, origin: Sequence[float], yaw: float, materials: list[Material]) -> None:
        self.origin, self.yaw, self.materials = origin, yaw, materials
        self.solids: list[Solid] = []

    def material(self, colour, second=None, texture='plain', scale=0.2, gloss=0.1) -> int:
        """Add a material."""
        second = colour if second is None else second
        self.materials.append(Material(colour, second, texture, scale, gloss))
        return len(self.materials) - 1

    def add(self, kind, centre, along, scale, material, k=1.0, h=1.0, part=0) -> None:
        """Place a primitive given in the thing's frame."""
        self.solids.append(
            Solid(kind, centre, along, scale, self.origin, self.yaw, material, k, h, part)
        )

    def ellipsoid(self, centre, radii, material, part=0) -> None:
        """An ellipsoid with its axes along those of the frame; one radius makes a ball."""
        radii = (radii,) * 3 if isinstance(radii, float) else radii
        self.add(ELLIPSOID, centre, UP, radii, material, part=part)

    def box(self, centre, half, material) -> None:
        """A box with its axes along those of the frame."""
        self.add(BOX, centre, UP, half, material)

    def frustum(self, low, high, radius, ratio, material, base=(0.0, 0.0)) -> None:
        """Upright piece of a cone from height ``low`` (radius) to ``high`` (radius * ratio)."""
        centre = (*base, (low + high) / 2)
        self.add(FRUSTUM, centre, UP, (radius, radius, (high - low) / 2), material, ratio)

    def limb(self, start, end, radius, end_radius, material, part=0, flat=1.0) -> None:
        """Tapered capsule between two points; ``flat`` squeezes it along the facing direction."""
        x, y, z = (e - s for s, e in zip(start, end))
        length = (x * x + y * y + z * z) ** 0.5
        scale = (radius, radius * flat, radius)
        k, h = end_radius / radius, length / radius
        self.add(TAPER, start, (x, y, z), scale, material, k, h, part)


def _vivid(rng: np.random.Generator, hues: Sequence[float] | None = None) -> np.ndarray:
    """A saturated sRGB colour, its hue drawn from all hues or from an interval."""
    low, high = hues or (0.0, 1.0)
    return hsv(rng.uniform(low, high), rng.uniform(0.55, 0.9), rng.uniform(0.65, 0.95))


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """sRGB of a hue in turns."""
    ramps = (abs((hue + shift) % 1.0 * 6 - 3) - 1 for shift in (0, 2 / 3, 1 / 3))
    return np.array([value * (1 - saturation * (1 - min(max(r, 0), 1))) for r in ramps])


def _painted(build: Builder, rng, hues=None, textures=('plain',), scale=(0.12, 0.25), gloss=0.15):
    colour = _vivid(rng, hues)
    second = np.array([0.95, 0.93, 0.88]) if rng.random() < 0.5 else hsv(rng.random(), 0.5, 0.35)
    texture = textures[rng.integers(len(textures))]
    return build.material(colour, second, texture, rng.uniform(*scale), gloss)


def ball(build: Builder, rng: np.random.Generator) -> float:
    """A ball. Like all builders it returns the height on which something may be put, or 0."""
    radius = rng.uniform(0.22, 0.42)
    paint = _painted(build, rng, None, ('plain', 'bands', 'checker', 'dots', 'marble'), gloss=0.5)
    build.ellipsoid((0, 0, radius), radius, paint)
    return 0.0


def crate(build: Builder, rng: np.random.Generator) -> float:
    """A box of wood or cardboard, or a painted one."""
    half = rng.uniform(0.22, 0.42, 3)
    if rng.random() < 0.5:
        tone = hsv(rng.uniform(0.06, 0.11), rng.uniform(0.4, 0.6), rng.uniform(0.55, 0.85))
        paint = build.material(tone, tone * 0.7, 'planks', rng.uniform(0.1, 0.2))
    else:
        paint = _painted(build, rng, None, ('plain', 'checker', 'dots', 'tiles'))
    build.box((0, 0, half[2]), half, paint)
    return 2 * half[2]


def cone(build: Builder, rng: np.random.Generator) -> float:
    """A traffic cone: a square foot and a banded cone."""
    radius, height = rng.uniform(0.22, 0.32), rng.uniform(0.7, 1.05)
    colour = _vivid(rng, (0.0, 0.09) if rng.random() < 0.7 else None)
    paint = build.material(colour, (0.96, 0.95, 0.92), 'bands', height / 2.4, 0.2)
    build.box((0, 0, 0.03), (radius * 1.2, radius * 1.2, 0.03), build.material(colour * 0.8))
    build.frustum(0.06, height, radius, 0.14, paint)
    return 0.0


def drum(build: Builder, rng: np.random.Generator, height: float | None = None) -> float:
    """An upright cylinder with a rim."""
    radius = rng.uniform(0.24, 0.34)
    height = height or rng.uniform(0.6, 1.0)
    paint = _painted(build, rng, None, ('plain', 'bands', 'bands', 'marble'), (0.2, 0.4), 0.4)
    build.frustum(0.0, height - 0.05, radius, 1.0, paint)
    rim = build.material(build.materials[paint].colour * 0.75, gloss=0.4)
    build.frustum(height - 0.05, height, radius * 1.06, 1.0, rim)
    return height


def table(build: Builder, rng: np.random.Generator) -> float:
    """A table with four legs or a round one with a foot."""
    height = rng.uniform(0.65, 0.85)
    tone = hsv(rng.uniform(0.04, 0.12), rng.uniform(0.3, 0.7), rng.uniform(0.35, 0.9))
    wood = build.material(tone, tone * 0.75, 'planks', 0.16, 0.25)
    leg = build.material(tone * 0.8)
    if rng.random() < 0.3:
        radius = rng.uniform(0.45, 0.65)
        build.frustum(height - 0.05, height, radius, 1.0, wood)
        build.frustum(0.03, height - 0.05, 0.05, 1.0, leg)
        build.frustum(0.0, 0.04, radius * 0.55, 0.8, leg)
        return height
    x, y = rng.uniform(0.45, 0.75), rng.uniform(0.32, 0.5)
    build.box((0, 0, height - 0.03), (x, y, 0.03), wood)
    for sx in (-1, 1):
        for sy in (-1, 1):
            centre = (sx * (x - 0.06), sy * (y - 0.06), height / 2 - 0.03)
            build.box(centre, (0.035, 0.035, height / 2 - 0.03), leg)
    return height


def plant(build: Builder, rng: np.random.Generator) -> float:
    """A potted tree: round crowns or stacked cones."""
    pot = build.material(hsv(rng.uniform(0.02, 0.08), rng.uniform(0.3, 0.8), rng.uniform(0.5, 0.9)))
    trunk = build.material(hsv(0.08, 0.5, rng.uniform(0.3, 0.45)))
    green = hsv(rng.uniform(0.22, 0.4), rng.uniform(0.5, 0.8), rng.uniform(0.4, 0.7))
    leaf = build.material(green, green * 0.65, 'marble', rng.uniform(0.1, 0.2), 0.05)
    scale = rng.uniform(0.8, 1.25)
    build.frustum(0.0, 0.34 * scale, 0.17 * scale, 1.35, pot)
    build.frustum(0.34 * scale, 0.9 * scale, 0.04, 0.8, trunk)
    if rng.random() < 0.5:
        for level, radius in ((0.55, 0.4), (0.85, 0.33), (1.12, 0.25)):
            build.frustum(level * scale, (level + 0.42) * scale, radius * scale, 0.02, leaf)
    else:
        build.ellipsoid((0, 0, 0.98 * scale), np.array([0.36, 0.36, 0.3]) * scale, leaf)
        for _ in range(2):
            x, y = rng.uniform(-0.2, 0.2, 2)
            centre = np.array([x, y, rng.uniform(1.05, 1.3)]) * scale
            build.ellipsoid(centre, rng.uniform(0.2, 0.28) * scale, leaf)
    return 0.0
