"""The score of a predictor that gives every image the same answer: what learning must beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bmtas.evaluation.base import TaskMetric
from bmtas.registry import METRICS
from bmtas.structures import IGNORE, MultiTaskSample, Task, TaskMaps


class ConstantPredictor:
    """For each task the best constant prediction, fitted on labels.

    classes: the most frequent class. depth: the mean depth, which minimises the RMSE. normals:
    the direction of the mean vector, which minimises the mean squared chord. mask: all foreground
    or all background, whichever scores better by the task's own metric on the fitted labels; at
    any threshold every other constant equals one of the two.

    Args:
        constants: By task name a scalar tensor, or a vector (3,) for normals.
    """

    def __init__(self, constants: Mapping[str, Tensor]) -> None:
        self.constants = dict(constants)

    @classmethod
    def fit(
        cls, tasks: Sequence[Task], dataset: Dataset, max_images: int | None = None
    ) -> ConstantPredictor:
        """Fit to the labels of (the first ``max_images`` images of) a data set.

        Raises:
            ValueError: No image holds a labelled pixel of some task.
        """
        sums: dict[str, Tensor] = {}
        masks = [task for task in tasks if task.kind == 'mask']
        trials = [_Trial(masks, value) for value in (0.0, 1.0)]
        for labels in iterate_labels(dataset, max_images):
            for task in tasks:
                if task.label in labels:
                    value = label_sums(task, labels[task.label])
                    sums[task.name] = sums[task.name] + value if task.name in sums else value
            for trial in trials:
                trial.add(labels)
        for task in tasks:
            if task.name not in sums or not sums[task.name].any():
                raise ValueError(f'constant predictor: no label {task.label!r} to fit to')
        constants = {task.name: fitted_constant(task, sums[task.name]) for task in tasks}
        background, foreground = (trial.results() for trial in trials)
        for task in masks:
            gain = foreground[task.name][task.score] - background[task.name][task.score]
            if gain != 0:
                constants[task.name] = torch.tensor(float((gain > 0) == task.higher_is_better))
        return cls(constants)

    def predict(self, task: Task, target: Tensor) -> Tensor:
        """The constant at the shape of a label map, (H, W) or (3, H, W)."""
        constant = self.constants[task.name]
        if task.kind == 'normals':
            return constant[:, None, None].expand(target.shape)
        return constant.expand(target.shape)

    def evaluate(
        self, tasks: Sequence[Task], dataset: Dataset, max_images: int | None = None
    ) -> dict[str, dict[str, float]]:
        """Metrics of every task on a data set: task name -> metric key -> value."""
        trial = _Trial(tasks, self)
        for labels in iterate_labels(dataset, max_images):
            trial.add(labels)
        return trial.results()


class _Trial:
    """The metrics of some tasks, fed with one constant predictor (or one constant for all)."""

    def __init__(self, tasks: Sequence[Task], constant: ConstantPredictor | float) -> None:
        if isinstance(constant, float):
            constant = ConstantPredictor({task.name: torch.tensor(constant) for task in tasks})
        self.predictor = constant
        self.tasks = tasks
        self.metrics = {task.name: build_metric(task) for task in tasks}
        self.size = 0

    def add(self, labels: TaskMaps) -> None:
        self.size += 1
        for task in self.tasks:
            if task.label in labels:
                prediction = self.predictor.predict(task, labels[task.label])
                sample = {'labels': labels, 'predictions': {task.name: prediction}}
                self.metrics[task.name].process(None, [sample])

    def results(self) -> dict[str, dict[str, float]]:
        return {name: metric.local_results(self.size) for name, metric in self.metrics.items()}


def constant_scores(
    tasks: Sequence[Task],
    train_dataset: Dataset,
    test_dataset: Dataset,
    max_images: int | None = None,
) -> dict[str, float]:
    """Score of each task for the best constants of the training labels, on the test labels.

    Args:
        tasks: The task table.
        train_dataset, test_dataset: Data sets whose items hold ``data_samples``.
        max_images: Use at most that many images of each.

    Returns:
        Task name -> value of the task's ``score``.
    """
    predictor = ConstantPredictor.fit(tasks, train_dataset, max_images)
    found = predictor.evaluate(tasks, test_dataset, max_images)
    return {task.name: found[task.name][task.score] for task in tasks}


def build_metric(task: Task) -> TaskMetric:
    """The metric of a task table's entry."""
    cfg = {'label': task.label, **task.metric, 'task': task.name, 'channels': task.channels}
    return METRICS.build(cfg)


def iterate_labels(dataset: Dataset, max_images: int | None) -> Iterator[TaskMaps]:
    """Labels of the first images of a data set."""
    size = len(dataset) if max_images is None else min(max_images, len(dataset))
    samples: Iterable[MultiTaskSample] = (dataset[i]['data_samples'] for i in range(size))
    for sample in samples:
        yield sample.labels


def label_sums(task: Task, target: Tensor) -> Tensor:
    """Sums from which the constant of a task follows; all zero without a labelled pixel.

    Pixels by class (channels,) for classes, background and foreground pixels (2,) for mask,
    (sum, pixels) for depth, (sum x, y, z, pixels) for normals; float64.
    """
    if task.kind in ('classes', 'mask'):
        length = task.channels if task.kind == 'classes' else 2
        return torch.bincount(target[target != IGNORE].long(), minlength=length).double()
    if task.kind == 'normals':
        valid = (target != 0).any(0)
        return torch.cat([target[:, valid].double().sum(1), valid.sum()[None]])
    valid = target > 0
    return torch.stack([target[valid].double().sum(), valid.sum()])


def fitted_constant(task: Task, sums: Tensor) -> Tensor:
    """The constant of a task from the sums of its labels; the more frequent value for a mask."""
    if task.kind == 'classes':
        return sums.argmax()
    if task.kind == 'mask':
        return sums.argmax().float()
    mean = (sums[:-1] / sums[-1]).float()
    return torch.nn.functional.normalize(mean, dim=0) if task.kind == 'normals' else mean[0]
