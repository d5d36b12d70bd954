import numpy as np
import pytest

from bmtas.datasets.shapescenes import ShapeScenes
from bmtas.datasets.shapescenes.render import CREASE, GAP, View, edges


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
