"""Solids and a room, and the casting of rays into them.

World coordinates: x right, y away from the camera, z up, metres, floor at z = 0. Camera
coordinates: x right, y down, z forward. Rays have camera z = 1, so that the ray parameter is the
depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .primitives import ELLIPSOID, TAPER, entry, local_normal


@dataclass(frozen=True)
class Solid:
    """One placed primitive.

    Args:
        kind: Kind of the primitive.
        centre: Origin of its local frame in world coordinates (3,).
        axes: Local to world map (3, 3); its columns are the local axes scaled to metres.
        material: Row of the scene's material table.
        k, h: Parameters of the primitive.
        part: Human part, 0 for none.
    """

    kind: int
    centre: np.ndarray
    axes: np.ndarray
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
    def turn(self) -> np.ndarray:
        """World to room rotation (3, 3)."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])

    def cast(self, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where rays (3, n) from one point (3,) inside leave: t (n,), face (n,) as of a box."""
        o = (self.turn @ (origin - self.centre))[:, None]
        d = self.turn @ directions
        with np.errstate(divide='ignore', invalid='ignore'):
            t = (np.sign(d) * self.half[:, None] - o) / d
        t[d == 0] = np.inf
        axis = t.argmin(0)
        columns = np.arange(d.shape[1])
        return t[axis, columns], (2 * axis + (d[axis, columns] > 0)).astype(np.int8)


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


@dataclass
class Hits:
    """What n rays met: depth ``t``, ``surface`` (index of the solid, or ``len(solids)`` + 0 floor,
    1 wall, 2 ceiling), ``face``, world ``points`` and ``normals`` (3, n), and metric texture
    coordinates ``texture`` (3, n)."""

    t: np.ndarray
    surface: np.ndarray
    face: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    texture: np.ndarray


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
        self.centre = np.array([s.centre for s in solids], float).reshape(-1, 3)
        self.axes = np.array([s.axes for s in solids], float).reshape(-1, 3, 3)
        self.inverse = np.linalg.inv(self.axes)
        self.k = np.array([s.k for s in solids], float)
        self.h = np.array([s.h for s in solids], float)
        self.scale = np.sqrt((self.axes**2).sum(1))
        self.ball_centre, self.ball_radius = self._balls()
        groups = np.asarray(groups if len(groups) else [0] * self.count, np.int64)
        self.members = [np.flatnonzero(groups == g) for g in range(groups.max(initial=-1) + 1)]
        self.group_balls = [self._ball_around(members) for members in self.members]

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

    def _pairs(self, apex: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solids and rays (m,), (m,) that may meet; the rays (3, n) all pass through ``apex``."""
        unit = directions / np.sqrt((directions**2).sum(0))
        solids, rays = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for members, (centre, radius) in zip(self.members, self.group_balls):
            near = np.flatnonzero(_towards(centre[None], np.array([radius]), apex, unit)[0])
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
        t, face = np.full(solids.shape, np.inf), np.zeros(solids.shape, np.int8)
        inverse = self.inverse[solids]
        o = np.einsum('nij,jn->in', inverse, offsets)
        d = np.einsum('nij,jn->in', inverse, directions)
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
        surface = self.count + np.where(face == 4, 0, np.where(face == 5, 2, 1))
        solids, rays = self._pairs(origin, directions)
        offsets = origin[:, None] - self.centre[solids].T
        entered, faces = self._enter(solids, offsets, directions[:, rays])
        # farthest first: of several values assigned to one place the last one stays
        order = np.argsort(-entered, kind='stable')
        order = order[entered[order] < t[rays[order]]]
        rays = rays[order]
        t[rays], surface[rays], face[rays] = entered[order], solids[order], faces[order]
        points = origin[:, None] + t * directions
        normals, texture = self._surface_geometry(points, surface, face)
        return Hits(t, surface, face, points, normals, texture)

    def blocked(self, points: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Whether a solid stands between points (3, n) and one target point (3,): bool (n,)."""
        directions = target[:, None] - points
        solids, rays = self._pairs(target, -directions)
        offsets = points[:, rays] - self.centre[solids].T
        entered, _ = self._enter(solids, offsets, directions[:, rays])
        shade = np.zeros(points.shape[1], bool)
        shade[rays[entered < 1]] = True
        return shade

    def _surface_geometry(self, points, surface, face) -> tuple[np.ndarray, np.ndarray]:
        """Unit world normals and metric texture coordinates (3, n) of surface points."""
        normals = np.empty_like(points)
        texture = np.empty_like(points)
        bare = np.flatnonzero(surface >= self.count)
        normals[:, bare], texture[:, bare] = self._room_geometry(points[:, bare], face[bare])
        solid = np.flatnonzero(surface < self.count)
        p, faces = surface[solid], face[solid]
        inverse = self.inverse[p]
        q = np.einsum('nij,jn->in', inverse, points[:, solid] - self.centre[p].T)
        local = np.empty_like(q)
        kinds = self.kind[p]
        for kind in range(4):
            here = np.flatnonzero(kinds == kind)
            if len(here):
                k, h = self.k[p[here]], self.h[p[here]]
                local[:, here] = local_normal(kind, q[:, here], faces[here], k, h)
        normal = np.einsum('nji,jn->in', inverse, local)
        normals[:, solid] = normal / np.sqrt((normal**2).sum(0))
        texture[:, solid] = q * self.scale[p].T
        return normals, texture

    def _room_geometry(self, points, face) -> tuple[np.ndarray, np.ndarray]:
        axis = face // 2
        normals = self.room.turn.T[:, axis] * np.where(face % 2, -1.0, 1.0)
        inside = self.room.turn @ (points - self.room.centre[:, None])
        # on walls the first coordinate runs along the wall, the second is the height
        upright = axis < 2
        along = np.where(axis == 0, inside[1], inside[0])
        second = np.where(upright, points[2], inside[1])
        return normals, np.stack([along, second, np.zeros_like(second)])


def _towards(centres, radii, apex, unit) -> np.ndarray:
    """Whether rays from ``apex`` along unit vectors (3, n) may meet balls: bool (m, n)."""
    offset = centres - apex
    distance2 = (offset**2).sum(1)
    reach = np.sqrt(np.maximum(distance2 - radii**2, 0))
    return offset @ unit >= reach[:, None]
