import numpy as np
from raw_samples import rng, sample

from bmtas.datasets import transforms as T
from bmtas.kinds import crop_padding


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
