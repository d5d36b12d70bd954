"""Metrics against hand-computed cases and direct formulas on random maps."""

import math

import numpy as np
import pytest
import torch

from bmtas.evaluation import DepthError, EdgeFMeasure, MeanIoU, NormalsError, SaliencyIoU
from bmtas.evaluation.base import threshold_counts
from bmtas.kinds import Classes
from bmtas.registry import METRICS
from bmtas.tasks import MultiTaskSample, TaskMaps


def sample(task, prediction, target, label=None, img_id='a'):
    """A test sample as the evaluator hands it to a metric."""
    data = MultiTaskSample(metainfo=dict(img_id=img_id))
    data.labels = TaskMaps({} if target is None else {label or task: target})
    data.predictions = TaskMaps({task: prediction})
    return data.to_dict()


def run(metric, pairs):
    """Results of a metric, keys without prefix, fed in batches of two."""
    samples = [sample(metric.task, *pair, label=metric.label) for pair in pairs]
    for start in range(0, len(samples), 2):
        metric.process(None, samples[start : start + 2])
    found = metric.evaluate(len(samples))
    assert set(found) == {f'{metric.prefix}/{key}' for key in metric.scores}
    return {key: found[f'{metric.prefix}/{key}'] for key in metric.scores}


def test_mean_iou_by_hand():
    target = torch.tensor([[0, 0, 1], [1, 2, 255]])
    prediction = torch.tensor([[0, 1, 1], [1, 0, 2]])
    # class 0: 1 / 3, class 1: 2 / 3, class 2: 0 / 1, class 3 occurs nowhere
    found = run(MeanIoU('parts', Classes(4)), [(prediction, target)])
    assert found['mIoU'] == pytest.approx(100 * (1 / 3 + 2 / 3 + 0) / 3)
    assert found['pixel_acc'] == pytest.approx(100 * 3 / 5)


def test_mean_iou_counts_over_the_data_set_not_by_image():
    ones, zeros = torch.ones(2, 2).long(), torch.zeros(2, 2).long()
    found = run(MeanIoU('semseg', Classes(2)), [(ones, ones), (ones, zeros), (zeros, zeros)])
    assert found['mIoU'] == pytest.approx(100 * (4 / 8 + 4 / 8) / 2)


@pytest.mark.parametrize('bad', ['prediction', 'label'])
def test_mean_iou_rejects_ids_out_of_range(bad):
    maps = {'prediction': torch.zeros(2, 2).long(), 'label': torch.zeros(2, 2).long()}
    maps[bad][0, 0] = 3
    with pytest.raises(ValueError, match=f"'semseg': {bad} holds class ids 0 to 3.*3 classes"):
        run(MeanIoU('semseg', Classes(3)), [(maps['prediction'], maps['label'])])


def test_saliency_by_hand():
    target = torch.tensor([[1, 1], [0, 255]])
    first = torch.tensor([[0.95, 0.45], [0.30, 0.99]])
    second = torch.tensor([[0.65, 0.65], [0.65, 0.10]])
    # thresholds below 0.30: 2/3; 0.30 to 0.40: 2/2; 0.45 to 0.90: 1/2. second: 2/3 up to 0.60
    # and 0 from 0.65 on. strict comparison: 0.30 is not foreground at 0.30
    found = run(SaliencyIoU('sal', 'mask'), [(first, target), (second, target)])
    assert found['maxIoU'] == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert found['IoU'] == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    # best F at 0.35 to 0.45 from counts of both images: hit 4, predicted 5, labelled 4
    assert found['maxF'] == pytest.approx(100 * 1.3 * (4 / 5) * 1 / (0.3 * 4 / 5 + 1))


def test_saliency_of_empty_images():
    empty, void = torch.zeros(2, 2).long(), torch.full((2, 2), 255)
    low, high = torch.full((2, 2), 0.1), torch.full((2, 2), 0.95)
    assert run(SaliencyIoU('sal', 'mask'), [(low, empty)])['IoU'] == 100
    assert run(SaliencyIoU('sal', 'mask'), [(high, empty)])['IoU'] == 0
    # an image without a labelled pixel does not count
    assert run(SaliencyIoU('sal', 'mask'), [(high, empty), (low, void)])['IoU'] == 0


def test_saliency_against_a_loop_over_thresholds():
    rng = np.random.default_rng(0)
    maps = [(rng.random((9, 7), dtype=np.float32), rng.integers(0, 2, (9, 7))) for _ in range(3)]
    iou = [
        np.mean([((p > t) & (g > 0)).sum() / ((p > t) | (g > 0)).sum() for p, g in maps])
        for t in np.arange(0.2, 0.91, 0.05)
    ]
    scores = []
    for t in np.arange(0.05, 0.96, 0.05):
        hit = sum(((p >= t) & (g > 0)).sum() for p, g in maps)
        precision = hit / sum((p >= t).sum() for p, g in maps)
        recall = hit / sum((g > 0).sum() for p, g in maps)
        scores.append(1.3 * precision * recall / (0.3 * precision + recall))
    pairs = [(torch.from_numpy(p), torch.from_numpy(g)) for p, g in maps]
    found = run(SaliencyIoU('sal', 'mask'), pairs)
    assert found['maxIoU'] == pytest.approx(100 * max(iou))
    assert found['maxF'] == pytest.approx(100 * max(scores))


@pytest.mark.parametrize('strict, expected', [(True, [2, 1, 0]), (False, [3, 2, 1])])
def test_probability_equal_to_a_threshold(strict, expected):
    values = torch.tensor([0.25, 0.5, 0.75])
    predicted, hit = threshold_counts(values, torch.tensor([1, 0, 1]), values, strict)
    assert predicted.tolist() == expected
    assert hit.tolist() == [int((values[k:] != 0.5).sum()) for k in range(strict, 3 + strict)]


def test_edge_by_hand():
    target = torch.tensor([[1, 0], [1, 255]])
    prediction = torch.tensor([[0.8, 0.6], [0.4, 0.9]])
    # >= 0.8: P 1, R 1/2, F 2/3; >= 0.4: P 2/3, R 1, F 4/5
    found = run(EdgeFMeasure('edge', 'mask'), [(prediction, target)])
    assert found['F'] == pytest.approx(80)
    assert found['precision'] == pytest.approx(200 / 3)
    assert found['recall'] == pytest.approx(100)
    assert 0 < found['threshold'] <= 0.401


def test_edge_without_any_edge_is_nan():
    with pytest.warns(UserWarning, match='labelled pixel'):
        found = run(EdgeFMeasure('edge', 'mask'), [(torch.zeros(2, 2), torch.zeros(2, 2).long())])
    assert all(math.isnan(value) for value in found.values())


def test_normals_by_hand():
    target = torch.zeros(3, 2, 2)
    target[2, 0] = -1
    target[0, 1, 0] = 1
    prediction = torch.zeros(3, 2, 2)
    prediction[2] = -2.0
    prediction[:, 0, 1] = torch.tensor([math.tan(math.radians(20)), 0, -1])
    # angles 0, 20 and 90 degrees; the fourth pixel has no label
    found = run(NormalsError('normals', 'normals'), [(prediction, target)])
    assert found['mean'] == pytest.approx(110 / 3)
    assert found['median'] == pytest.approx(20, abs=0.01)
    assert found['rmse'] == pytest.approx(math.sqrt((400 + 8100) / 3))
    shares = [found[f'within_{limit}'] for limit in ('11.25', '22.5', '30')]
    assert shares == pytest.approx([100 / 3, 200 / 3, 200 / 3])


def test_normals_against_arccos():
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(2, 2, 3, 8, 9)).astype(np.float32)
    unit = maps / np.linalg.norm(maps, axis=2, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((unit[:, 0] * unit[:, 1]).sum(1), -1, 1)))
    found = run(NormalsError('normals', 'normals'), [tuple(torch.from_numpy(m)) for m in maps])
    assert found['mean'] == pytest.approx(angle.mean(), abs=1e-4)
    assert found['median'] == pytest.approx(np.median(angle), abs=0.5)
    assert found['rmse'] == pytest.approx(math.sqrt((angle**2).mean()), abs=1e-4)


def test_normals_median_resolution():
    angles = torch.linspace(0.003, 179.9, 2001)
    prediction = torch.stack([angles.deg2rad().sin(), torch.zeros(2001), angles.deg2rad().cos()])
    target = torch.tensor([0.0, 0, 1])[:, None].expand(3, 2001)
    found = run(NormalsError('normals', 'normals'), [(prediction[:, :, None], target[:, :, None])])
    assert found['median'] == pytest.approx(float(angles.median()), abs=0.01)


def test_depth_by_hand():
    target = torch.tensor([[2.0, 4.0], [0.0, float('inf')]])
    prediction = torch.tensor([[2.2, 2.0], [7.0, 7.0]])
    found = run(DepthError('depth', 'depth'), [(prediction, target)])
    assert found['rmse'] == pytest.approx(math.sqrt((0.04 + 4) / 2))
    logs = [math.log(1.1), math.log(0.5)]
    assert found['rmse_log'] == pytest.approx(math.sqrt(sum(x * x for x in logs) / 2))
    assert found['abs_rel'] == pytest.approx((0.1 + 0.5) / 2)
    assert [found[f'delta{i}'] for i in (1, 2, 3)] == pytest.approx([50, 50, 50])


def test_depth_is_pixel_wise_and_clamps_predictions():
    small = (torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    large = (torch.full((1, 3), -5.0), torch.ones(1, 3))
    found = run(DepthError('depth', 'depth', min_depth=0.5), [small, large])
    assert found['rmse'] == pytest.approx(math.sqrt((1 + 3 * 0.25) / 4))
    with pytest.raises(ValueError, match='min_depth'):
        DepthError('depth', 'depth', min_depth=0)


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


def test_scores_of_the_classes_and_the_confusion_matrix():
    metric = METRICS.build(
        dict(type='MeanIoU', task='seg', kind=dict(type='classes', num_classes=3))
    )
    prediction, label = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]])
    sample = dict(labels=dict(seg=label), predictions=dict(seg=prediction))
    metric.process(None, [sample])
    metric.evaluate(1)
    assert metric.classes['confusion'].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    scores = metric.classes['scores'].tolist()
    assert scores[:2] == [50, 50] and scores[2] != scores[2]
    with pytest.raises(ValueError, match="'semseg': NormalsError is meant for kind normals, not"):
        NormalsError('semseg', Classes(3))
