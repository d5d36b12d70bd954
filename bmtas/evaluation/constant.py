"""The score of a predictor that gives every image the same answer: what learning must beat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor
from torch.utils.data import Dataset

from bmtas.evaluation.base import TaskMetric
from bmtas.registry import METRICS
from bmtas.tasks import Task, TaskMaps


class ConstantPredictor:
    """For each task the best constant prediction, fitted on labels.

    Each kind says which constants may be the best (``Kind.constants``); where there are several,
    as for masks all foreground and all background, the one that scores best by the task's own
    metric on the fitted labels is taken, the likeliest of equal ones.

    Args:
        constants: By task name a tensor as the task's kind gives it.
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
        for labels in iterate_labels(dataset, max_images):
            for task in tasks:
                if task.label in labels:
                    value = task.kind.label_sums(labels[task.label])
                    sums[task.name] = sums[task.name] + value if task.name in sums else value
        for task in tasks:
            if task.name not in sums or not sums[task.name].any():
                raise ValueError(f'constant predictor: no label {task.label!r} to fit to')
        found = {task.name: task.kind.constants(sums[task.name]) for task in tasks}
        best = {name: candidates[0] for name, candidates in found.items()}
        open_tasks = [task for task in tasks if len(found[task.name]) > 1]
        if open_tasks:
            best |= _choose(open_tasks, found, dataset, max_images)
        return cls(best)

    def predict(self, task: Task, target: Tensor) -> Tensor:
        """The constant as a prediction for an image with this label."""
        return task.kind.expand(self.constants[task.name], target)

    def evaluate(
        self, tasks: Sequence[Task], dataset: Dataset, max_images: int | None = None
    ) -> dict[str, dict[str, float]]:
        """Metrics of every task on a data set: task name -> metric key -> value."""
        trial = _Trial(tasks, self)
        for labels in iterate_labels(dataset, max_images):
            trial.add(labels)
        return trial.results()


class _Trial:
    """The metrics of some tasks, fed with one constant predictor."""

    def __init__(self, tasks: Sequence[Task], constant: ConstantPredictor) -> None:
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


def _choose(
    tasks: Sequence[Task],
    found: Mapping[str, Sequence[Tensor]],
    dataset: Dataset,
    max_images: int | None,
) -> dict[str, Tensor]:
    """Of several constants the one with the best score on the labels, by task name."""
    most = max(len(found[task.name]) for task in tasks)
    trials = [
        _Trial(
            [task for task in tasks if len(found[task.name]) > rank],
            ConstantPredictor({name: c[min(rank, len(c) - 1)] for name, c in found.items()}),
        )
        for rank in range(most)
    ]
    for labels in iterate_labels(dataset, max_images):
        for trial in trials:
            trial.add(labels)
    results = [trial.results() for trial in trials]
    best = {}
    for task in tasks:
        sign = 1 if task.higher_is_better else -1
        values = [sign * result[task.name][task.score] for result in results if task.name in result]
        ranks = [rank for rank, value in enumerate(values) if not math.isnan(value)]
        best[task.name] = found[task.name][max(ranks, key=values.__getitem__, default=0)]
    return best


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
    return METRICS.build(task.metric_config())


def iterate_labels(dataset: Dataset, max_images: int | None) -> Iterator[TaskMaps]:
    """Labels of the first images of a data set."""
    size = len(dataset) if max_images is None else min(max_images, len(dataset))
    for index in range(size):
        yield dataset[index]['data_samples'].labels
