"""The last step of every pipeline: arrays to tensors, results to a sample."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from bmtas.registry import TRANSFORMS
from bmtas.tasks import MultiTaskSample, TaskMaps

from .common import map_labels

META_KEYS = ('img_id', 'img_path', 'ori_shape', 'pad', 'predict_at', 'clip', 'frame')


def _channels_first(array: np.ndarray) -> np.ndarray:
    """(H, W, 3) to (3, H, W), contiguous."""
    planes = np.empty((array.shape[2], *array.shape[:2]), array.dtype)
    cv2.split(np.ascontiguousarray(array), list(planes))
    return planes


@TRANSFORMS.register_module()
class PackSample:
    """Turn the results into ``dict(inputs, data_samples)``.

    ``inputs`` is (3, H, W), uint8 where the image still is, else float32 (0 to 255);
    ``data_samples`` a ``MultiTaskSample``.
    """

    def __call__(self, results: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        sample = MultiTaskSample(
            metainfo=dict(
                {key: results.get(key) for key in META_KEYS}, img_shape=results['img'].shape[:2]
            )
        )
        sample.labels = TaskMaps(map_labels(results, lambda kind, array: kind.to_tensor(array)))
        inputs = torch.from_numpy(_channels_first(results['img']))
        return dict(
            inputs=inputs if inputs.dtype == torch.uint8 else inputs.float(), data_samples=sample
        )
