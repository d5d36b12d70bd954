import numpy as np

from bmtas.datasets.shapescenes.geometry import Camera, Room
from bmtas.datasets.shapescenes.raycast import World
from bmtas.datasets.shapescenes.render import pixel_centres


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
