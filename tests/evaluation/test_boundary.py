"""The boundary benchmark as a metric."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from bmtas.evaluation import BoundaryFMeasure
from bmtas.evaluation.boundaries import find_pairs, make_protocol, run_benchmark
from bmtas.registry import METRICS
from bmtas.tasks import MultiTaskSample, TaskMaps

RNG = np.random.default_rng(5)
TRUTHS = [torch.zeros(24, 30).long() for _ in range(3)]
for number, label in enumerate(TRUTHS):
    label[5 + number, 3:25] = 1
    label[5 + number : 20, 12] = 1
PREDICTIONS = [
    (label * 0.7).roll(number, 0).float() + 0.3 * torch.from_numpy(RNG.random((24, 30))).float()
    for number, label in enumerate(TRUTHS)
]


def sample(prediction, target):
    data = MultiTaskSample(metainfo=dict(img_id='a'))
    data.labels = TaskMaps({'edge': target} if target is not None else {})
    data.predictions = TaskMaps({'edge': prediction})
    return data.to_dict()


def run(samples, **options):
    metric = METRICS.build(dict(type='BoundaryFMeasure', task='edge', kind='mask', **options))
    for item in samples:
        metric.process(None, [item])
    found = metric.evaluate(len(samples))
    return {key: found[f'edge/{key}'] for key in metric.scores}


SAMPLES = [sample(*pair) for pair in zip(PREDICTIONS, TRUTHS)]


@pytest.mark.parametrize(
    'options', [{}, dict(nms=True, thresholds=101), dict(interpolate=True, tolerance=0.04)]
)
def test_equals_the_benchmark_on_files(tmp_path, options):
    for name, maps in (('predicted', PREDICTIONS), ('truth', TRUTHS)):
        (tmp_path / name).mkdir()
        for number, values in enumerate(maps):
            levels = (255 * values).byte().numpy()
            Image.fromarray(levels).save(tmp_path / name / f'{number}.png')
    pairs = find_pairs(tmp_path / 'predicted', tmp_path / 'truth')
    expected, _ = run_benchmark(pairs, make_protocol(**options))
    found = run(SAMPLES, **options)
    assert found['odsF'] == pytest.approx(100 * expected.ods[3])
    assert found['oisF'] == pytest.approx(100 * expected.ois[2])
    assert found['AP'] == pytest.approx(100 * expected.ap)
    assert found['threshold'] == pytest.approx(expected.ods[0])
    assert [found['recall'], found['precision']] == pytest.approx(
        [100 * value for value in expected.ods[1:3]]
    )


def test_workers_and_shards_give_the_same():
    expected = run(SAMPLES, thresholds=9)
    assert run(SAMPLES, thresholds=9, workers=1) == pytest.approx(expected)
    shards = [BoundaryFMeasure('edge', 'mask', thresholds=9) for _ in range(2)]
    shards[0].process(None, SAMPLES[:1])
    shards[1].process(None, SAMPLES[1:])
    shards[0].results += shards[1].results
    assert shards[0].local_results(3) == pytest.approx(expected)


def test_perfect_prediction():
    found = run([sample(label.float(), label) for label in TRUTHS])
    assert [found[key] for key in ('odsF', 'oisF', 'precision', 'recall')] == [100] * 4


def test_ignored_pixels():
    label = TRUTHS[0].clone()
    label[:, 20:] = 255
    prediction = TRUTHS[0].float()
    prediction[2:22, 27] = 1
    assert run([sample(prediction, TRUTHS[0])])['precision'] < 80
    assert run([sample(prediction, label)])['precision'] == 100


def test_missing_labels():
    assert run([*SAMPLES, sample(PREDICTIONS[0], None)]) == run(SAMPLES)
    with pytest.warns(UserWarning, match='NaN'):
        assert math.isnan(run([sample(PREDICTIONS[0], None)])['odsF'])


def test_holds_counts_not_maps():
    metric = BoundaryFMeasure('edge', 'mask')
    for item in SAMPLES * 2:
        metric.process(None, [item])
    assert sum(value.numel() for record in metric.results for value in record.values()) == 401


def test_bad_options():
    with pytest.raises(
        ValueError, match="'edge': tolerance: must be a fraction of the diagonal .*, got 7.5"
    ):
        BoundaryFMeasure('edge', 'mask', tolerance=7.5)
    with pytest.raises(ValueError, match='thresholds'):
        BoundaryFMeasure('edge', 'mask', thresholds=0)
