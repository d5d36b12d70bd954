"""Grids of codes: the values that each position may take, and positions by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .codes import IS_COUNT

RECORDED_CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128)
_EVERY = tuple(range(8, 129, 8))

GRIDS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    'full': {'stem': _EVERY, 'channels': _EVERY, 'counts': (1, 2, 3, 4)},
    'coarse': {
        'stem': (16, 32, 48, 64),
        'channels': tuple(range(16, 129, 16)),
        'counts': (1, 2, 3, 4),
    },
    'fine': {'stem': (8, 16, 24, 32), 'channels': tuple(range(8, 65, 8)), 'counts': (1, 2)},
    'recorded': {
        'stem': (8, 16, 24, 32, 48, 64),
        'channels': RECORDED_CHANNELS,
        'counts': (1, 2, 3, 4),
    },
}
"""Values that a position may take. ``coarse`` and ``fine`` are the two grids that the records of
the benchmark were drawn from, ``recorded`` the values that occur there in number, ``full`` all."""


def grid_values(grid: str) -> list[np.ndarray]:
    """Ascending values of each of the 27 positions.

    Raises:
        ValueError: Unknown grid.
    """
    if grid not in GRIDS:
        raise ValueError(f'grid {grid!r}, choose from {list(GRIDS)}')
    kinds = ['counts' if c else 'stem' if p < 2 else 'channels' for p, c in enumerate(IS_COUNT)]
    return [np.array(GRIDS[grid][kind]) for kind in kinds]


def resolve_positions(patterns: Iterable[str | int], names: Sequence[str]) -> np.ndarray:
    """Indices of the positions that the patterns name.

    Args:
        patterns: Indices, or position names with ``*`` as in ``stage*.units``; a name stands for
            all below it.
        names: Names of the positions of the space.

    Raises:
        ValueError: A pattern that matches nothing.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        if isinstance(pattern, int):
            found = [pattern] if 0 <= pattern < len(names) else []
        else:
            rule = re.escape(pattern).replace(r'\*', '.*')
            found = [i for i, name in enumerate(names) if re.fullmatch(rf'{rule}(\..*)?', name)]
        if not found:
            raise ValueError(
                f'position {pattern!r} matches nothing; positions are 0..{len(names) - 1} or '
                f'names such as {names[0]!r}, {names[-1]!r}'
            )
        chosen.update(found)
    return np.array(sorted(chosen), dtype=np.int64)
