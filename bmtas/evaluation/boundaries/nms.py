"""Non-maximum suppression of boundary probabilities across the boundary."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SMOOTHING = 4
"""Radius of the triangle filter before the orientation is measured."""
BORDER = 5
"""Width of the frame in which the map fades to zero."""
SLACK = 1.01
"""A pixel stays if this times its value reaches both neighbours."""


def suppress_non_maxima(probability: np.ndarray, smooth: int = 0) -> np.ndarray:
    """Set to zero what is no maximum along the normal of the boundary.

    The orientation comes from the second derivatives of the smoothed map; the unsmoothed map is
    compared with its bilinear values one pixel to either side. A frame of ``BORDER`` pixels fades
    linearly to zero (P. Dollar's structured edge toolbox, as used with SEISM).

    Args:
        probability: (H, W) in [0, 1].
        smooth: Radius of a triangle filter before everything else; HED's protocol takes 1.

    Returns:
        (H, W) float64, zero or the (smoothed) input's value (less in the frame).
    """
    probability = triangle_filter(np.asarray(probability, np.float64), smooth)
    angle = orientation(probability)
    rows, columns = np.mgrid[: probability.shape[0], : probability.shape[1]]
    keep = np.ones(probability.shape, bool)
    for side in (-1, 1):
        across = [rows + side * np.sin(angle), columns + side * np.cos(angle)]
        neighbour = ndimage.map_coordinates(probability, across, order=1, mode='nearest')
        keep &= SLACK * probability >= neighbour
    fade = [np.minimum(np.arange(size), np.arange(size)[::-1]) for size in probability.shape]
    fade = [np.minimum(steps / BORDER, 1) for steps in fade]
    return probability * keep * fade[0][:, None] * fade[1]


def triangle_filter(values: np.ndarray, radius: int) -> np.ndarray:
    """Convolve (H, W) with a triangle in both directions, mirrored at the borders."""
    rise = np.arange(1, radius + 2)
    triangle = np.concatenate([rise, rise[-2::-1]]) / (radius + 1) ** 2
    smooth = ndimage.convolve1d(values, triangle, axis=0, mode='reflect')
    return ndimage.convolve1d(smooth, triangle, axis=1, mode='reflect')


def orientation(probability: np.ndarray) -> np.ndarray:
    """Direction across the boundary at each pixel, radians in [0, pi), x right and y down.

    The formula of the published protocol, arctan of a ratio of second derivatives: right for
    multiples of 45 degrees, up to 12 degrees off between them.
    """
    smooth = triangle_filter(probability, SMOOTHING)
    if min(probability.shape) < 2:
        return np.zeros_like(probability)
    dy, dx = np.gradient(smooth)
    dxx = np.gradient(dx, axis=1)
    dyy, dxy = np.gradient(dy)
    side = np.where(dxy > 0, -1.0, 1.0)
    return np.mod(np.arctan(dyy * side / (dxx + 1e-5)), np.pi)
