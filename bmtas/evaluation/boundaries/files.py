"""Boundary maps and ground truths on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from bmtas.mat_files import load_mat
from bmtas.thinning import thin

TRUTH_KINDS = ('lines', 'segmentation')
"""What a ground truth file holds: drawn boundaries, or regions whose boundaries are meant."""


def read_prediction(path: Path) -> np.ndarray:
    """Boundary probabilities (H, W) in [0, 1] from a grey PNG of 8 or 16 bits.

    A palette of greys counts as grey, and a map that holds 0 and 1 only as one of two values.

    Raises:
        ValueError: Unreadable, or not a grey image; the message names the file.
    """
    image = read_image(path)
    if image.dtype == bool or image.max(initial=0) <= 1:
        return image.astype(float)
    return image / np.iinfo(image.dtype).max


def read_truths(path: Path, kind: str = 'lines') -> list[np.ndarray]:
    """Ground truths of all annotators, (H, W) bool each.

    ``.mat`` with ``groundTruth`` (BSDS500): the annotators' ``Boundaries`` as they are for
    ``lines``, the thinned boundaries of their ``Segmentation`` for ``segmentation``. ``.mat`` with
    ``LabelMap`` (PASCAL-Context): thinned boundaries of the regions. Images: pixels above 0 are
    boundary, thinned, for ``lines``; values are region numbers for ``segmentation``.

    Raises:
        ValueError: Unreadable file or missing key; the message names both.
    """
    if path.suffix == '.mat':
        content = load_mat(path)
        if 'groundTruth' in content:
            return _annotators(path, content['groundTruth'], kind)
        if 'LabelMap' in content:
            return [thin(region_boundaries(_map(path, content['LabelMap'])))]
        keys = sorted(key for key in content if not key.startswith('__'))
        raise ValueError(f"{path}: has neither 'groundTruth' nor 'LabelMap' but {keys}")
    image = read_image(path, indices=kind == 'segmentation')
    return [thin(image > 0 if kind == 'lines' else region_boundaries(image))]


def region_boundaries(regions: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool that differ from their right, lower or lower right neighbour.

    Neighbours outside the image count as equal (``seg2bmap`` of the Berkeley benchmark).
    """
    padded = np.pad(regions, ((0, 1), (0, 1)), mode='edge')
    here = padded[:-1, :-1]
    boundary = (here != padded[:-1, 1:]) | (here != padded[1:, :-1])
    # the last row and column have no diagonal neighbour of their own
    boundary[:-1, :-1] |= regions[:-1, :-1] != regions[1:, 1:]
    return boundary


def read_image(path: Path, indices: bool = False) -> np.ndarray:
    """Grey image (H, W), bool or unsigned integer of 8 or 16 bits.

    Args:
        path: The file.
        indices: Keep the numbers of a palette; else its colours count, which must be greys.
    """
    try:
        with Image.open(path) as opened:
            image = np.asarray(opened.convert('RGB') if opened.mode == 'P' else opened)
            if opened.mode == 'P' and indices:
                image = np.asarray(opened)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f'{path}: cannot be read as an image ({error})') from None
    if image.ndim == 3 and image.shape[2] == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    if image.dtype == np.int32 and image.min() >= 0 and image.max() < 2**16:
        image = image.astype(np.uint16)
    if image.ndim != 2 or image.dtype not in (bool, np.uint8, np.uint16):
        raise ValueError(
            f'{path}: expected a grey image of 8 or 16 bits, got {image.dtype} '
            f'of shape {image.shape} ({opened.mode}); save it as grey'
        )
    return image


def _annotators(path: Path, cells: np.ndarray, kind: str) -> list[np.ndarray]:
    field = 'Boundaries' if kind == 'lines' else 'Segmentation'
    maps = []
    for cell in cells.ravel():
        if field not in (cell.dtype.names or ()):
            raise ValueError(f"{path}: an annotator of 'groundTruth' lacks the field {field!r}")
        values = _map(path, cell[field][0, 0])
        maps.append(values > 0 if kind == 'lines' else thin(region_boundaries(values)))
    if not maps:
        raise ValueError(f"{path}: 'groundTruth' has no annotator")
    return maps


def _map(path: Path, values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.dtype.kind not in 'buif' or not values.size:
        raise ValueError(f'{path}: {values.dtype} of shape {values.shape} is no map of numbers')
    return values
