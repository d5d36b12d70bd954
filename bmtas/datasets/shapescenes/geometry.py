"""What a scene is made of: solids, a room and a camera.

World coordinates: x right, y away from the camera, z up, metres, floor at z = 0. Camera
coordinates: x right, y down, z forward. Rays have camera z = 1, so that the ray parameter is the
depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Solid(NamedTuple):
    """One placed primitive.

    Its local z axis points along ``along`` (any length) in the frame of the thing that it belongs
    to; that frame has the origin ``origin`` and is turned by ``yaw`` about the vertical.

    Args:
        kind: Kind of the primitive.
        centre: Origin of the local frame in the thing's frame (3,).
        along: Direction of the local z axis in the thing's frame (3,).
        scale: Metres per local unit along the three local axes (3,).
        origin, yaw: The thing's frame in the world.
        material: Row of the scene's material table.
        k, h: Parameters of the primitive.
        part: Human part, 0 for none.
    """

    kind: int
    centre: Sequence[float]
    along: Sequence[float]
    scale: Sequence[float]
    origin: Sequence[float]
    yaw: float
    material: int
    k: float = 1.0
    h: float = 1.0
    part: int = 0


@dataclass(frozen=True)
class Room:
    """A box seen from inside: centre (3,), half sizes (3,), ``yaw`` about the vertical."""

    centre: np.ndarray
    half: np.ndarray
    yaw: float

    @cached_property
    def single(self) -> Room:
        """The same in single precision."""
        other = Room(self.centre.astype(np.float32), self.half.astype(np.float32), self.yaw)
        other.__dict__['turn'] = self.turn.astype(np.float32)
        return other

    @cached_property
    def turn(self) -> np.ndarray:
        """World to room rotation (3, 3)."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])

    def clearance(self, x: float, y: float) -> float:
        """Distance of a point of the floor from the nearest wall, negative outside."""
        x, y = x - self.centre[0], y - self.centre[1]
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return min(self.half[0] - abs(c * x + s * y), self.half[1] - abs(c * y - s * x))

    def cast(self, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where rays (3, n) from one point (3,) inside leave: t (n,), face (n,) as of a box."""
        o = self.turn @ (origin - self.centre)
        d = self.turn @ directions
        # a ray along a wall meets it very far away
        inverse = 1 / np.where(d == 0, d.dtype.type(1e-30), d)
        x, y, z = np.abs(inverse) * self.half[:, None] - inverse * o[:, None]
        t = np.minimum(np.minimum(x, y), z)
        up = (d > 0).view(np.int8)
        face = np.where(t == z, up[2] + np.int8(4), np.where(t == y, up[1] + np.int8(2), up[0]))
        return t, face


@dataclass(frozen=True)
class Camera:
    """Pinhole at ``position`` (3,) with camera to world ``rotation`` (3, 3).

    ``focal`` is in units of the shorter image side, so that one camera serves all image sizes.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float

    def directions(self, u: np.ndarray, v: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """World directions (3, n) with camera z = 1 through image points (u, v), in pixels."""
        height, width = size
        scale = self.focal * min(height, width)
        x, y, z = self.rotation.T[:, :, None]
        return x * ((u - width / 2) / scale) + y * ((v - height / 2) / scale) + z
