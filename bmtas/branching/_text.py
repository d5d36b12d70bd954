"""A branching tree as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_text(routes: np.ndarray, tasks: Sequence[str], layers: Sequence[str] | None) -> str:
    """Draw a tree with box characters; consecutive layers with the same group are one line.

    Args:
        routes: Canonical (L, T).
        tasks: T names.
        layers: L names; numbers if None.
    """
    names = layers or [str(layer) for layer in range(len(routes))]
    lines = ['stem']

    def draw(members: Sequence[int], layer: int, indent: str) -> None:
        children = split_group(routes, members, layer) if layer < len(routes) else []
        for child in children:
            last = layer
            while last + 1 < len(routes) and len(split_group(routes, child, last + 1)) == 1:
                last += 1
            corner, bar = ('└─ ', '   ') if child is children[-1] else ('├─ ', '│  ')
            span = names[layer] if last == layer else f'{names[layer]} - {names[last]}'
            lines.append(f'{indent}{corner}{span}: {", ".join(tasks[t] for t in child)}')
            draw(child, last + 1, indent + bar)

    draw(range(len(tasks)), 0, '')
    return '\n'.join(lines)


def split_group(routes: np.ndarray, members: Sequence[int], layer: int) -> list[tuple[int, ...]]:
    """The groups into which ``members`` (tasks that share the layer before) fall in ``layer``."""
    groups: dict[int, list[int]] = {}
    for task in members:
        groups.setdefault(int(routes[layer, task]), []).append(task)
    return [tuple(group) for group in groups.values()]
