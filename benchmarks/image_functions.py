#!/usr/bin/env python
"""Image functions of mmcv and torchvision against those that the transforms use.

    python benchmarks/image_functions.py

CPU time of one thread, best of seven rounds, as a multiple of what bmtas uses (1.0); and whether
the result is the same, value by value.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torchvision.transforms import v2

from bmtas.datasets import read_image
from bmtas.kinds import Classes, Normals, pad_array

SIZE = (750, 562)


def seconds(call: Callable) -> float:
    """CPU seconds of one call."""
    call()
    best = float('inf')
    for _ in range(7):
        start = time.process_time()
        for _ in range(10):
            call()
        best = min(best, (time.process_time() - start) / 10)
    return best


def planes(array: np.ndarray) -> torch.Tensor:
    """(H, W, C) to a contiguous tensor (C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def main() -> None:
    """Run the benchmark."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (38, 50, 3), dtype=np.uint8)
    img = cv2.resize(coarse, (500, 375), interpolation=cv2.INTER_CUBIC)
    ids = rng.integers(0, 21, (375, 500)).astype(np.uint8)
    normals = rng.normal(size=(375, 500, 3)).astype(np.float32)
    classes, vectors = Classes(21), Normals()
    pixels, field, labels = planes(img), planes(normals), torch.from_numpy(ids)[None]
    large, nearest = list(SIZE[::-1]), v2.InterpolationMode.NEAREST_EXACT
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'photo.jpg'
        Image.fromarray(img).save(path, quality=90)
        rows = {
            'read a JPEG': (
                lambda: read_image(path),
                dict(mmcv=lambda: mmcv.imread(path, channel_order='rgb')),
            ),
            'resize an image': (
                lambda: mmcv.imresize(img, SIZE),
                dict(v2=lambda: v2.functional.resize(pixels, large, antialias=False)),
            ),
            'resize class ids': (
                lambda: classes.resize(ids, SIZE[::-1]),
                dict(
                    mmcv=lambda: mmcv.imresize(ids, SIZE, interpolation='nearest'),
                    v2=lambda: v2.functional.resize(labels, large, nearest)[0],
                ),
            ),
            'resize normals': (
                lambda: vectors.resize(normals, SIZE[::-1]),
                dict(
                    mmcv=lambda: mmcv.imresize(normals, SIZE, interpolation='nearest'),
                    v2=lambda: v2.functional.resize(field, large, nearest),
                ),
            ),
            'flip an image': (
                lambda: cv2.flip(img, 1),
                dict(
                    mmcv=lambda: np.ascontiguousarray(mmcv.imflip(img)),
                    v2=lambda: v2.functional.horizontal_flip(pixels),
                ),
            ),
            'pad an image': (
                lambda: pad_array(img, (68, 69, 6, 6), 0),
                dict(v2=lambda: v2.functional.pad(pixels, [6, 68, 6, 69])),
            ),
        }
        table = Table('step', 'ms', 'mmcv', 'v2')
        for name, (own, others) in rows.items():
            base, expected = seconds(own), own()
            cells = []
            for library in ('mmcv', 'v2'):
                if library not in others:
                    cells.append('')
                    continue
                found = np.asarray(others[library]())
                found = found.transpose(1, 2, 0) if found.shape[0] == 3 else found
                same = 'same' if np.array_equal(found, expected) else 'other values'
                cells.append(f'{seconds(others[library]) / base:.2f} ({same})')
            table.add_row(name, f'{1e3 * base:.2f}', *cells)
        Console().print(table)


if __name__ == '__main__':
    main()
