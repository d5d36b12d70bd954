import pytest
import torch
from scored import run

from bmtas.evaluation import MeanIoU, NormalsError
from bmtas.kinds import Classes
from bmtas.registry import METRICS


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
