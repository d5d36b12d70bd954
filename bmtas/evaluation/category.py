"""Scores of image-level classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, ratio
from bmtas.kinds import Category
from bmtas.registry import METRICS


@METRICS.register_module()
class CategoryScores(TaskMetric):
    """Scores of the likeliest class, counted over the data set, all in percent.

    ``accuracy``: share of right images. ``balanced_accuracy``: mean over classes of the share of
    right images among those of the class. ``precision``, ``recall`` and ``F1``: of class 1 where
    there are two classes, else the mean over classes; 0 where nothing was predicted or right.
    Classes without an image in the labels do not enter the means.

    Predictions are probabilities (C,), labels class ids; images without label do not count.
    """

    suits = Category
    scores = dict(accuracy=True, balanced_accuracy=True, precision=True, recall=True, F1=True)

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        confusion = torch.zeros(len(prediction), len(prediction), dtype=torch.int64)
        if self.kind.labelled(target):
            self.kind.check(target, f'task {self.task!r}: label')
            confusion[int(target), int(prediction.argmax())] = 1
        return {'confusion': confusion}

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        confusion = sums['confusion']
        hit, labelled, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
        present = labelled > 0
        recall = ratio(hit, labelled)
        precision = ratio(hit, predicted.clamp(min=1))
        f1 = ratio(2 * hit, labelled + predicted)
        self.classes = dict(score='F1', scores=100 * f1, confusion=confusion)
        chosen = torch.tensor([False, True]) if len(hit) == 2 else present
        accuracy = ratio(hit.sum(), labelled.sum())
        means = {
            'balanced_accuracy': recall[present],
            'precision': precision[chosen & present],
            'recall': recall[chosen & present],
            'F1': f1[chosen & present],
        }
        return {
            'accuracy': 100 * float(accuracy),
            **{name: 100 * float(values.mean()) for name, values in means.items()},
        }
