import numpy as np
import pytest

from bmtas.datasets.shapescenes.primitives import (
    BOX,
    ELLIPSOID,
    FRUSTUM,
    TAPER,
    entry,
    local_normal,
)

SOLIDS = {
    'ball': (ELLIPSOID, 1.0, 1.0),
    'box': (BOX, 1.0, 1.0),
    'cylinder': (FRUSTUM, 1.0, 1.0),
    'cone': (FRUSTUM, 0.0, 1.0),
    'funnel': (FRUSTUM, 1.6, 1.0),
    'capsule': (TAPER, 1.0, 2.0),
    'taper': (TAPER, 0.4, 1.5),
    'club': (TAPER, 1.5, 2.0),
}


def depth_inside(kind, q, k, h):
    """Negative outside, positive inside, zero on the surface of a solid; q (3, n)."""
    flat = np.hypot(q[0], q[1])
    if kind == ELLIPSOID:
        return 1 - np.linalg.norm(q, axis=0)
    if kind == BOX:
        return 1 - np.abs(q).max(0)
    if kind == FRUSTUM:
        return np.minimum(1 - np.abs(q[2]), (1 + k) / 2 + (k - 1) / 2 * q[2] - flat)
    # signed distance of the hull of two balls, from the tangent line of two circles
    slope = (1 - k) / h
    rise = np.sqrt(1 - slope**2)
    along = -slope * flat + rise * q[2]
    side = 1 - (rise * flat + slope * q[2])
    ends = np.where(along < 0, 1 - np.hypot(flat, q[2]), k - np.hypot(flat, q[2] - h))
    return np.where((along >= 0) & (along <= rise * h), side, ends)


def rays_from_outside(rng, n=200):
    o = rng.normal(size=(3, n))
    o *= 6 / np.linalg.norm(o, axis=0)
    d = rng.uniform(-1.3, 1.3, (3, n)) - o
    return o, d * rng.uniform(0.2, 3, n)


@pytest.mark.parametrize('name', SOLIDS)
def test_entry_is_the_first_point_inside(name):
    kind, k, h = SOLIDS[name]
    o, d = rays_from_outside(np.random.default_rng(0))
    n = o.shape[1]
    t, _ = entry(kind, o, d, np.full(n, k), np.full(n, h))
    # march along the rays
    reach = 12 / np.linalg.norm(d, axis=0)
    steps = np.linspace(0, 1, 1000)
    inside = np.stack([depth_inside(kind, o + s * reach * d, k, h) for s in steps])
    met = (inside > 0).any(0)
    first = steps[(inside > 0).argmax(0)] * reach
    hit = np.isfinite(t)
    # grazing rays may slip between two steps
    assert (hit[met]).all() and (met == hit).mean() > 0.98
    np.testing.assert_allclose(t[met], first[met], atol=(reach / 950).max())
    points = (o + t * d)[:, hit]
    np.testing.assert_allclose(depth_inside(kind, points, k, h), 0, atol=1e-5)


@pytest.mark.parametrize('name', SOLIDS)
def test_normals_are_the_gradient_of_the_solid(name):
    kind, k, h = SOLIDS[name]
    o, d = rays_from_outside(np.random.default_rng(1))
    n = o.shape[1]
    t, face = entry(kind, o, d, np.full(n, k), np.full(n, h))
    face = np.broadcast_to(face, t.shape)
    hit = np.isfinite(t)
    q = (o + t * d)[:, hit]
    normal = local_normal(kind, q, face[hit], np.full(hit.sum(), k), np.full(hit.sum(), h))
    normal = normal / np.linalg.norm(normal, axis=0)
    assert ((normal * d[:, hit]).sum(0) < 1e-9).all()
    step = 1e-5
    gradient = np.stack(
        [
            depth_inside(kind, q - step * e[:, None], k, h)
            - depth_inside(kind, q + step * e[:, None], k, h)
            for e in np.eye(3)
        ]
    )
    gradient /= np.linalg.norm(gradient, axis=0)
    # points within a step of a rim have no gradient
    assert ((gradient * normal).sum(0) > 0.9999).mean() > 0.98
