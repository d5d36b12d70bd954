"""What all metrics of a task share: pick label and prediction, add up sums, merge processes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from torch import Tensor

from bmtas.kinds import Kind, build_kind, check_suits


class TaskMetric(BaseMetric):
    """Metric of one task, an addition of small sums over images.

    Reads ``sample['labels'][label]`` and ``sample['predictions'][task]``, both at the size of the
    label map. Never keeps a prediction: each process holds one dictionary of sums, and the sums
    of all processes are added at the end, so shards may differ in size. Images without this label
    are skipped; a test set without any gives NaN and a warning. A prediction that holds NaN or
    infinite values is an error that names task and image.

    Val and test loaders must not repeat images to even out the shards
    (``DefaultSampler(round_up=False)``); repeated images are noticed and warned about.

    Args:
        task: Name of the task.
        kind: Kind of the task, or its config.
        label: Key of the label map; the task's name by default.
        prefix: Prefix of the results' keys; the task's name by default.

    Subclasses set ``scores`` and ``suits`` and implement ``measure`` and ``summarize``.
    """

    scores: Mapping[str, bool] = {}
    """Names of the results, without prefix, and whether more is better; the first is the main one.
    """

    classes: Mapping[str, Any] | None = None
    """After ``summarize``, of kinds with classes: ``score`` (its name), ``scores`` (C,) in percent,
    NaN for a class that does not occur, and ``confusion`` (C, C), counts of true class, predicted
    class."""

    suits: type[Kind] = Kind
    """Kinds that the metric is meant for, theirs and those derived from them."""

    def __init__(
        self,
        task: str,
        kind: Kind | str | Mapping[str, Any],
        label: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix=prefix or task)
        self.task = task
        self.kind = build_kind(kind, f'metric of task {task!r}')
        check_suits(self, self.kind, f'task {task!r}: ')
        self.label = label or task

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Sums of one image, tensors of fixed shape (integer or float64)."""
        raise NotImplementedError

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        """The results named by ``scores`` from the sums over all images."""
        raise NotImplementedError

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Add the images of a batch to the sums."""
        for sample in data_samples:
            record = {'seen': torch.tensor(1)}
            if self.label in sample['labels']:
                prediction, target = self._maps(sample)
                sums = self.measure(prediction, target)
                record |= {key: value.cpu() for key, value in sums.items()}
            self.results = [merge_sums([*self.results, record])]

    def evaluate(self, size: int) -> dict[str, float]:
        """Merge the processes and compute the results.

        Args:
            size: Number of images of the data set.
        """
        self._size = size
        records = all_gather_object(self.results[0] if self.results else {'seen': torch.tensor(0)})
        values = [self.compute_metrics(records) if is_main_process() else {}]
        broadcast_object_list(values)
        self.results.clear()
        return {f'{self.prefix}/{key}': value for key, value in values[0].items()}

    def local_results(self, size: int) -> dict[str, float]:
        """Results of what this process has seen, keys without prefix; nothing is exchanged.

        Args:
            size: Number of images of the data set.
        """
        self._size = size
        return self.compute_metrics(self.results or [{'seen': torch.tensor(0)}])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Results by key from one dictionary of sums for each process."""
        sums = merge_sums(results)
        seen = int(sums.pop('seen'))
        if seen > self._size:
            warnings.warn(
                f'metric of task {self.task!r}: {seen} images counted, the data set has '
                f'{self._size}; set sampler.round_up=False so that none counts twice',
                stacklevel=2,
            )
        values = self.summarize(sums) if sums else dict.fromkeys(self.scores, math.nan)
        if all(math.isnan(value) for value in values.values()):
            warnings.warn(
                f'metric of task {self.task!r}: none of {seen} images has a labelled pixel in '
                f'{self.label!r}; its results are NaN',
                stacklevel=2,
            )
        return values

    def _maps(self, sample: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Prediction and label of a sample on the prediction's device, checked, without padding."""
        where = f'task {self.task!r}, image {sample.get("img_id", "?")!r}'
        if self.task not in sample['predictions']:
            raise ValueError(f'{where}: the model gave no prediction of this task')
        prediction = sample['predictions'][self.task]
        target = sample['labels'][self.label].to(prediction.device)
        expected = self.kind.prediction_shape(target)
        if tuple(prediction.shape) != expected:
            raise ValueError(
                f'{where}: prediction has shape {tuple(prediction.shape)}, '
                f'its label needs {expected}'
            )
        if prediction.is_floating_point() and not bool(torch.isfinite(prediction).all()):
            raise ValueError(
                f'{where}: the prediction holds NaN or infinite values; '
                'the network has diverged, lower the learning rate or go back to a checkpoint'
            )
        # without the padding of the test pipeline: lengths relative to the image's size count
        pad = sample.get('pad')
        return self.kind.unpad(prediction, pad), self.kind.unpad(target, pad)


def merge_sums(records: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Add tensors key by key; a key may be missing in some records."""
    total: dict[str, Tensor] = {}
    for record in records:
        for key, value in record.items():
            total[key] = total[key] + value if key in total else value
    return total


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient in float64, NaN where the denominator is zero."""
    return numerator.double() / denominator.double()


def best_index(values: Tensor) -> int:
    """Index of the largest value, NaN counted as smaller than all."""
    return int(values.nan_to_num(nan=-1.0).argmax())


def threshold_counts(
    probability: Tensor, target: Tensor, thresholds: Tensor, strict: bool
) -> tuple[Tensor, Tensor]:
    """Count predicted and correctly predicted foreground pixels at several thresholds.

    Args:
        probability: (M,) of the labelled pixels.
        target: (M,) 0 or 1.
        thresholds: (K,) increasing.
        strict: Predict foreground where probability > threshold, else where >=.

    Returns:
        ``predicted`` and ``hit``, (K,) int64 each.
    """
    edges = thresholds.to(probability)
    # number of thresholds that a pixel passes, 0..K
    passed = torch.bucketize(probability, edges, right=not strict)
    counts = torch.bincount(passed, minlength=len(edges) + 1)
    hits = torch.bincount(passed[target > 0], minlength=len(edges) + 1)

    def at_least(histogram: Tensor) -> Tensor:
        return histogram.flip(0).cumsum(0).flip(0)[1:]

    return at_least(counts), at_least(hits)
