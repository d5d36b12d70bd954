"""Canonical solids: where a ray enters them, and their normals.

Each solid lives in its own local frame; a scene places it by an affine map. Rays are ``o + t d``
with ``o`` and ``d`` (3, n) in local coordinates; because the map is affine, ``t`` is the same
number in local and in world coordinates. All solids are convex, so a ray enters at most once.

| kind | solid in its local frame | parameters |
| --- | --- | --- |
| ELLIPSOID | unit ball | |
| BOX | cube [-1, 1]^3 | |
| FRUSTUM | radius 1 at z = -1, radius k at z = 1, with caps | k >= 0 |
| TAPER | hull of a unit ball at z = 0 and a ball of radius k at z = h | k, h with abs(1 - k) < h |
"""

from __future__ import annotations

import numpy as np

ELLIPSOID, BOX, FRUSTUM, TAPER = range(4)
T_MIN = 1e-6
"""Smallest ray parameter that counts as a hit."""


def _ellipsoid(o, d, k, h):
    a = (d * d).sum(0)
    b = (o * d).sum(0)
    c = (o * o).sum(0) - 1
    t = (-b - np.sqrt(b * b - a * c)) / a
    return np.where(t > T_MIN, t, np.inf), np.zeros(t.shape, np.int8)


def _box(o, d, k, h):
    near = (-np.sign(d) - o) / d
    far = (np.sign(d) - o) / d
    axis = near.argmax(0)
    columns = np.arange(o.shape[1])
    t = near[axis, columns]
    hit = (t <= far.min(0)) & (t > T_MIN)
    face = 2 * axis + (d[axis, columns] < 0)
    return np.where(hit, t, np.inf), face.astype(np.int8)


def _frustum(o, d, k, h):
    slope = (k - 1) / 2
    radius = (1 + k) / 2 + slope * o[2]
    a = d[0] ** 2 + d[1] ** 2 - (slope * d[2]) ** 2
    b = o[0] * d[0] + o[1] * d[1] - slope * d[2] * radius
    c = o[0] ** 2 + o[1] ** 2 - radius**2
    root = np.sqrt(b * b - a * c)
    side = np.full(a.shape, np.inf)
    for t in ((-b - root) / a, (-b + root) / a):
        valid = (np.abs(o[2] + t * d[2]) <= 1) & (t > T_MIN)
        side = np.where(valid & (t < side), t, side)
    up = d[2] > 0
    cap = (np.where(up, -1.0, 1.0) - o[2]) / d[2]
    x, y = o[0] + cap * d[0], o[1] + cap * d[1]
    limit = np.where(up, 1.0, k)
    cap = np.where((x * x + y * y <= limit * limit) & (cap > T_MIN), cap, np.inf)
    face = np.where(cap < side, np.where(up, 1, 2), 0)
    return np.minimum(cap, side), face.astype(np.int8)


def _taper(o, d, k, h):
    sine = (1 - k) / h
    cosine2 = 1 - sine**2
    level = 1 - sine * o[2]
    flat_dd = d[0] ** 2 + d[1] ** 2
    flat_od = o[0] * d[0] + o[1] * d[1]
    flat_oo = o[0] ** 2 + o[1] ** 2
    a = flat_dd * cosine2 - (sine * d[2]) ** 2
    b = flat_od * cosine2 + level * sine * d[2]
    c = flat_oo * cosine2 - level**2
    root = np.sqrt(b * b - a * c)
    low, high = sine, h + k * sine
    best = np.full(a.shape, np.inf)
    for t in ((-b - root) / a, (-b + root) / a):
        z = o[2] + t * d[2]
        best = np.where((z >= low) & (z <= high) & (t > T_MIN) & (t < best), t, best)
    dd = flat_dd + d[2] ** 2
    for centre, radius, above in ((0.0, 1.0, False), (h, k, True)):
        rise = o[2] - centre
        b = flat_od + rise * d[2]
        t = (-b - np.sqrt(b * b - dd * (flat_oo + rise**2 - radius**2))) / dd
        z = o[2] + t * d[2]
        piece = z >= high if above else z <= low
        best = np.where(piece & (t > T_MIN) & (t < best), t, best)
    return best, np.zeros(a.shape, np.int8)


_ENTRY = {ELLIPSOID: _ellipsoid, BOX: _box, FRUSTUM: _frustum, TAPER: _taper}


def entry(kind: int, o, d, k, h) -> tuple[np.ndarray, np.ndarray]:
    """Ray parameter and face where rays enter a solid.

    Args:
        kind: One of the four kinds.
        o, d: Origins and directions (3, n), local.
        k, h: Parameters of the solid, (n,).

    Returns:
        t (n,), infinite where the ray misses, and the face (n,) int8: box 2 * axis + (positive
        side), frustum 0 side, 1 lower, 2 upper cap, 0 for the smooth solids.
    """
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        return _ENTRY[kind](o, d, k, h)


def local_normal(kind: int, q, face, k, h) -> np.ndarray:
    """Outward normals (3, n), not normalised, at surface points ``q`` (3, n) of a solid."""
    if kind == ELLIPSOID:
        return q
    if kind == BOX:
        normal = np.zeros_like(q)
        normal[face // 2, np.arange(q.shape[1])] = np.where(face % 2, 1.0, -1.0)
        return normal
    if kind == FRUSTUM:
        slope = (k - 1) / 2
        side = np.stack([q[0], q[1], -slope * ((1 + k) / 2 + slope * q[2])])
        cap = np.zeros_like(q)
        cap[2] = np.where(face == 1, -1.0, 1.0)
        return np.where(face == 0, side, cap)
    sine = (1 - k) / h
    cosine2 = 1 - sine**2
    cone = np.stack([q[0] * cosine2, q[1] * cosine2, sine * (1 - sine * q[2])])
    ball = np.stack([q[0], q[1], q[2] - h])
    return np.where(q[2] <= sine, q, np.where(q[2] >= h + k * sine, ball, cone))
