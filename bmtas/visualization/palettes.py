"""Colours of tasks and of the drawing itself."""

from __future__ import annotations

INK, FAINT, RED = '#22303c', '#8a97a3', '#cc3311'

_TASKS = (
    '#4477aa',
    '#ee6677',
    '#228833',
    '#ccbb44',
    '#aa3377',
    '#66ccee',
    '#ee8866',
    '#44bb99',
    '#77507f',
    '#999933',
    '#8b5a2b',
    '#9bd14b',
)


def task_colours(count: int) -> list[str]:
    """One colour for each task, as hexadecimal text; they repeat after twelve."""
    return [_TASKS[i % len(_TASKS)] for i in range(count)]
