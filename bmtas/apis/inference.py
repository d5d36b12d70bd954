"""Run a trained network on images of any size and write what it predicts."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from bmtas.apis.sources import Source, Video, VideoFile, find_sources
from bmtas.datasets import read_image
from bmtas.files import atomic_path, make_folder, write_json, write_text
from bmtas.tasks import Task
from bmtas.visualization import overlay, side_by_side

TABLE, SHEET = 'categories.csv', 'side_by_side'
LEAST = 32
"""Smaller images are padded to this size: a network needs a few pixels at its coarsest stride."""


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


def infer_files(
    model: Any,
    sources: Sequence[str | Path],
    out_dir: str | Path,
    overlays: bool = False,
    beside: bool = False,
) -> Iterator[Path]:
    """Predict images and videos and write what was predicted.

    For an image, maps go to ``<out_dir>/<task>/<name>.png``, in the format that ``MultiTaskFolder``
    reads as a label, and as colours to ``<out_dir>/<task>_colour/``; for a video, colours to
    ``<out_dir>/<task>_colour/<name>.mp4``. Image-level tasks go to ``<out_dir>/categories.csv``
    and ``categories.json``, an entry for each image or frame. All images are checked before the
    first is predicted.

    Args:
        model: A ``MultiTaskModel`` in evaluation mode.
        sources: Files, folders and patterns, see ``find_sources``.
        out_dir: Folder to write to.
        overlays: Also colours on the photo, ``<task>_overlay``.
        beside: Also photo and colours of all tasks in a row, ``side_by_side``.

    Yields:
        The path after each image or frame.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: No images, one that cannot be read, or two of one name.
    """
    found = find_sources(sources)
    for source in found:
        Video.of(source.path) if source.is_video else read_image(source.path)
    table = _Table(model.tasks)
    for source in found:
        frames = _video(source, Path(out_dir)) if source.is_video else _image(source, Path(out_dir))
        for name, image, write in frames:
            predictions = predict(model, image)
            table.add(name, predictions)
            pictures = _pictures(model.tasks, image, predictions, overlays, beside)
            for folder, pixels in pictures.items():
                write(folder, pixels)
            yield source.path
    table.write(Path(out_dir))


Write = Callable[[str, np.ndarray], None]


def _image(source: Source, out_dir: Path) -> Iterator[tuple[str, np.ndarray, Write]]:
    """The image, and what puts a picture of it into a folder."""

    def write(folder: str, pixels: np.ndarray) -> None:
        target = out_dir / folder / f'{source.name}.png'
        make_folder(target.parent)
        with atomic_path(target) as part:
            Image.fromarray(pixels).save(part, format='PNG')

    yield source.name, read_image(source.path), write


def _video(source: Source, out_dir: Path) -> Iterator[tuple[str, np.ndarray, Write]]:
    """The frames, and what adds a picture of them to a video in a folder; no label files."""
    video = Video.of(source.path)
    files: dict[str, VideoFile] = {}
    with ExitStack() as stack:

        def write(folder: str, pixels: np.ndarray) -> None:
            if pixels.ndim != 3 or not folder.endswith(('_colour', '_overlay', SHEET)):
                return
            if folder not in files:
                target = out_dir / folder / f'{source.name}.mp4'
                make_folder(target.parent)
                files[folder] = VideoFile(stack.enter_context(atomic_path(target)), video.fps)
                stack.callback(files[folder].close)
            files[folder].write(pixels)

        for number, frame in enumerate(video.frames()):
            yield f'{source.name}:{number}', frame, write


def _pictures(
    tasks: Sequence[Task],
    image: np.ndarray,
    predictions: Mapping[str, Tensor],
    overlays: bool,
    beside: bool,
) -> dict[str, np.ndarray]:
    """Pixels by the folder that they belong to."""
    found = {}
    for task in tasks:
        prediction = predictions[task.name]
        if task.kind.dense:
            found[task.name] = task.kind.to_file(prediction)
            found[f'{task.name}_colour'] = task.kind.colours(prediction, task.draw)
        if overlays:
            found[f'{task.name}_overlay'] = overlay(image, prediction, task)
    if beside:
        found[SHEET] = side_by_side(image, predictions, tasks)
    return found


class _Table:
    """Image-level predictions of all images, as CSV and as JSON with every probability."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = [task for task in tasks if not task.kind.dense]
        self.rows: list[dict[str, Any]] = []
        self.entries: list[dict[str, Any]] = []

    def add(self, name: str, predictions: Mapping[str, Tensor]) -> None:
        row, entry = {'image': name}, {'image': name}
        for task in self.tasks:
            values = predictions[task.name]
            columns = task.kind.columns(values, task.draw)
            row |= {task.name + suffix: value for suffix, value in columns.items()}
            named = {suffix.lstrip('_') or 'label': value for suffix, value in columns.items()}
            entry[task.name] = dict(named, prediction=values.tolist())
        self.rows.append(row)
        self.entries.append(entry)

    def write(self, out_dir: Path) -> None:
        if not self.tasks:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(self.rows)
        make_folder(out_dir)
        write_text(out_dir / TABLE, text.getvalue())
        write_json(out_dir / TABLE.replace('.csv', '.json'), self.entries)
