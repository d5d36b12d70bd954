"""Padding of the test pipeline changes no metric, not even those relative to the image's size."""

import numpy as np

from bmtas.datasets.transforms import PackSample, PadTo
from bmtas.evaluation import BoundaryFMeasure, SaliencyIoU
from bmtas.kinds import Depth, Mask


def results_of(metric, pipeline, probability):
    edge = np.zeros((24, 32), np.uint8)
    edge[12, 4:28] = 1
    results = dict(
        img=np.zeros((24, 32, 3), np.uint8),
        labels=dict(edge=edge, probability=probability),
        kinds=dict(edge=Mask(), probability=Depth()),
        img_id='a',
    )
    for transform in pipeline:
        results = transform(results, np.random.default_rng(0))
    sample = results['data_samples']
    data = dict(
        img_id='a',
        pad=sample.pad,
        labels=dict(edge=sample.labels['edge']),
        predictions=dict(edge=sample.labels['probability']),
    )
    metric.process(None, [data])
    return metric.evaluate(1)


def test_padding_changes_nothing():
    probability = np.zeros((24, 32), np.float32)
    probability[15, 4:28] = 0.9  # three rows beside the line
    # 0.06 of the diagonal of 40 pixels is 2.4: no match. Of the padded diagonal it would be 4.6
    for metric in (
        lambda: BoundaryFMeasure('edge', 'mask', tolerance=0.06),
        lambda: BoundaryFMeasure('edge', 'mask', tolerance=0.08),
        lambda: SaliencyIoU('edge', 'mask'),
    ):
        plain = results_of(metric(), [PackSample()], probability)
        padded = results_of(metric(), [PadTo((48, 60)), PackSample()], probability)
        assert plain == padded
    assert (
        results_of(
            BoundaryFMeasure('edge', 'mask', tolerance=0.06),
            [PadTo((48, 60)), PackSample()],
            probability,
        )['edge/odsF']
        == 0
    )
