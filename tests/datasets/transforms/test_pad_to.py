import numpy as np

from bmtas.datasets import transforms as T
from bmtas.kinds import Classes, Depth, Mask, Normals, crop_padding

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


def test_pad_to_records_what_crop_padding_removes():
    out = T.PadTo((4, 6))(sample(), rng())
    assert out['pad'] == (1, 1, 1, 2)
    assert out['img'].shape == (4, 6, 3)
    assert (out['labels']['semseg'][0] == 255).all()
    np.testing.assert_array_equal(
        crop_padding(out['labels']['semseg'], out['pad']), sample()['labels']['semseg']
    )
    larger = T.PadTo(2)(sample(), rng())
    assert larger['pad'] == (0, 0, 0, 0) and larger['img'].shape == (2, 3, 3)
    coloured = T.PadTo((2, 5), img_fill=(1, 2, 3))(sample(), rng())
    np.testing.assert_array_equal(coloured['img'][0, 0], [1, 2, 3])
    assert coloured['img'].dtype == np.uint8
