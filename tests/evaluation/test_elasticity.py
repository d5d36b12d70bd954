"""Elasticities over runs that follow a power law."""

import numpy as np
import pytest

from bmtas.evaluation.elasticity import elasticities, elasticity_lines


def make_runs(noise=0.0, count=8):
    rng = np.random.default_rng(0)
    runs = []
    for loss in np.linspace(0.5, 2, count):
        scores = dict(iou=60 * loss**-0.4, angle=20 * loss**0.7, flat=float(rng.random()) + 1)
        scores = {k: v * float(np.exp(noise * rng.normal())) for k, v in scores.items()}
        runs.append(
            dict(
                tasks=list(scores),
                scores=scores,
                losses=dict.fromkeys(scores, float(loss)),
                higher_is_better=dict(iou=True, angle=False, flat=True),
            )
        )
    return runs


def test_powers_are_found_with_the_sign_of_a_gain():
    found = elasticities([*make_runs(), {'scores': {}, 'tasks': []}])
    assert found['iou'][0] == pytest.approx(0.4) and found['angle'][0] == pytest.approx(0.7)
    assert found['iou'][1] == pytest.approx(1.0) and found['iou'][2] == 8
    assert found['flat'][1] < 0.5
    text = elasticity_lines(found)
    assert 'iou: 0.40 (R2 1.00, 8 runs)' in text
    assert text.splitlines()[-1].endswith('does not follow its loss')


def test_too_few_runs_say_nothing():
    assert elasticities(make_runs()[:2]) == {} and elasticities([]) == {}
    same = [dict(run, losses=dict.fromkeys(run['tasks'], 1.0)) for run in make_runs()]
    assert elasticities(same) == {} and elasticity_lines({}) == ''
