"""Mean intersection over union of class maps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, ratio
from bmtas.kinds import Classes
from bmtas.registry import METRICS


@METRICS.register_module()
class MeanIoU(TaskMetric):
    """Mean IoU and pixel accuracy over the pixels of the whole data set.

    IoU_c = TP / (TP + FP + FN), counted over all pixels that have a label. ``mIoU`` is the
    mean over the classes that occur in labels or predictions, background included, in percent;
    ``pixel_acc`` is the share of correct pixels, in percent.

    Predictions and labels are (H, W) class ids.
    """

    suits = Classes
    scores = dict(mIoU=True, pixel_acc=True)

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.kind.labelled(target)
        classes = self.kind.channels
        prediction, target = prediction[valid].long(), target[valid].long()
        for name, ids in (('label', target), ('prediction', prediction)):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < classes:
                raise ValueError(
                    f'task {self.task!r}: {name} holds class ids {int(ids.min())} to '
                    f'{int(ids.max())}, the task has {classes} classes'
                )
        pairs = torch.bincount(target * classes + prediction, minlength=classes**2)
        return {'confusion': pairs.view(classes, classes)}

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        confusion = sums['confusion']
        hit, labelled, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
        iou = ratio(hit, predicted + labelled - hit)
        self.classes = dict(score='IoU', scores=100 * iou, confusion=confusion)
        accuracy = ratio(hit.sum(), labelled.sum())
        return {'mIoU': 100 * float(iou.nanmean()), 'pixel_acc': 100 * float(accuracy)}
