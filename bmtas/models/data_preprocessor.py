"""From the loader's lists to a normalised batch on the model's device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from bmtas.kinds import Kind
from bmtas.registry import MODELS
from bmtas.tasks import Task

# mean and deviation of intensities 0 ... 255, by name; ImageNet's are torchvision's
_NORMALIZE = {
    'unit': ((127.5,) * 3, (127.5,) * 3),
    'imagenet': (
        tuple(255 * m for m in (0.485, 0.456, 0.406)),
        tuple(255 * s for s in (0.229, 0.224, 0.225)),
    ),
}


@MODELS.register_module()
class MultiTaskPreprocessor(BaseDataPreprocessor):
    """Checks labels on the CPU, moves the batch, stacks and normalises the images.

    Args:
        normalize: ``unit`` maps intensities 0 ... 255 to [-1, 1], ``imagenet`` subtracts the mean
            and divides by the deviation of ImageNet.
        non_blocking: Copy to the device asynchronously (from pinned memory).
    """

    def __init__(self, normalize: str = 'unit', non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        if normalize not in _NORMALIZE:
            raise ValueError(
                f'data_preprocessor: unknown normalize {normalize!r}, '
                f'choose from {sorted(_NORMALIZE)}'
            )
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in _NORMALIZE[normalize])
        self.register_buffer('mean', mean, persistent=False)
        self.register_buffer('std', std, persistent=False)
        self._kinds: dict[str, Kind] = {}

    def expect(self, tasks: Iterable[Task]) -> None:
        """Check the values of these tasks' labels from now on."""
        self._kinds = {task.label: task.kind for task in tasks}

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Prepare a batch.

        Args:
            data: ``inputs``, a list of (3, H, W) images or a batch (N, 3, H, W) with intensities
                0 ... 255; ``data_samples``, a list of samples or None; maybe ``frames``, one
                (F, 3, H, W) for each image.
            training: Not used.

        Returns:
            ``inputs`` (N, 3, H, W) float32, ``data_samples``, and ``frames`` (N, F, 3, H, W) where
            there are some.

        Raises:
            ValueError: Empty batch, images of different sizes, or a faulty label.
        """
        images, samples = data['inputs'], data.get('data_samples')
        if len(images) == 0:
            raise ValueError('data_preprocessor: the batch is empty')
        sizes = {tuple(image.shape) for image in images}
        if len(sizes) > 1:
            raise ValueError(
                f'data_preprocessor: images of one batch differ in size: {sorted(sizes)}; '
                'crop or pad them to one size, or use batch_size=1'
            )
        if len(size := sizes.pop()) != 3 or size[0] != 3:
            raise ValueError(f'data_preprocessor: images must be (3, H, W), got {size}')
        self._check_labels(samples or ())
        # unnormalised bytes travel: a quarter of the traffic of floats
        if not isinstance(images, Tensor):
            images = torch.stack(list(images))
        images, samples = self.cast_data(images), self.cast_data(samples)
        prepared = dict(inputs=self._normalised(images), data_samples=samples)
        if data.get('frames') is not None:
            frames = self.cast_data(torch.stack(list(data['frames'])))
            prepared['frames'] = self._normalised(frames.flatten(0, 1)).unflatten(
                0, frames.shape[:2]
            )
        return prepared

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.float() - self.mean) / self.std

    def _check_labels(self, samples: Sequence[Any]) -> None:
        for name, kind in self._kinds.items():
            found = [(s, s.labels.get(name)) for s in samples if 'labels' in s]
            found = [(s, label) for s, label in found if label is not None]
            found = [(s, label) for s, label in found if label.device.type == 'cpu']
            if found and not kind.dense and _all_right(kind, [label for _, label in found]):
                continue
            for sample, label in found:
                kind.check(label, f'label {name!r} of image {sample.get("img_id", "?")!r}')


def _all_right(kind: Kind, labels: Sequence[Tensor]) -> bool:
    """Whether the labels of all images pass in one call, which many tasks need."""
    try:
        kind.check(torch.stack(list(labels)), '')
    except ValueError:
        return False
    return True
