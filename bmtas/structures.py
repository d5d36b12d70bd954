"""What travels between the rooms: the task entry and the data sample."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mmengine.structures import BaseDataElement

IGNORE = 255
"""Value of ignored pixels in label maps of kind ``classes`` and ``mask``."""

KINDS: Mapping[str, str] = {
    'classes': f'integer class ids (H, W), {IGNORE} ignored',
    'mask': f'0 or 1 (H, W), {IGNORE} ignored',
    'depth': 'metric depth (H, W) > 0, 0 invalid',
    'normals': 'unit vectors (3, H, W), x right, y down, z forward; all zeros invalid',
}
"""What a label map can be. Resizing, flipping, activation and drawing follow the kind."""


@dataclass(frozen=True)
class Task:
    """One entry of the task table: all that any part of the program knows about a task.

    Args:
        name: Name of the task, the key of its predictions, losses (``loss_<name>``) and metrics.
        kind: One of ``KINDS``.
        channels: Output channels of the head.
        loss: Config of the loss (registry MODELS).
        metric: Config of the metric (registry METRICS), without ``task`` and ``channels``.
        score: Key of the metric's results that enters Delta_m and the reports, e.g. ``mIoU``.
        weight: Factor of the loss in the sum over tasks.
        higher_is_better: Direction of ``score``.
        label: Key of the label map in the data set; the task's name by default.
        draw: Options of the picture of this task, e.g. ``dict(names=[...], palette='voc')``.

    Raises:
        ValueError: Unknown kind or key, or a value out of range; the message names the task.
    """

    name: str
    kind: str
    channels: int
    loss: Mapping[str, Any]
    metric: Mapping[str, Any]
    score: str
    weight: float = 1.0
    higher_is_better: bool = True
    label: str = ''
    draw: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f'task name {self.name!r} is not an identifier')
        if self.kind not in KINDS:
            raise ValueError(
                f'task {self.name!r}: unknown kind {self.kind!r}, choose from {sorted(KINDS)}'
            )
        if self.channels < 1:
            raise ValueError(f'task {self.name!r}: channels must be positive, got {self.channels}')
        if self.kind == 'normals' and self.channels != 3:
            raise ValueError(f'task {self.name!r}: normals have 3 channels, got {self.channels}')
        if not self.label:
            object.__setattr__(self, 'label', self.name)

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any] | Task) -> Task:
        """Build a task from one entry of the config's ``tasks`` list."""
        if isinstance(cfg, Task):
            return cfg
        known = [f.name for f in fields(cls)]
        for key in cfg:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f'; did you mean {near[0]!r}?' if near else f'; known keys: {known}'
                raise ValueError(f'tasks: {cfg.get("name", "?")!r} has unknown key {key!r}{hint}')
        missing = [
            key for key in ('name', 'kind', 'channels', 'loss', 'metric', 'score') if key not in cfg
        ]
        if missing:
            raise ValueError(f'tasks: entry {cfg.get("name", "?")!r} lacks {", ".join(missing)}')
        return cls(**cfg)


def build_tasks(cfgs: Iterable[Mapping[str, Any] | Task]) -> tuple[Task, ...]:
    """Build the task table; names must be distinct.

    Raises:
        ValueError: Empty table, repeated name or a faulty entry.
    """
    tasks = tuple(Task.from_cfg(cfg) for cfg in cfgs)
    if not tasks:
        raise ValueError('tasks: the table is empty, at least one task is needed')
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'tasks: {name!r} is listed {names.count(name)} times')
    return tasks


class TaskMaps(BaseDataElement):
    """Tensors by name, e.g. ``maps['semseg']``; missing names are tasks without a label."""

    def __init__(self, maps: Mapping[str, Any] | None = None) -> None:
        super().__init__(**dict(maps or {}))

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f'no map {name!r}, there are {list(self.keys())}')
        return getattr(self, name)


class MultiTaskSample(BaseDataElement):
    """One image's labels and predictions.

    Fields:
        labels (TaskMaps): by label key, tensors as described in ``KINDS``
            (classes and mask int64, depth and normals float32).
        predictions (TaskMaps): by task name, what ``MultiTaskModel.predict`` made of the logits:
            classes (H, W) int64, mask probability (H, W) in [0, 1], depth (H, W),
            normals (3, H, W) unit vectors.

    Metainfo: ``img_id``, ``img_path`` (or None), ``ori_shape`` (H, W) before the pipeline,
    ``img_shape`` (H, W) after it, ``pad`` (top, bottom, left, right) pixels added at test time,
    ``predict_at`` (H, W) of the labels where the image alone was resized.
    """


def crop_padding(array: Any, pad: tuple[int, int, int, int] | None) -> Any:
    """Cut ``pad`` = (top, bottom, left, right) off the last two dimensions of a map (..., H, W)."""
    if not pad or not any(pad):
        return array
    top, bottom, left, right = pad
    height, width = array.shape[-2:]
    return array[..., top : height - bottom, left : width - right]
