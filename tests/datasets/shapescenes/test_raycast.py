import numpy as np

from bmtas.datasets.shapescenes import ShapeScenes
from bmtas.datasets.shapescenes.geometry import Camera, Room
from bmtas.datasets.shapescenes.objects import Builder
from bmtas.datasets.shapescenes.raycast import World
from bmtas.datasets.shapescenes.render import View, pixel_centres


def level_camera(height=1.0, focal=1.0):
    rotation = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return Camera(np.array([0, 0, height]), rotation, focal)


ROOM = Room(np.array([0, 2, 1.5]), np.array([4, 5, 1.5]), 0.0)


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
