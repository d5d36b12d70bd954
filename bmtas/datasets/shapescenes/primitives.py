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
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1
    t = (-b - np.sqrt(b * b - a * c)) / a
    return np.where(t > T_MIN, t, np.inf), 0


def _box(o, d, k, h):
    # a ray along a face meets it very far away
    inverse = 1 / np.where(d == 0, d.dtype.type(1e-30), d)
    half, middle = np.abs(inverse), -o * inverse
    x, y, z = middle - half
    t = np.maximum(np.maximum(x, y), z)
    far = middle + half
    hit = (t <= np.minimum(np.minimum(far[0], far[1]), far[2])) & (t > T_MIN)
    negative = d < 0
    face = np.where(t == x, negative[0], np.where(t == y, 2 + negative[1], 4 + negative[2]))
    return np.where(hit, t, np.inf), face


def _frustum(o, d, k, h):
    slope = (k - 1) / 2
    radius = (1 + k) / 2 + slope * o[2]
    widening = slope * d[2]
    a = d[0] * d[0] + d[1] * d[1] - widening * widening
    b = o[0] * d[0] + o[1] * d[1] - widening * radius
    c = o[0] * o[0] + o[1] * o[1] - radius * radius
    # of the two roots this is the one where the ray gets inside, whatever the sign of a
    side = (-b - np.sqrt(b * b - a * c)) / a
    side = np.where((np.abs(o[2] + side * d[2]) <= 1) & (side > T_MIN), side, np.inf)
    up = d[2] > 0
    cap = (np.where(up, -1, 1) - o[2]) / d[2]
    x, y = o[0] + cap * d[0], o[1] + cap * d[1]
    limit = np.where(up, 1, k)
    cap = np.where((x * x + y * y <= limit * limit) & (cap > T_MIN), cap, np.inf)
    return np.minimum(cap, side), np.where(cap < side, np.where(up, 1, 2), 0)


def _taper(o, d, k, h):
    sine = (1 - k) / h
    cosine2 = 1 - sine * sine
    level, fall = 1 - sine * o[2], sine * d[2]
    flat_dd = d[0] * d[0] + d[1] * d[1]
    flat_od = o[0] * d[0] + o[1] * d[1]
    flat_oo = o[0] * o[0] + o[1] * o[1]
    a = flat_dd * cosine2 - fall * fall
    b = flat_od * cosine2 + level * fall
    c = flat_oo * cosine2 - level * level
    # where the ray gets inside the cone around both balls, whatever the sign of a
    cone = (-b - np.sqrt(b * b - a * c)) / a
    z = o[2] + cone * d[2]
    # a ray that comes from within the wide end gets inside the other half of the double cone
    within = (a < 0) & (fall > 0)
    upper = np.where(within, sine < 0, z > h + k * sine)
    band = (z >= sine) & ~upper & ~within
    # beyond the band it meets the ball at that end or nothing
    rise = o[2] - np.where(upper, h, 0)
    radius = np.where(upper, k, 1)
    a = flat_dd + d[2] * d[2]
    b = flat_od + rise * d[2]
    ball = (-b - np.sqrt(b * b - a * (flat_oo + rise * rise - radius * radius))) / a
    t = np.where(band, cone, ball)
    return np.where(t > T_MIN, t, np.inf), 0


_ENTRY = {ELLIPSOID: _ellipsoid, BOX: _box, FRUSTUM: _frustum, TAPER: _taper}


def entry(kind: int, o, d, k, h) -> tuple[np.ndarray, np.ndarray | int]:
    """Ray parameter and face where rays enter a solid.

    Args:
        kind: One of the four kinds.
        o, d: Origins and directions (3, n), local.
        k, h: Parameters of the solid, (n,).

    Returns:
        t (n,), infinite where the ray misses, and the face, (n,) or one for all: box 2 * axis +
        (positive side), frustum 0 side, 1 lower, 2 upper cap, 0 for the smooth solids.
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
