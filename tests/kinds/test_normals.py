"""Normals: marks for "no normal", lengths, turns."""

import math
from pathlib import Path

import numpy as np
import pytest

from bmtas.kinds import Normals

PATH = Path('n.png')


def unit(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(1, count, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def as_bytes(vectors):
    return np.rint(127.5 + 127.5 * vectors).astype(np.uint8)


@pytest.mark.parametrize('grey', [(127, 127, 127), (128, 128, 128), (127, 128, 127)])
def test_grey_means_no_normal(grey):
    raw = as_bytes(unit(5))
    raw[0, 2] = grey
    raw[0, 4] = 0
    found = Normals().decode(raw, PATH)
    assert (found[0, [2, 4]] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(found[0, [0, 1, 3]], axis=-1), 1, atol=1e-5)
    wide = np.rint(32767.5 * (1 + unit(3))).astype(np.uint16)
    wide[0, 1] = (32768, 32767, 32768)
    assert (Normals().decode(wide, PATH)[0, 1] == 0).all()


def test_nearly_grey_is_a_vector():
    raw = as_bytes(unit(9))
    raw[0, 0] = (128, 128, 255)  # straight away from the camera
    assert Normals().decode(raw, PATH)[0, 0, 2] > 0.99


def test_own_marks():
    raw = as_bytes(unit(4))
    raw[0, 1] = (255, 255, 255)
    raw[0, 3] = (9, 9, 9)
    found = Normals(invalid=[(255, 255, 255), (9, 9, 9)]).decode(raw, PATH)
    assert (found[0, [1, 3]] == 0).all() and (found[0, [0, 2]] != 0).any(-1).all()


def test_floats_between_zero_and_one_are_no_vectors():
    vectors = unit(200)
    folded = (vectors + 1) / 2
    with pytest.raises(ValueError, match=r'n.png: \d+ of 200 normals are far.*unit_range=True'):
        Normals().decode(folded, PATH)
    found = Normals(unit_range=True).decode(folded, PATH)
    np.testing.assert_allclose(found, vectors, atol=1e-5)
    folded[0, :3] = [[0, 0, 0], [0.5, 0.5, 0.5], [127 / 255, 128 / 255, 127 / 255]]
    marked = Normals(unit_range=True).decode(folded, PATH)
    assert (marked[0, :3] == 0).all()
    np.testing.assert_allclose(marked[0, 3:], vectors[0, 3:], atol=1e-5)


@pytest.mark.parametrize('scale', [0.5, 2.0, 127.0])
def test_lengths_far_from_one(scale):
    with pytest.raises(ValueError, match='n.png: 50 of 50 normals are far from length one'):
        Normals().decode(unit(50) * scale, PATH)
    few = unit(50)
    few[0, :5] *= 0.6  # as interpolation leaves them at borders
    assert Normals().decode(few, PATH).shape == (1, 50, 3)


def test_bad_input():
    with pytest.raises(ValueError, match='NaN or infinite'):
        Normals().decode(np.full((1, 1, 3), np.nan), PATH)
    with pytest.raises(ValueError, match=r'must be \(H, W, 3\)'):
        Normals().decode(np.zeros((4, 4), np.uint8), PATH)
    with pytest.raises(ValueError, match='int64'):
        Normals().decode(np.ones((4, 4, 3), np.int64), PATH)
    with pytest.raises(ValueError, match='three signs'):
        Normals(flip=(1, 0, 1))
    with pytest.raises(ValueError, match='list of vectors'):
        Normals(invalid=[(1, 2)])


def test_turning_by_ninety_degrees():
    # right becomes up, which is -y; the mirror image of right is left
    array = np.array([[[1.0, 0, 0]]], np.float32)
    np.testing.assert_allclose(Normals().turned(array, 90)[0, 0], [0, -1, 0], atol=1e-6)
    turned = Normals().turned(array, 30)[0, 0]
    np.testing.assert_allclose(turned, [math.cos(math.pi / 6), -0.5, 0], atol=1e-6)
    np.testing.assert_array_equal(Normals().mirror(array)[0, 0], [-1, 0, 0])
