"""What is shown of many tasks: the mean, the worst three and the best three."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MANY = 12
"""Up to this number of tasks, all are shown; files always hold all."""
EDGE = 3


@dataclass(frozen=True)
class Line:
    """One line of a table of scores: a task, or the mean of some.

    Args:
        title: Name of the task, or e.g. 'mean of 40'.
        tasks: The tasks whose mean it shows; one where it is a task.
        score: Name of the score.
        higher: Whether more is better.
        rank: '', 'mean', 'worst' or 'best'.
    """

    title: str
    tasks: tuple[str, ...]
    score: str
    higher: bool
    rank: str = ''

    @property
    def label(self) -> str:
        """The title behind its rank: ``worst hat``."""
        return f'{self.rank} {self.title}' if self.rank in ('worst', 'best') else self.title

    def value(self, scores: Mapping[str, Any]) -> float | None:
        """The value of this line from scores by task; None where nothing is known."""
        return mean_of([scores.get(task) for task in self.tasks])


def mean_of(values: Iterable[float | None]) -> float | None:
    """Mean of the numbers that are known and finite; None without any."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known else None


def digest(
    scores: Mapping[str, float | None],
    score_names: Mapping[str, str],
    higher_is_better: Mapping[str, bool],
) -> list[Line]:
    """The lines that show the scores of tasks.

    Up to ``MANY`` tasks have a line each. Of more tasks, those of one score and direction are
    summed up: their mean, the worst three, the best three; scores of which there are only a few
    keep a line for each task.

    Args:
        scores: Score by task; None or NaN where a task had no label.
        score_names: Name of the score by task.
        higher_is_better: Direction by task.
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    for task in scores:
        groups.setdefault((score_names[task], higher_is_better[task]), []).append(task)
    lines = []
    for (score, higher), tasks in groups.items():
        if len(scores) <= MANY or len(tasks) <= 2 * EDGE + 1:
            lines += [Line(task, (task,), score, higher) for task in tasks]
            continue
        lines.append(Line(f'mean of {len(tasks)}', tuple(tasks), score, higher, 'mean'))
        worst, best = extremes({task: scores[task] for task in tasks}, higher)
        for rank, names in (('worst', worst), ('best', best)):
            lines += [Line(name, (name,), score, higher, rank) for name in names]
    if len(scores) <= MANY:
        order = {task: number for number, task in enumerate(scores)}
        lines.sort(key=lambda line: order[line.title])
    return lines


def extremes(
    values: Mapping[str, float | None], higher: bool, count: int = EDGE
) -> tuple[list[str], list[str]]:
    """Names of the worst values, worst first, and of the best, best first; unknown ones are out."""
    known = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
    order = sorted(known, key=lambda name: known[name] if higher else -known[name])
    return order[:count], order[::-1][:count]


def shown_tasks(lines: Sequence[Line]) -> list[str]:
    """The single tasks among some lines, each once."""
    return list(dict.fromkeys(line.tasks[0] for line in lines if line.rank != 'mean'))
