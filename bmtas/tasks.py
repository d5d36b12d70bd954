"""The task table, and the sample that travels with an image."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mmengine.structures import BaseDataElement
from torch import nn

from bmtas.files import nearest
from bmtas.kinds import Kind, build_kind, check_suits
from bmtas.registry import METRICS
from bmtas.typed import check_value, hints_of

_RESERVED = frozenset(dir(nn.ModuleDict()))


@dataclass(frozen=True)
class Task:
    """One entry of the task table: all that any part of the program knows about a task.

    Args:
        name: Name of the task, the key of its predictions, losses (``loss_<name>``) and metrics.
        kind: What its label is; in a config the kind's name, its options beside it.
        loss: Config of the loss (registry MODELS), by default that of the kind.
        metric: Config of the metric (registry METRICS), by default that of the kind.
        score: Key of the metric's results that enters Delta_m and the reports; the first one by
            default.
        weight: Factor of the loss in the sum over tasks.
        label: Key of the label in the data set; the task's name by default.
        head: Options of its head where they differ from the model's; another ``type`` replaces it.
        draw: Options of the picture of this task, e.g. ``dict(names=[...], palette='voc')``.

    Raises:
        ValueError: Unknown kind, key, metric or score, or a value out of range; the message names
            the task.
    """

    name: str
    kind: Kind
    loss: Mapping[str, Any] = field(default_factory=dict)
    metric: Mapping[str, Any] = field(default_factory=dict)
    score: str = ''
    weight: float = 1.0
    label: str = ''
    head: Mapping[str, Any] = field(default_factory=dict)
    draw: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f'task name {self.name!r} is not an identifier')
        if self.name in _RESERVED:
            raise ValueError(
                f'task name {self.name!r} is taken by a method of torch; choose another one and '
                f'set label={self.name!r}'
            )
        where = f'task {self.name!r}'
        weight = self.weight
        if (
            isinstance(weight, bool)
            or not isinstance(weight, (int, float))
            or not 0 <= weight < math.inf
        ):
            raise ValueError(
                f'{where}: weight must be a finite number of at least 0, got {weight!r}'
            )
        self._set('kind', build_kind(self.kind, where))
        self._set('label', self.label or self.name)
        for key in ('loss', 'metric'):
            value = getattr(self, key) or getattr(self.kind, key)
            if not isinstance(value, Mapping) or 'type' not in value:
                raise ValueError(f'{where}: {key} must be a dict with the key type, got {value!r}')
            self._set(key, dict(value))
        self._set('score', self.score or next(iter(self.scores), ''))
        if self.score not in self.scores:
            known = nearest(self.score, self.scores)
            metric = self.metric['type']
            raise ValueError(f'{where}: {metric} gives no score {self.score!r}; {known}')

    def _set(self, key: str, value: Any) -> None:
        object.__setattr__(self, key, value)

    @property
    def scores(self) -> Mapping[str, bool]:
        """Names of the scores of its metric -> whether higher is better."""
        name = self.metric['type']
        metric = METRICS.get(name) if isinstance(name, str) else name
        if metric is None:
            METRICS.import_from_location()
            known = nearest(name, METRICS.module_dict)
            raise ValueError(f'task {self.name!r}: there is no metric {name!r}; {known}')
        if not getattr(metric, 'scores', None):
            raise ValueError(f'task {self.name!r}: {name} names no scores, derive it of TaskMetric')
        check_suits(metric, self.kind, f'task {self.name!r}: ')
        return metric.scores

    @property
    def channels(self) -> int:
        """Output channels of the head."""
        return self.kind.channels

    @property
    def higher_is_better(self) -> bool:
        """Direction of ``score``."""
        return self.scores[self.score]

    def head_config(self, head: Mapping[str, Any] | None) -> dict[str, Any]:
        """Config of this task's head: the model's, changed by the kind and by the task."""
        merged = dict(head or {})
        for change in (self.kind.head, self.head):
            replaced = 'type' in change and change['type'] != merged.get('type')
            merged = dict(change) if replaced else {**merged, **change}
        if 'type' not in merged:
            raise ValueError(f'model.head: missing, task {self.name!r} needs one')
        return merged

    def metric_config(self) -> dict[str, Any]:
        """Complete config of this task's metric."""
        return {
            'label': self.label,
            **self.metric,
            'task': self.name,
            'kind': self.kind.config(),
        }

    @classmethod
    def from_cfg(cls, name: str, cfg: Mapping[str, Any] | Task, names: Iterable[str] = ()) -> Task:
        """Build a task from one entry of the config's ``tasks``; ``names`` are those of all."""
        if not isinstance(cfg, (Task, Mapping)):
            raise ValueError(f'tasks.{name}: must be a dict, got {cfg!r}')
        told = cfg.name if isinstance(cfg, Task) else cfg.get('name', name)
        if told != name:
            raise ValueError(f'tasks.{name}: its name is {told!r}; use one of the two')
        if isinstance(cfg, Task):
            return cfg
        if 'kind' not in cfg:
            hint = nearest(name, set(names) - {name})
            raise ValueError(f'tasks: entry {name!r} has no kind; is it another task? {hint}')
        own = {f.name for f in fields(cls)} - {'name', 'kind'}
        options = {key: value for key, value in cfg.items() if key in own}
        hints = hints_of(cls)
        for key, value in options.items():
            check_value(value, hints[key], f'tasks.{name}.{key}')
        rest = {key: value for key, value in cfg.items() if key not in own | {'name', 'kind'}}
        kind = build_kind(cfg['kind'], f'tasks: {name!r}', own, rest)
        return cls(name=name, kind=kind, **options)


def build_tasks(entries: Any) -> tuple[Task, ...]:
    """Build the task table.

    Args:
        entries: Dict name -> entry, where None takes out a task that a base config brought; or a
            list of tasks and of entries with the key ``name``.

    Raises:
        ValueError: Empty table, repeated name or a faulty entry.
    """
    table = task_entries(entries)
    return tuple(Task.from_cfg(name, entry, table) for name, entry in table.items())


def task_entries(entries: Any) -> dict[str, Any]:
    """The entries of a task table by name, in order; see ``build_tasks``."""
    if not isinstance(entries, (Mapping, list, tuple)):
        raise ValueError(f'tasks: must be a dict by name (or a list), got {entries!r}')
    if isinstance(entries, Mapping):
        pairs = [(name, entry) for name, entry in entries.items() if entry is not None]
    else:
        pairs = [(_name_of(entry), entry) for entry in entries]
    if not pairs:
        raise ValueError('tasks: the table is empty, at least one task is needed')
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f'tasks: {name!r} is listed {count} times')
    return dict(pairs)


def _name_of(entry: Any) -> str:
    if isinstance(entry, Task):
        return entry.name
    if not isinstance(entry, Mapping) or not isinstance(entry.get('name'), str):
        raise ValueError(f'tasks: an entry of a list needs the key name, a text, got {entry!r}')
    return entry['name']


def label_kinds(tasks: Iterable[Task]) -> dict[str, dict[str, Any]]:
    """Label key -> config of its kind, as data sets are told.

    Raises:
        ValueError: Two tasks read one label as different kinds.
    """
    kinds: dict[str, Kind] = {}
    for task in tasks:
        if kinds.setdefault(task.label, task.kind) != task.kind:
            raise ValueError(
                f'tasks: label {task.label!r} is {kinds[task.label]} for one task and {task.kind} '
                'with other options for another'
            )
    return {label: kind.config() for label, kind in kinds.items()}


class TaskMaps(dict):
    """Tensors by name, of any names; a missing name is a task without a label or prediction."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f'no map {name!r}, there are {list(self)}')

    def to(self, *args: Any, **kwargs: Any) -> TaskMaps:
        """All tensors on another device or of another type."""
        return TaskMaps({name: value.to(*args, **kwargs) for name, value in self.items()})


class MultiTaskSample(BaseDataElement):
    """One image's labels and predictions.

    Fields:
        labels (TaskMaps): by label key, tensors as the label's kind describes them.
        predictions (TaskMaps): by task name, what the task's kind made of the logits.

    Metainfo: ``img_id``, ``img_path`` (or None), ``ori_shape`` (H, W) before the pipeline,
    ``img_shape`` (H, W) after it, ``pad`` (top, bottom, left, right) pixels added at test time,
    ``predict_at`` (H, W) of the labels where the image alone was resized.
    """
