import numpy as np
import pytest


def test_deviations_are_those_that_were_put_in():
    from variances import trees, variances

    rng = np.random.default_rng(0)
    effects = 2 * rng.standard_normal(400)
    shifts = 10 * rng.standard_normal((3, 1))
    found = variances(effects + shifts + 0.5 * rng.standard_normal((3, 400)))
    assert found['trees'] == pytest.approx(2, rel=0.1)
    assert found['seeds'] == pytest.approx(0.5, rel=0.1)
    assert found['F'] == pytest.approx((3 * 4 + 0.25) / 0.25, rel=0.25)
    assert found['correlation'] == pytest.approx(4 / 4.25, abs=0.02)
    assert len(set(trees())) == 12
