import math

import pytest
import torch
from scored import run, sample

from bmtas.evaluation import MeanIoU
from bmtas.evaluation.base import threshold_counts
from bmtas.kinds import Classes
from bmtas.registry import METRICS


@pytest.mark.parametrize('strict, expected', [(True, [2, 1, 0]), (False, [3, 2, 1])])
def test_probability_equal_to_a_threshold(strict, expected):
    values = torch.tensor([0.25, 0.5, 0.75])
    predicted, hit = threshold_counts(values, torch.tensor([1, 0, 1]), values, strict)
    assert predicted.tolist() == expected
    assert hit.tolist() == [int((values[k:] != 0.5).sum()) for k in range(strict, 3 + strict)]


MAPS = {
    'MeanIoU': (Classes(2), torch.zeros(2, 2).long(), torch.zeros(2, 2).long()),
    'SaliencyIoU': ('mask', torch.rand(2, 2), torch.ones(2, 2).long()),
    'EdgeFMeasure': ('mask', torch.rand(2, 2), torch.ones(2, 2).long()),
    'NormalsError': ('normals', torch.rand(3, 2, 2), torch.ones(3, 2, 2)),
    'DepthError': ('depth', torch.rand(2, 2), torch.ones(2, 2)),
}


@pytest.mark.parametrize('name', MAPS)
class TestEveryMetric:
    """What the base class promises, for each metric as built from a task table."""

    def build(self, name, **options):
        cfg = dict(type=name, task='thing', kind=MAPS[name][0], label='map', **options)
        return METRICS.build(cfg)

    def test_images_without_label_are_skipped(self, name):
        _, prediction, target = MAPS[name]
        with_gap = run(self.build(name), [(prediction, target), (prediction, None)])
        alone = run(self.build(name), [(prediction, target)])
        assert with_gap == pytest.approx(alone, nan_ok=True)

    def test_no_label_at_all_is_nan_with_a_warning(self, name):
        _, prediction, _ = MAPS[name]
        with pytest.warns(UserWarning, match="'thing'.*'map'.*NaN"):
            found = run(self.build(name), [(prediction, None)])
        assert all(math.isnan(value) for value in found.values())

    def test_no_image_at_all(self, name):
        with pytest.warns(UserWarning, match='none of 0 images'):
            assert math.isnan(list(self.build(name).evaluate(0).values())[0])

    def test_nan_prediction_is_an_error(self, name):
        _, prediction, target = MAPS[name]
        if not prediction.is_floating_point():
            pytest.skip('class ids cannot be NaN')
        with pytest.raises(ValueError, match="task 'thing', image 'a'.*NaN"):
            run(self.build(name), [(torch.full_like(prediction, float('nan')), target)])

    def test_other_size_is_an_error(self, name):
        _, prediction, target = MAPS[name]
        with pytest.raises(ValueError, match="task 'thing', image 'a': prediction has shape"):
            run(self.build(name), [(prediction[..., :1], target)])

    def test_missing_prediction_is_an_error(self, name):
        _, prediction, target = MAPS[name]
        wrong = sample('other', prediction, target, label='map')
        with pytest.raises(ValueError, match='gave no prediction'):
            self.build(name).process(None, [wrong])

    def test_holds_sums_not_predictions(self, name):
        _, prediction, target = MAPS[name]
        metric = self.build(name)
        sizes = set()
        for _ in range(3):
            metric.process(None, [sample('thing', prediction, target, label='map')] * 2)
            sizes.add(sum(value.numel() for record in metric.results for value in record.values()))
        assert len(metric.results) == 1
        assert len(sizes) == 1

    def test_starts_afresh_after_evaluation(self, name):
        _, prediction, target = MAPS[name]
        metric = self.build(name)
        first = run(metric, [(prediction, target)] * 3)
        assert run(metric, [(prediction, target)]) == pytest.approx(first, nan_ok=True)

    def test_repeated_images_are_noticed(self, name):
        _, prediction, target = MAPS[name]
        metric = self.build(name)
        metric.process(None, [sample('thing', prediction, target, label='map')] * 2)
        with pytest.warns(UserWarning, match='round_up=False'):
            metric.evaluate(1)


def test_prefix_and_kind():
    metric = MeanIoU('semseg', Classes(2), prefix='val')
    run(metric, [(torch.zeros(2, 2).long(), torch.zeros(2, 2).long())])
    with pytest.raises(ValueError, match='num_classes'):
        MeanIoU('semseg', dict(type='classes', num_classes=0))
