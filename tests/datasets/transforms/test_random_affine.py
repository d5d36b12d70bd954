import numpy as np
from raw_samples import KINDS, Draws, sample

from bmtas.datasets import transforms as T


def test_affine_quarter_turn():
    results = sample(3, 3)
    out = T.RandomAffine(angle=90, scales=[1.0])(results, Draws(90.0, 0))
    # counter-clockwise on the screen: the right column becomes the top row
    np.testing.assert_array_equal(out['labels']['semseg'], [[2, 5, 8], [1, 4, 7], [0, 3, 6]])
    # the vector (1, 2, 3) at the top left moves to the bottom left; (x, y) turns to (y, -x)
    np.testing.assert_allclose(out['labels']['normals'][2, 0], [2, -1, 3], atol=1e-6)


def test_affine_zoom():
    results = sample(5, 5)
    results['labels']['normals'][:] = (0, 0, 1)
    out = T.RandomAffine(scales=[0.5])(results, Draws(0.0, 0))
    semseg = out['labels']['semseg']
    assert semseg[2, 2] == 12 and out['labels']['depth'][2, 2] == 13 / 0.5
    # half the size in the same frame: a border that is ignored, and invalid depth and normals
    assert (semseg[0] == 255).all() and (out['labels']['depth'][0] == 0).all()
    assert (out['labels']['normals'][0] == 0).all()


def test_affine_turns_normals_as_it_turns_positions():
    """A radial field of vectors looks the same after any rotation about the centre."""
    ys, xs = np.mgrid[0:65, 0:65].astype(np.float32) - 32
    field = np.stack([xs, ys, np.full_like(xs, 20)], -1)
    field /= np.linalg.norm(field, axis=-1, keepdims=True)
    results = dict(
        img=np.zeros((65, 65, 3), np.uint8), labels=dict(normals=field), kinds=dict(KINDS)
    )
    out = T.RandomAffine(angle=20, scales=[1.0])(results, Draws(17.0, 0))['labels']['normals']
    inside = np.hypot(xs, ys) < 30
    assert np.abs(out - field)[inside].max() < 0.05
