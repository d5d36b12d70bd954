"""The renderer against closed forms, finite differences and brute force."""

import numpy as np
import pytest

from bmtas.datasets.shapescenes import ShapeScenes
from bmtas.datasets.shapescenes.geometry import Camera, Room
from bmtas.datasets.shapescenes.objects import Builder
from bmtas.datasets.shapescenes.primitives import (
    BOX,
    ELLIPSOID,
    FRUSTUM,
    TAPER,
    entry,
    local_normal,
)
from bmtas.datasets.shapescenes.raycast import World
from bmtas.datasets.shapescenes.render import CREASE, GAP, View, edges, pixel_centres

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


def level_camera(height=1.0, focal=1.0):
    rotation = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return Camera(np.array([0, 0, height]), rotation, focal)


ROOM = Room(np.array([0, 2, 1.5]), np.array([4, 5, 1.5]), 0.0)


def test_depth_of_a_room_in_closed_form():
    camera = level_camera()
    u, v = pixel_centres((64, 64))
    world = World([], ROOM)
    hits = world.cast(camera.position, camera.directions(u, v, (64, 64)))
    x, y = (u - 32) / 64, (v - 32) / 64
    # back wall at 7 m, side walls 4 m off, floor 1 m below, ceiling 2 m above the camera
    expected = np.minimum(7.0, np.minimum(4 / np.abs(x), np.where(y > 0, 1 / y, 2 / -y)))
    np.testing.assert_allclose(hits.t, expected, rtol=1e-12)
    assert set(hits.surface) == {0, 1, 2}
    np.testing.assert_array_equal(hits.surface == 0, expected == 1 / y)


def test_depth_and_normals_of_a_ball_in_closed_form():
    camera = level_camera()
    build = Builder((0.2, 3.0, 0.0), 0.4, [])
    build.ellipsoid((0.0, 0.0, 1.1), 0.5, 0)
    world = World(build.solids, ROOM)
    u, v = pixel_centres((64, 64))
    rays = camera.directions(u, v, (64, 64))
    hits = world.cast(camera.position, rays)
    normals = camera.rotation.T @ world.surface(hits, camera.position, rays).normals
    # camera coordinates: x right, y down, z forward
    centre = np.array([0.2, -0.1, 3.0])
    x, y = (u - 32) / 64, (v - 32) / 64
    d = np.stack([x, y, np.ones_like(x)])
    a, b = (d * d).sum(0), centre @ d
    discriminant = b * b - a * (centre @ centre - 0.25)
    ball = discriminant > 0
    np.testing.assert_array_equal(hits.surface == 0, ball)
    depth = (b[ball] - np.sqrt(discriminant[ball])) / a[ball]
    np.testing.assert_allclose(hits.t[ball], depth, rtol=1e-9)
    points = d[:, ball] * depth
    np.testing.assert_allclose(normals[:, ball], (points - centre[:, None]) / 0.5, atol=1e-9)
    assert (normals[2, ball] < 0).all()


@pytest.mark.parametrize('index', range(6))
def test_normals_equal_finite_differences_of_depth(index):
    view = View(ShapeScenes(size=64).scene(index), (64, 64))
    camera, step = view.scene.camera, 1e-3
    scale = camera.focal * 64

    def points(du, dv):
        hits, _ = view.look(view.u + du, view.v + dv)
        d = np.stack([(view.u + du - 32) / scale, (view.v + dv - 32) / scale, np.ones_like(view.u)])
        return hits.t * d, hits.surface * 8 + hits.face

    (right, a), (left, b) = points(step, 0), points(-step, 0)
    (low, c), (high, e) = points(0, step), points(0, -step)
    whole = (a == b) & (b == c) & (c == e)
    assert whole.mean() > 0.95
    normal = np.cross(low - high, right - left, axis=0)
    normal /= np.linalg.norm(normal, axis=0)
    exact = camera.rotation.T @ view.surface.normals
    agreement = (normal * exact).sum(0)[whole]
    assert np.quantile(agreement, 0.01) > 0.9999
    # towards the camera: against the ray of the pixel
    assert (exact * points(0, 0)[0]).sum(0).max() < 1e-9


@pytest.mark.parametrize('index', range(3))
def test_edges_by_brute_force(index):
    size = (64, 64)
    view = View(ShapeScenes(size=64).scene(index), size)
    depth, face = view.hits.t.reshape(size), view.face
    thing = view.per_pixel(view.scene.instance)
    normals = view.surface.normals.reshape(3, *size)
    expected = np.zeros(size, np.uint8)
    for y in range(64):
        for x in range(64):
            for other in ((y, x + 1), (y + 1, x)):
                if max(other) > 63:
                    continue
                p, q = (y, x), other
                border = thing[p] != thing[q]
                if face[p] != face[q]:
                    bend = normals[:, p[0], p[1]] @ normals[:, q[0], q[1]] < CREASE
                    jump = abs(depth[p] - depth[q]) > GAP * min(depth[p], depth[q])
                    border |= bend or jump
                if border:
                    expected[p if depth[p] <= depth[q] else q] = 1
    np.testing.assert_array_equal(edges(view), expected)
    # every border of two things is marked on one of its sides
    across = thing[:, 1:] != thing[:, :-1]
    assert (expected[:, 1:] | expected[:, :-1])[across].all()


def test_shadows():
    build = Builder((0.0, 3.0, 0.0), 0.0, [])
    build.ellipsoid((0.0, 0.0, 1.0), 0.4, 0)
    world = World(build.solids, ROOM)
    lamp = np.array([0.0, 3.0, 2.6])
    points = np.array([[0, 3, 0], [0.5, 3, 0], [0.7, 3, 0], [0, 3, 1.5], [0, 3, 0.5]], float).T
    # tangent from 1.6 m above the ball's centre meets the floor 0.67 m from below it
    np.testing.assert_array_equal(world.blocked(points, lamp), [True, True, False, False, True])


def test_culling_changes_nothing():
    view = View(ShapeScenes(size=64).scene(11), (64, 64))
    world, camera = view.scene.world, view.scene.camera
    rays = view.rays(view.u, view.v)
    rows, columns = np.indices((world.count, rays.shape[1])).reshape(2, -1)
    world._pairs = lambda apex, directions: (world.by_kind[rows], columns)
    plain = world.cast(camera.position, rays)
    np.testing.assert_array_equal(plain.surface, view.hits.surface)
    np.testing.assert_array_equal(plain.t, view.hits.t)


def test_things_stand_on_the_floor_inside_the_room():
    dataset = ShapeScenes(length=40)
    for index in range(40):
        scene = dataset.scene(index)
        world, room = scene.world, scene.world.room
        inside = (room.turn @ (world.centre - room.centre).T).T
        assert (np.abs(inside) < room.half).all()
        for name in range(int(scene.instance[-3])):
            members = np.flatnonzero(scene.instance[:-3] == name)
            assert (world.centre - world.ball_radius[:, None])[members, 2].min() < 1.2
