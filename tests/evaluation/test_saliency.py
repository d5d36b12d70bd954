import numpy as np
import pytest
import torch
from scored import run

from bmtas.evaluation import SaliencyIoU


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
