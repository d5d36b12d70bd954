import numpy as np
import pytest
from raw_samples import Draws, rng

from bmtas.datasets import transforms as T


def test_photometric_steps():
    img = np.full((2, 2, 3), 100, np.uint8)
    results = dict(img=img, labels={}, kinds={})
    transform = T.PhotoMetricDistortion()
    # brightness on, offset 10; contrast off; no saturation, no hue
    out = transform(results, Draws(0.1, 10.0, 0.9, 0.9, 1.0, 0.9, 0.9, 1.0, 0))
    assert (out['img'] == 110).all()
    # contrast last, factor 1.5, after a hue shift that leaves grey alone
    out = transform(results, Draws(0.9, 0.9, 0.1, 1.5, 0.9, 0.1, 1.0, 9))
    assert (out['img'] == 150).all()
    results['img'] = np.full((2, 2, 3), (200, 0, 0), np.uint8)
    # a hue shift of 60 of 180 turns red to green
    out = transform(results, Draws(0.9, 0.9, 0.9, 1.0, 0.9, 0.1, 1.0, 60))
    assert (out['img'] == (0, 200, 0)).all()
    results['img'] = np.full((2, 2, 3), (200, 100, 100), np.uint8)
    # half the saturation: the spread of 100 becomes 50
    out = transform(results, Draws(0.9, 0.9, 0.9, 1.0, 0.1, 0.9, 0.5, 0))
    np.testing.assert_allclose(out['img'][0, 0], (200, 150, 150), atol=2)
    with pytest.raises(ValueError, match='before padding'):
        transform(dict(img=np.zeros((2, 2, 3), np.float32)), rng())
