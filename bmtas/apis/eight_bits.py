"""ONNX files in eight bits, and scores of ONNX files."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator

from bmtas.engine import dataset_parts, require, with_pipeline
from bmtas.files import atomic_path
from bmtas.progress import progress
from bmtas.registry import DATASETS
from bmtas.tasks import TaskMaps, build_tasks


def require_runtime(option: str = '--int8') -> None:
    """Raise a ValueError with the remedy where ONNX Runtime is missing."""
    if importlib.util.find_spec('onnxruntime') is None:
        raise ValueError(f"{option} needs onnxruntime: pip install '.[export]'")


def to_eight_bits(
    path: Path, cfg: Config, count: int
) -> tuple[Path, dict[str, float], dict[str, float]]:
    """Write a file's twin in eight bits, and score both.

    Args:
        path: ONNX file of ``export``, for batches of any size.
        cfg: Config of its network; ranges are measured on training images.
        count: Training images and test images.

    Returns:
        The new file, ``NAME.int8.onnx``, and the scores by task of both files, old and new.
    """
    if count < 1:
        raise ValueError(f'--int8 must be positive, got {count}')
    require(cfg, 'train_dataloader', 'test_dataloader')
    images = (item['inputs'].float().numpy() for item in data_of(cfg, 'train', count))
    small = quantize(path, path.with_suffix('.int8.onnx'), images)
    return small, onnx_scores(path, cfg, count), onnx_scores(small, cfg, count)


def quantize(path: Path, out: Path, images: Iterable[np.ndarray]) -> Path:
    """Write a file whose weights and activations have eight bits (static quantisation, QDQ).

    Args:
        path: ONNX file of ``export``.
        out: File to write.
        images: (3, H, W) float32, 0 to 255, on which the ranges of the activations are measured.
    """
    require_runtime()
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {'images': image[None]}

    with tempfile.TemporaryDirectory() as scratch, atomic_path(out) as part:
        prepared = Path(scratch) / 'prepared.onnx'
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(part),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=['Conv'],
        )
    return out


def data_of(cfg: Config, split: str, count: int) -> Iterator[dict[str, Any]]:
    """``count`` items spread over the data set of a split, unaugmented."""
    dataset = cfg[f'{split}_dataloader'].dataset
    parts = dataset_parts(cfg.test_dataloader.dataset)
    pipeline = next((part['pipeline'] for part in parts if 'pipeline' in part), None)
    dataset = DATASETS.build(dataset if pipeline is None else with_pipeline(dataset, pipeline))
    count = min(count, len(dataset))
    for number in range(count):
        yield dataset[number * len(dataset) // count]


def onnx_scores(path: Path, cfg: Config, count: int) -> dict[str, float]:
    """Scores of an ONNX file on ``count`` test images, by task."""
    require_runtime()
    import onnxruntime

    tasks = build_tasks(cfg.tasks)
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    evaluator = Evaluator([dict(metric) for metric in cfg.test_evaluator])
    for item in progress(data_of(cfg, 'test', count), f'testing {path.name}', count):
        found = session.run(None, {'images': item['inputs'][None].float().numpy()})
        sample = item['data_samples']
        sample.predictions = TaskMaps(
            {name: torch.as_tensor(values[0]) for name, values in zip(names, found)}
        )
        evaluator.process(data_samples=[sample], data_batch=None)
    metrics = evaluator.evaluate(count)
    return {t.name: float(metrics[f'{t.name}/{t.score}']) for t in tasks if t.name in names}
