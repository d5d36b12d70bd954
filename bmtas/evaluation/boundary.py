"""The boundary benchmark as a metric of the test evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bmtas.evaluation.base import TaskMetric, merge_sums
from bmtas.evaluation.boundaries import (
    Protocol,
    best_counts,
    image_counts,
    make_protocol,
    make_thresholds,
    summarize,
)
from bmtas.evaluation.boundaries.pool import worker_pool
from bmtas.kinds import Mask
from bmtas.registry import METRICS
from bmtas.thinning import thin
from bmtas.typed import Natural


@METRICS.register_module()
class BoundaryFMeasure(TaskMetric):
    """Boundary measures with a tolerance in position: odsF, oisF, AP, all in percent.

    The probability map is rounded down to 8 bits, as if saved as an image for an external
    benchmark, made binary at each threshold, thinned and matched one to one with the thinned label
    within ``tolerance``. ``odsF``: best F of one threshold for the data set, with its
    ``precision``, ``recall`` and ``threshold``; ``oisF``: F with the best threshold for each
    image; ``AP``: area under the precision-recall curve. Predicted pixels without label do
    not count.

    Keeps counts for each threshold, no maps. Costs some tenths of a second for each image.

    Predictions are (H, W) probabilities, labels (H, W) of kind mask.

    Args:
        protocol: A name of ``PROTOCOLS``; by default plain, as ``pascal-mti``.
        thresholds: Number of thresholds; 99 (0.01 to 0.99) or 101 (also 0.001 and 0.999). This and
            the next three change one option of the protocol.
        tolerance: Fraction of the image diagonal; 0.0075 PASCAL-Context, 0.011 NYUD-v2.
        nms: Suppress non-maxima before thresholding.
        interpolate: Interpolate odsF between thresholds (Berkeley) or not (SEISM).
        workers: Processes that compare images while the network goes on; 0 compares in this one.
        kwargs: See ``TaskMetric``.
    """

    suits = Mask
    scores = dict(odsF=True, oisF=True, AP=True, precision=True, recall=True, threshold=True)

    def __init__(
        self,
        *args,
        protocol: str | None = None,
        thresholds: int | None = None,
        tolerance: float | None = None,
        nms: bool | None = None,
        interpolate: bool | None = None,
        workers: Natural = 0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        options = dict(thresholds=thresholds, tolerance=tolerance, nms=nms, interpolate=interpolate)
        try:
            self.protocol = make_protocol(protocol, **options)
        except ValueError as error:
            raise ValueError(f'BoundaryFMeasure of task {self.task!r}: {error}') from error
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._pending: list[Future] = []

    def measure(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        return label_counts(*self._arrays(prediction, target))

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Add the images of a batch, or hand them to the workers."""
        if self.workers == 0:
            super().process(data_batch, data_samples)
            return
        if self._pool is None:
            self._pool = worker_pool(self.workers)
        for sample in data_samples:
            self.results = [merge_sums([*self.results, {'seen': torch.tensor(1)}])]
            if self.label in sample['labels']:
                arrays = self._arrays(*self._maps(sample))
                self._pending.append(self._pool.submit(label_counts, *arrays))
        # maps wait in the queue of the pool: keep it short
        self._collect(4 * self.workers)

    def evaluate(self, size: int) -> dict[str, float]:
        self._collect(0)
        return super().evaluate(size)

    def local_results(self, size: int) -> dict[str, float]:
        self._collect(0)
        return super().local_results(size)

    def summarize(self, sums: Mapping[str, Tensor]) -> dict[str, float]:
        if not sums['total'].any():
            return dict.fromkeys(self.scores, float('nan'))
        total, best = sums['total'].numpy(), sums['best'].numpy()
        thresholds = make_thresholds(self.protocol.thresholds)
        found = summarize(total, best, thresholds, self.protocol.interpolate)
        threshold, recall, precision, f = found.ods
        return {
            'odsF': 100 * f,
            'oisF': 100 * found.ois[2],
            'AP': 100 * found.ap,
            'precision': 100 * precision,
            'recall': 100 * recall,
            'threshold': threshold,
        }

    def _arrays(self, prediction: Tensor, target: Tensor) -> tuple:
        """What a worker needs of an image."""
        levels = (255 * prediction.clamp(0, 1)).to(torch.uint8).cpu().numpy()
        ignored = ~self.kind.labelled(target).cpu().numpy()
        truth = (target == 1).cpu().numpy()
        return levels, truth, ignored, self.protocol

    def _collect(self, allowed: int) -> None:
        """Wait until at most ``allowed`` images are pending; add up those that are done."""
        while len(self._pending) > allowed:
            self.results = [merge_sums([*self.results, self._pending.pop(0).result()])]
        if allowed == 0 and self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def label_counts(
    levels: np.ndarray, truth: np.ndarray, ignored: np.ndarray, protocol: Protocol
) -> dict[str, Tensor]:
    """Sums of one image: counts (K, 4) and counts (4,) at the image's best threshold.

    Args:
        levels: (H, W) uint8, probability in 255ths.
        truth: (H, W) bool, the labelled boundaries.
        ignored: (H, W) bool, pixels without label.
        protocol: Its truth does not matter: the label holds lines.
    """
    thresholds, prepared = make_thresholds(protocol.thresholds), protocol.prepare(levels / 255)
    counts = image_counts(
        prepared, [thin(truth)], thresholds, protocol.tolerance, protocol.strict, ignored
    )
    return {'total': torch.from_numpy(counts), 'best': torch.from_numpy(best_counts(counts))}
