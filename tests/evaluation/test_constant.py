"""The constant predictor against direct formulas."""

import math

import pytest
import torch

from bmtas.evaluation import ConstantPredictor, constant_scores
from bmtas.tasks import MultiTaskSample, TaskMaps, build_tasks

TASKS = build_tasks(
    dict(
        semseg=dict(kind='classes', num_classes=3, label='semseg_map'),
        sal=dict(kind='mask', label='sal_map'),
        depth=dict(kind='depth', label='depth_map'),
        normals=dict(kind='normals', label='normals_map'),
    )
)


class Labels(list):
    """A data set of given label maps."""

    def __getitem__(self, index):
        data = MultiTaskSample(metainfo=dict(img_id=str(index)))
        data.labels = TaskMaps({f'{k}_map': v for k, v in super().__getitem__(index).items()})
        return dict(data_samples=data)


def image(semseg, sal, depth, direction):
    return dict(
        semseg=torch.tensor(semseg),
        sal=torch.tensor(sal),
        depth=torch.tensor(depth),
        normals=torch.tensor(direction)[:, None, None].expand(3, 2, 2),
    )


FIRST = image([[0, 0], [1, 255]], [[1, 0], [0, 0]], [[1.0, 3.0], [0, 0]], [1.0, 0, 0])
SECOND = image([[0, 2], [0, 0]], [[1, 1], [0, 255]], [[2.0, 2.0], [2.0, 2.0]], [0, 0, 1.0])


def test_constants():
    constants = ConstantPredictor.fit(TASKS, Labels([FIRST, SECOND])).constants
    assert int(constants['semseg']) == 0
    # foreground everywhere has IoU 1/4 and 2/3, background everywhere 0
    assert float(constants['sal']) == 1
    assert float(constants['depth']) == pytest.approx(2)
    assert constants['normals'].tolist() == pytest.approx([math.sqrt(0.5), 0, math.sqrt(0.5)])


def test_scores():
    found = constant_scores(TASKS, Labels([FIRST, SECOND]), Labels([SECOND]))
    assert found['semseg'] == pytest.approx(100 * (3 / 4 + 0) / 2)
    assert found['sal'] == pytest.approx(100 * 2 / 3)
    assert found['depth'] == pytest.approx(0, abs=1e-6)
    assert found['normals'] == pytest.approx(45, abs=1e-3)


def test_limit_and_missing_labels():
    unlabelled = {key: value for key, value in SECOND.items() if key != 'depth'}
    found = constant_scores(TASKS, Labels([FIRST, unlabelled]), Labels([FIRST, SECOND]), 1)
    assert found['depth'] == pytest.approx(1)
    with pytest.raises(ValueError, match="no label 'depth_map'"):
        ConstantPredictor.fit(TASKS, Labels([unlabelled]))


def test_empty_masks_prefer_background():
    empty = FIRST | {'sal': torch.zeros(2, 2).long()}
    constants = ConstantPredictor.fit(TASKS, Labels([empty, empty, FIRST])).constants
    assert float(constants['sal']) == 0
