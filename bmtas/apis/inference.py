"""Run a trained network on images of any size and write what it predicts."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from bmtas.engine.config import load_config
from bmtas.engine.test import encoder_from_checkpoint
from bmtas.files import atomic_path, load_state, write_text
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.tasks import MultiTaskSample, Task, TaskMaps

TABLE = 'categories.csv'
LEAST = 32
"""Smaller images are padded to this size: a network needs a few pixels at its coarsest stride."""


def load_model(
    config: str | Path,
    checkpoint: str | Path,
    options: Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
) -> tuple[Config, Any]:
    """Build the network of a config with the weights of a checkpoint, ready to predict.

    Args:
        config: Config of the network; the routes of a branched one come from the checkpoint.
        checkpoint: File written by tools/train.py.
        options: Overrides of the config by dotted key.
        device: Where to put it; a GPU if there is one by default.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        ValueError: Faulty config, damaged checkpoint, or one of another network.
    """
    cfg = load_config(config, options)
    if 'model' not in cfg:
        raise ValueError(f'{config}: model: missing, there is no network to run')
    encoder_from_checkpoint(cfg, checkpoint)
    content = load_state(checkpoint)
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise ValueError(f'checkpoint {checkpoint} holds no weights')
    model = MODELS.build(without_weights(cfg.model))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = ' '.join(line.strip() for line in str(error).split('\n')[1:])
        raise ValueError(
            f'checkpoint {checkpoint} does not fit the model of {config}: {lines[:300]}'
        ) from error
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    return cfg, model.to(device).eval()


def read_image(path: str | Path) -> np.ndarray:
    """An image as (H, W, 3) uint8 RGB, turned as its EXIF entry says.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not an image that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'image {path} does not exist')
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'image {path} cannot be read: {error}') from error


@torch.no_grad()
def predict(model: Any, image: np.ndarray | Tensor) -> dict[str, Tensor]:
    """Predictions of one image at its own size.

    Args:
        model: A ``MultiTaskModel`` in evaluation mode.
        image: (H, W, 3) array or (3, H, W) tensor, RGB, 0 to 255.

    Returns:
        Task name -> prediction on the CPU, as the task's kind activates logits.
    """
    if not isinstance(image, Tensor):
        image = torch.from_numpy(np.array(image).transpose(2, 0, 1))
    height, width = image.shape[-2:]
    if min(height, width) < 1:
        raise ValueError(f'image of {height}x{width} pixels is empty')
    short = (0, max(0, LEAST - width), 0, max(0, LEAST - height))
    if any(short):
        image = F.pad(image[None].float(), short, mode='replicate')[0]
    data = model.data_preprocessor(dict(inputs=[image], data_samples=None), False)
    sample = model(data['inputs'], mode='predict')[0]
    pad = (0, short[3], 0, short[1])
    return {
        task.name: task.kind.unpad(sample.predictions[task.name], pad).cpu() for task in model.tasks
    }


def predict_samples(model: Any, items: Sequence[Mapping[str, Any]]) -> list[MultiTaskSample]:
    """Predict items of a data set, ``dict(inputs, data_samples)``; returns their samples."""
    samples = []
    for item in items:
        sample = item['data_samples'].clone()
        sample.predictions = TaskMaps(predict(model, item['inputs']))
        samples.append(sample)
    return samples


def infer_files(
    model: Any, paths: Sequence[str | Path], out_dir: str | Path
) -> Iterator[tuple[Path, list[Path]]]:
    """Predict images and write what was predicted.

    Maps go to ``<out_dir>/<task>/<name>.png``, in the format that ``MultiTaskFolder`` reads as a
    label, and to ``<out_dir>/<task>_colour/``; image-level tasks to ``<out_dir>/categories.csv``,
    a line for each image. All images are checked before the first is predicted.

    Args:
        model: A ``MultiTaskModel`` in evaluation mode.
        paths: Image files of any sizes.
        out_dir: Folder to write to.

    Yields:
        For each image its path and the files that were written.

    Raises:
        FileNotFoundError: An image does not exist.
        ValueError: No images, an image that cannot be read, or two images of one name.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise ValueError('no images: name at least one')
    for path in paths:
        read_image(path)
    twice = [stem for stem, count in Counter(path.stem for path in paths).items() if count > 1]
    if twice:
        raise ValueError(f'two images are named {twice[0]}; their results would have one name')
    rows = []
    for path in paths:
        found = predict(model, read_image(path))
        written, row = [], {'image': path.name}
        for task in model.tasks:
            if task.kind.dense:
                written += _write_maps(task, found[task.name], Path(out_dir), path.stem)
                continue
            columns = task.kind.columns(found[task.name], task.draw)
            row |= {task.name + suffix: value for suffix, value in columns.items()}
        if len(row) > 1:
            rows.append(row)
        if rows and path == paths[-1]:
            written.append(_write_table(rows, Path(out_dir) / TABLE))
        yield path, written


def _write_maps(task: Task, prediction: Tensor, out_dir: Path, stem: str) -> list[Path]:
    """Write a map as a label file and as a picture; returns both files."""
    written = []
    for folder, pixels in (
        (task.name, task.kind.to_file(prediction)),
        (f'{task.name}_colour', task.kind.colours(prediction, task.draw)),
    ):
        target = out_dir / folder / f'{stem}.png'
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as part:
            Image.fromarray(pixels).save(part, format='PNG')
        written.append(target)
    return written


def _write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write the image-level predictions of all images."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
    return path
