import numpy as np

from bmtas.datasets import transforms as T
from bmtas.kinds import Classes, Depth, Mask, Normals

KINDS = dict(semseg=Classes(6), edge=Mask(), depth=Depth(), normals=Normals())


def sample(height=2, width=3):
    count = height * width
    grid = np.arange(count).reshape(height, width)
    normals = np.stack([grid + 1, grid + 2, grid + 3], -1).astype(np.float32)
    return dict(
        img=np.stack([grid * 10, grid * 10 + 1, grid * 10 + 2], -1).astype(np.uint8),
        labels=dict(
            semseg=grid.astype(np.uint8),
            edge=(grid % 2).astype(np.uint8),
            depth=(grid + 1).astype(np.float32),
            normals=normals,
        ),
        kinds=dict(KINDS),
        img_id='a',
    )


def rng():
    return np.random.default_rng(0)


def test_absent_foreground_is_ignored():
    results = sample()
    results['labels']['parts'] = np.array([[0, 255, 0], [0, 0, 0]], np.uint8)
    results['kinds']['parts'] = Classes(7)
    transform = T.IgnoreAbsentForeground(['parts', 'missing'])
    out = transform(results, rng())
    assert (out['labels']['parts'] == 255).all()
    np.testing.assert_array_equal(out['labels']['semseg'], results['labels']['semseg'])
    results['labels']['parts'][1, 1] = 4
    np.testing.assert_array_equal(
        transform(results, rng())['labels']['parts'], [[0, 255, 0], [0, 4, 0]]
    )
