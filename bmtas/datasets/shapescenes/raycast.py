"""Solids and a room, and the casting of rays into them.

World coordinates: x right, y away from the camera, z up, metres, floor at z = 0. Camera
coordinates: x right, y down, z forward. Rays have camera z = 1, so that the ray parameter is the
depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .primitives import ELLIPSOID, TAPER, entry, local_normal


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
        with np.errstate(divide='ignore', invalid='ignore'):
            x, y, z = (np.abs(self.half[i] / d[i]) - o[i] / d[i] for i in range(3))
        # a ray along a wall never meets it
        for i, t in enumerate((x, y, z)):
            t[d[i] == 0] = np.inf
        t = np.minimum(np.minimum(x, y), z)
        axis = np.where(t == z, 2, np.where(t == y, 1, 0))
        positive = np.where(axis == 2, d[2], np.where(axis == 1, d[1], d[0])) > 0
        return t, (2 * axis + positive).astype(np.int8)


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
        local = np.stack([(u - width / 2) / scale, (v - height / 2) / scale, np.ones_like(u)])
        return self.rotation @ local


class Hits(NamedTuple):
    """What n rays met.

    ``t`` (n,): depth. ``surface`` (n,): index of the solid, or their number + 0 for the floor, 1
    for a wall, 2 for the ceiling. ``face`` (n,) int8: face of the primitive or of the room.
    """

    t: np.ndarray
    surface: np.ndarray
    face: np.ndarray


class Surface(NamedTuple):
    """Geometry at hits: world ``points`` and unit ``normals``, metric ``texture`` coordinates, each
    (3, n)."""

    points: np.ndarray
    normals: np.ndarray
    texture: np.ndarray

    def single(self) -> Surface:
        """The same in single precision."""
        return Surface(*(field.astype(np.float32) for field in self))


class World:
    """Solids in a room, ready for rays.

    Args:
        solids: The solids.
        room: The room around them.
        groups: For each solid the number of its group, 0, 1, ... in ascending order; rays are
            tested against the ball around a group before the balls around its members.
    """

    def __init__(self, solids: Sequence[Solid], room: Room, groups: Sequence[int] = ()) -> None:
        self.room = room
        self.count = len(solids)
        self.kind = np.array([s.kind for s in solids], np.int64)
        self.k = np.array([s.k for s in solids], float)
        self.h = np.array([s.h for s in solids], float)
        self.scale = np.array([s.scale for s in solids], float).reshape(-1, 3)
        turn = _turns(np.array([s.yaw for s in solids], float))
        local = np.array([s.centre for s in solids], float).reshape(-1, 3, 1)
        origin = np.array([s.origin for s in solids], float).reshape(-1, 3)
        self.centre = (turn @ local)[:, :, 0] + origin
        along = np.array([s.along for s in solids], float).reshape(-1, 3)
        frame = turn @ _frames(along)
        # local to world and back
        self.axes = frame * self.scale[:, None, :]
        self.inverse = frame.transpose(0, 2, 1) / self.scale[:, :, None]
        self.ball_centre, self.ball_radius = self._balls()
        groups = np.asarray(groups if len(groups) else [0] * self.count, np.int64)
        self.members = [np.flatnonzero(groups == g) for g in range(groups.max(initial=-1) + 1)]
        balls = [self._ball_around(members) for members in self.members]
        self.group_centre = np.array([centre for centre, _ in balls]).reshape(-1, 3)
        self.group_radius = np.array([radius for _, radius in balls], float)
        self.contacts = [self._contact(members) for members in self.members]

    @cached_property
    def single(self) -> World:
        """The same in single precision: twice as fast, good enough for colours."""
        other = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and value.dtype == np.float64:
                setattr(other, name, value.astype(np.float32))
        other.room = self.room.single
        return other

    def _balls(self) -> tuple[np.ndarray, np.ndarray]:
        taper = self.kind == TAPER
        lift = np.where(taper, (self.h + self.k - 1) / 2, 0.0)
        corner = self.scale.copy()
        corner[:, :2] *= np.maximum(self.k, 1)[:, None]
        radius = np.sqrt((corner**2).sum(1))
        longest = self.scale.max(1, initial=0)
        radius = np.where(self.kind == ELLIPSOID, longest, radius)
        radius = np.where(taper, longest * (self.h + self.k + 1) / 2, radius)
        return self.centre + self.axes[:, :, 2] * lift[:, None], radius + 1e-9

    def _ball_around(self, members: np.ndarray) -> tuple[np.ndarray, float]:
        centres, radii = self.ball_centre[members], self.ball_radius[members]
        low, high = (centres - radii[:, None]).min(0), (centres + radii[:, None]).max(0)
        centre = (low + high) / 2
        return centre, (np.sqrt(((centres - centre) ** 2).sum(1)) + radii).max()

    def _contact(self, members: np.ndarray) -> tuple[np.ndarray, float]:
        """Ball low over the ground that darkens the surroundings of a group most at its foot."""
        centres, radii = self.ball_centre[members], self.ball_radius[members, None]
        low, high = (centres - radii).min(0), (centres + radii).max(0)
        x, y, z = (low + high) / 2
        radius = 0.8 * min((high - low)[:2].max() / 2, 0.5)
        return np.array([x, y, min(z, low[2] + 0.45)], np.float32), np.float32(radius)

    def _pairs(self, apex: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solids and rays (m,), (m,) that may meet; the rays (3, n) all pass through ``apex``."""
        x, y, z = directions
        unit = directions / np.sqrt(x * x + y * y + z * z)
        solids, rays = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        towards = _towards(self.group_centre, self.group_radius, apex, unit)
        for members, candidates in zip(self.members, towards):
            near = candidates.nonzero()[0]
            if len(near):
                hit = _towards(
                    self.ball_centre[members], self.ball_radius[members], apex, unit[:, near]
                )
                row, column = np.nonzero(hit)
                solids.append(members[row])
                rays.append(near[column])
        return np.concatenate(solids), np.concatenate(rays)

    def _enter(self, solids, offsets, directions) -> tuple[np.ndarray, np.ndarray]:
        """t and face (m,) of rays from ``centre + offsets`` (3, m) into ``solids`` (m,)."""
        t, face = np.full(solids.shape, np.inf, offsets.dtype), np.zeros(solids.shape, np.int8)
        rows = self.inverse.reshape(-1, 9).T[:, solids]
        o, d = _map(rows, offsets), _map(rows, directions)
        kinds = self.kind[solids]
        for kind in range(4):
            here = np.flatnonzero(kinds == kind)
            if len(here):
                p = solids[here]
                t[here], face[here] = entry(kind, o[:, here], d[:, here], self.k[p], self.h[p])
        return t, face

    def cast(self, origin: np.ndarray, directions: np.ndarray) -> Hits:
        """Nearest hits of rays (3, n) from one point; every ray meets at least the room."""
        t, face = self.room.cast(origin, directions)
        surface = np.array([1, 1, 1, 1, 0, 2])[face] + self.count
        solids, rays = self._pairs(origin, directions)
        offsets = (origin - self.centre).T[:, solids]
        entered, faces = self._enter(solids, offsets, directions[:, rays])
        hit = np.flatnonzero(entered < t[rays])
        # farthest first: of several values assigned to one place the last one stays
        order = hit[np.argsort(-entered[hit], kind='stable')]
        rays = rays[order]
        t[rays], surface[rays], face[rays] = entered[order], solids[order], faces[order]
        return Hits(t, surface, face)

    def blocked(self, points: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Whether a solid stands between points (3, n) and one target point (3,): bool (n,)."""
        directions = target[:, None] - points
        solids, rays = self._pairs(target, -directions)
        offsets = points[:, rays] - self.centre.T[:, solids]
        entered, _ = self._enter(solids, offsets, directions[:, rays])
        shade = np.zeros(points.shape[1], bool)
        shade[rays[entered < 1]] = True
        return shade

    def surface(self, hits: Hits, origin: np.ndarray, directions: np.ndarray) -> Surface:
        """Geometry at the hits of the rays (3, n) from ``origin`` (3,)."""
        points = origin[:, None] + hits.t * directions
        normals, texture = self._room_geometry(points, hits.face % 6)
        solid = np.flatnonzero(hits.surface < self.count)
        p, faces = hits.surface[solid], hits.face[solid]
        rows = self.inverse.reshape(-1, 9).T[:, p]
        q = _map(rows, points[:, solid] - self.centre.T[:, p])
        local = np.empty_like(q)
        kinds = self.kind[p]
        for kind in range(4):
            here = np.flatnonzero(kinds == kind)
            if len(here):
                k, h = self.k[p[here]], self.h[p[here]]
                local[:, here] = local_normal(kind, q[:, here], faces[here], k, h)
        # normals go by the transpose of the inverse
        normal = _map(rows[[0, 3, 6, 1, 4, 7, 2, 5, 8]], local)
        normals[:, solid] = normal / np.sqrt((normal**2).sum(0))
        texture[:, solid] = q * self.scale.T[:, p]
        return Surface(points, normals, texture)

    def _room_geometry(self, points, face) -> tuple[np.ndarray, np.ndarray]:
        signed = np.stack([self.room.turn.T, -self.room.turn.T], 2).reshape(3, 6)
        normals = signed[:, face]
        inside = self.room.turn @ (points - self.room.centre[:, None])
        # on walls the first coordinate runs along the wall, the second is the height
        along = np.where(face < 2, inside[1], inside[0])
        second = np.where(face < 4, points[2], inside[1])
        return normals, np.stack([along, second, np.zeros_like(second)])


def _map(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Matrices in row order (9, n) times vectors (3, n)."""
    x, y, z = vectors
    return np.stack([rows[i] * x + rows[i + 1] * y + rows[i + 2] * z for i in (0, 3, 6)])


def _turns(yaw: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) about the vertical."""
    c, s, zero, one = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    return np.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).reshape(-1, 3, 3)


def _frames(along: np.ndarray) -> np.ndarray:
    """Rotations (n, 3, 3) whose third columns point along vectors (n, 3).

    Duff et al., Building an Orthonormal Basis, Revisited, JCGT 2017.
    """
    x, y, z = (along / np.sqrt((along**2).sum(1, keepdims=True))).T
    sign = np.where(z >= 0, 1.0, -1.0)
    a = -1 / (sign + z)
    b = x * y * a
    rows = [1 + sign * x * x * a, b, x, sign * b, sign + y * y * a, y, -sign * x, -y, z]
    return np.stack(rows, 1).reshape(-1, 3, 3)


def _towards(centres, radii, apex, unit) -> np.ndarray:
    """Whether rays from ``apex`` along unit vectors (3, n) may meet balls: bool (m, n)."""
    offset = centres - apex
    distance2 = (offset**2).sum(1)
    reach = np.sqrt(np.maximum(distance2 - radii**2, 0))
    return offset @ unit >= reach[:, None]
