"""Label maps and predictions as colours, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np

from bmtas.structures import IGNORE, Task

from .palettes import IGNORED, class_colours


def to_array(values: Any) -> np.ndarray:
    """A tensor or array as an array on the CPU."""
    if hasattr(values, 'detach'):
        values = values.detach().cpu().float() if values.is_floating_point() else values.cpu()
    return np.asarray(values)


def depth_range(maps: Sequence[Any]) -> tuple[float, float]:
    """Near and far end of a colour scale: 2nd and 98th percentile of all valid depths."""
    valid = [array[np.isfinite(array) & (array > 0)] for array in map(to_array, maps)]
    values = np.concatenate([v.ravel() for v in valid]) if valid else np.zeros(0)
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [2, 98])
    return float(low), float(max(high, low + 1e-6))


def colour_map(values: Any, task: Task, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Colours (H, W, 3) uint8 of one map; pixels without a label are grey.

    Classes by the task's palette (``draw=dict(palette=...)``), masks and probabilities from black
    to light, depth from near (light) to far (dark), normals (x, -y, -z) as red, green, blue: what
    faces the camera is bluish.

    Args:
        values: (H, W), or (3, H, W) for normals; array or tensor.
        task: The task that the map belongs to.
        limits: Depth range; that of the map by default.
    """
    values = to_array(values)
    if task.kind == 'normals':
        out = np.stack([values[0], -values[1], -values[2]], -1)
        out = np.round(127.5 + 127.5 * np.clip(out, -1, 1)).astype(np.uint8)
        invalid = ~(values != 0).any(0)
    elif task.kind == 'depth':
        low, high = limits or depth_range([values])
        scaled = np.clip((values - low) / (high - low), 0, 1)
        invalid = ~(np.isfinite(values) & (values > 0))
        out = _ramp('viridis_r', np.where(invalid, 0, scaled))
    elif task.kind == 'mask':
        invalid = values == IGNORE
        out = _ramp('magma', np.where(invalid, 0, values))
    else:
        invalid = (values == IGNORE) | (values < 0) | (values >= task.channels)
        colours = class_colours(task.channels, task.draw.get('palette', 'bmtas'))
        out = colours[np.where(invalid, 0, values).astype(int)]
    out[invalid] = IGNORED
    return out


def _ramp(name: str, values: np.ndarray) -> np.ndarray:
    return matplotlib.colormaps[name](values.astype(float), bytes=True)[..., :3].copy()
