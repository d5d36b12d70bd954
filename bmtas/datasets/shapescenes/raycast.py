"""Casting of rays into solids in a room; for the coordinates see ``geometry``."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .geometry import Room, Solid
from .primitives import ELLIPSOID, TAPER, entry, local_normal

CHUNK = 1 << 14
"""Rays that are cast at once; more would not fit into the processor's caches."""
_ROOM_SURFACE = np.array([1, 1, 1, 1, 0, 2])
"""Number of wall, floor or ceiling for each face of the room."""


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
        groups: For each solid the number of the thing that it belongs to, in ascending order; every
            thing darkens what is near its foot.
    """

    def __init__(self, solids: Sequence[Solid], room: Room, groups: Sequence[int] = ()) -> None:
        self.room = room
        self.count = len(solids)
        self.kind = np.array([s.kind for s in solids], np.int64)
        numbers = [(*s.scale, *s.centre, *s.origin, *s.along, s.yaw, s.k, s.h) for s in solids]
        numbers = np.array(numbers, float).reshape(-1, 15)
        self.scale, local, origin, along = (numbers[:, i : i + 3] for i in (0, 3, 6, 9))
        yaw, self.k, self.h = np.ascontiguousarray(numbers[:, 12:].T)
        turn = _turns(yaw)
        self.centre = (turn @ local[:, :, None])[:, :, 0] + origin
        frame = turn @ _frames(along)
        # local to world and back
        self.axes = frame * self.scale[:, None, :]
        self.inverse = frame.transpose(0, 2, 1) / self.scale[:, :, None]
        # element (i, j) of all inverses is row 3 i + j
        self.rows = np.ascontiguousarray(self.inverse.reshape(-1, 9).T)
        self.by_kind = np.argsort(self.kind, kind='stable')
        self.ball_centre, self.ball_radius = self._balls()
        self.contact_centre, self.contact_radius = self._contacts(groups)

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

    def _contacts(self, groups: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Balls low over the ground that darken the surroundings of things most at their feet:
        centres (3, g) and radii (g,), in single precision."""
        if not self.count:
            return np.zeros((3, 0), np.float32), np.zeros(0, np.float32)
        starts = np.flatnonzero(np.diff(groups, prepend=-1)) if len(groups) else [0]
        radii = self.ball_radius[:, None]
        low = np.minimum.reduceat(self.ball_centre - radii, starts, 0).T
        high = np.maximum.reduceat(self.ball_centre + radii, starts, 0).T
        centre = (low + high) / 2
        centre[2] = np.minimum(centre[2], low[2] + 0.45)
        radius = 0.8 * np.minimum((high - low)[:2].max(0) / 2, 0.5)
        return centre.astype(np.float32), radius.astype(np.float32)

    def _pairs(self, apex: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solids and rays (m,), (m,) that may meet, solids of one kind together; the rays (3, n)
        start in ``apex``."""
        unit = directions.astype(np.float32)
        x, y, z = unit
        unit /= np.sqrt(x * x + y * y + z * z)
        offset = self.ball_centre[self.by_kind] - apex
        distance2 = (offset**2).sum(1)
        reach = np.sqrt(np.maximum(distance2 - self.ball_radius[self.by_kind] ** 2, 0))
        # single precision is off by some 1e-7
        reach -= 2e-6 * np.sqrt(distance2)
        towards = offset.astype(np.float32) @ unit >= reach.astype(np.float32)[:, None]
        row, ray = np.divmod(np.flatnonzero(towards), len(x))
        return self.by_kind[row], ray

    def _candidates(self, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The different solids in each column of surfaces (c, n), as ``_pairs`` gives them."""
        fresh = among < self.count
        for row in range(1, len(among)):
            fresh[row] &= (among[row] != among[:row]).all(0)
        number = np.flatnonzero(fresh)
        solids = among.ravel()[number]
        order = np.argsort(self.kind[solids], kind='stable')
        return solids[order], number[order] % among.shape[1]

    def _enter(self, solids, origin, directions) -> tuple[np.ndarray, np.ndarray]:
        """t and face (m,) of rays from one point with directions (3, m) into ``solids`` (m,)."""
        t, face = np.empty(solids.shape, directions.dtype), np.empty(solids.shape, np.int8)
        start = _map(self.rows, (origin - self.centre).T)
        o = start.take(solids, 1)
        d = _map(self.rows.take(solids, 1), directions)
        k, h = self.k.take(solids), self.h.take(solids)
        bounds = np.searchsorted(self.kind.take(solids), range(5))
        for kind, first, last in zip(range(4), bounds, bounds[1:]):
            if first < last:
                here = slice(first, last)
                t[here], face[here] = entry(kind, o[:, here], d[:, here], k[here], h[here])
        return t, face

    def cast(
        self, origin: np.ndarray, directions: np.ndarray, among: np.ndarray | None = None
    ) -> Hits:
        """Nearest hits of rays (3, n) from one point; every ray meets at least the room.

        With ``among`` (c, n) a ray is tested only against the surfaces in its column and the room.
        """
        count = directions.shape[1]
        if count > CHUNK:
            pieces = (slice(first, first + CHUNK) for first in range(0, count, CHUNK))
            hits = [
                self.cast(origin, directions[:, p], None if among is None else among[:, p])
                for p in pieces
            ]
            return Hits(*(np.concatenate(field) for field in zip(*hits)))
        t, face = self.room.cast(origin, directions)
        surface = (_ROOM_SURFACE + self.count).take(face)
        pairs = self._pairs(origin, directions) if among is None else self._candidates(among)
        solids, rays = pairs
        entered, faces = self._enter(solids, origin, directions.take(rays, 1))
        hit = np.flatnonzero(entered < t.take(rays))
        # farthest first: of several values assigned to one place the last one stays
        order = hit[np.argsort(-entered[hit], kind='stable')]
        rays = rays.take(order)
        t[rays], face[rays] = entered.take(order), faces.take(order)
        surface[rays] = solids.take(order)
        return Hits(t, surface, face)

    def blocked(
        self, points: np.ndarray, source: np.ndarray, surface: np.ndarray | None = None
    ) -> np.ndarray:
        """Whether a solid stands between points (3, n) and a source of light (3,): bool (n,).

        ``surface`` (n,) names the surfaces on which the points lie; as solids are convex, they do
        not shade points of their own that face the source.
        """
        directions = points - source[:, None]
        shade = np.zeros(points.shape[1], bool)
        for first in range(0, len(shade), CHUNK):
            piece = slice(first, first + CHUNK)
            solids, rays = self._pairs(source, directions[:, piece])
            if surface is not None:
                other = np.flatnonzero(surface[piece].take(rays) != solids)
                solids, rays = solids[other], rays[other]
            rays += first
            entered, _ = self._enter(solids, source, directions.take(rays, 1))
            shade[rays[entered < 1]] = True
        return shade

    def surface(self, hits: Hits, origin: np.ndarray, directions: np.ndarray) -> Surface:
        """Geometry at the hits of the rays (3, n) from ``origin`` (3,)."""
        points = origin[:, None] + hits.t * directions
        normals, texture = self._room_geometry(points, hits.face % 6)
        solid = np.flatnonzero(hits.surface < self.count)
        p, faces = hits.surface[solid], hits.face[solid]
        rows = self.rows.take(p, 1)
        q = _map(rows, points.take(solid, 1) - self.centre[p].T)
        local = np.empty_like(q)
        kinds = self.kind.take(p)
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
        normals = signed.take(face, 1)
        inside = self.room.turn @ (points - self.room.centre[:, None])
        # on walls the first coordinate runs along the wall, the second is the height
        along = np.where(face < 2, inside[1], inside[0])
        second = np.where(face < 4, points[2], inside[1])
        return normals, np.stack([along, second, np.zeros_like(second)])


def _map(rows: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Matrices in row order (9, n) times vectors (3, n)."""
    x, y, z = vectors
    out = np.empty_like(vectors, order='C')
    for i, row in enumerate(out):
        np.multiply(rows[3 * i], x, out=row)
        row += rows[3 * i + 1] * y
        row += rows[3 * i + 2] * z
    return out


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
