"""Masks: which channels of a layer each task uses, and what they have in common. Plain numpy.

A mask is a bool array (T, C): row t marks the channels that task t keeps. It is a function of
(seed, name of the layer, scheme), so every process and every resumed run draws the same.

Strezoski, van Noord, Worring, "Many Task Learning with Task Routing", ICCV 2019 (random masks);
Pascal et al., "Maximum Roaming Multi-Task Learning", AAAI 2021 (masks that cover all units).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bmtas.files import nearest


@dataclass(frozen=True)
class MaskRequest:
    """One layer's mask to be drawn.

    Args:
        name: Name of the layer, for messages and the seed.
        units: C channels.
        tasks: T names.
        keep_ratio: Share of the channels that a task keeps, in (0, 1].
        seed: Seed of the whole network.
        options: Options of the scheme.
        groups: Group of each task (T,), for the scheme ``tree``.
    """

    name: str
    units: int
    tasks: Sequence[str]
    keep_ratio: float
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[int] | None = None

    @property
    def kept(self) -> int:
        """Channels in each row: the share, rounded to the nearest whole number."""
        return int(self.units * self.keep_ratio + 0.5)

    @property
    def rng(self) -> np.random.Generator:
        """A generator that depends on seed and name."""
        return np.random.default_rng([self.seed, *self.name.encode()])

    def blank(self) -> np.ndarray:
        """(T, C), nothing kept."""
        return np.zeros((len(self.tasks), self.units), bool)


def random_exact(request: MaskRequest) -> np.ndarray:
    """Independent rows, each a uniform subset of the right size."""
    rng, mask = request.rng, request.blank()
    for row in mask:
        row[rng.permutation(request.units)[: request.kept]] = True
    return mask


def random_cover(request: MaskRequest) -> np.ndarray:
    """Units dealt to the tasks in turn, then rows filled at random.

    No unit is dead as long as the rows have room for all, T * kept >= C.
    """
    rng, mask = request.rng, request.blank()
    order = rng.permutation(request.units)
    for index, row in enumerate(mask):
        row[order[index :: len(mask)][: request.kept]] = True
        row[rng.permutation(np.flatnonzero(~row))[: request.kept - row.sum()]] = True
    return mask


def grouped(request: MaskRequest, group_size: int = 8) -> np.ndarray:
    """Whole groups of ``group_size`` neighbouring channels, each row a uniform subset of them."""
    if group_size < 1 or request.units % group_size:
        raise ValueError(
            f'masks: layer {request.name!r} has {request.units} channels, which do not divide into '
            f'groups of {group_size}; choose another group_size'
        )
    count = request.units // group_size
    rng, mask = request.rng, request.blank()
    blocks = mask.reshape(len(mask), count, group_size)
    for row in blocks:
        row[rng.permutation(count)[: int(count * request.keep_ratio + 0.5)]] = True
    return mask


def shared_plus_private(request: MaskRequest) -> np.ndarray:
    """A first block that all tasks keep; every task has a block of its own behind it.

    The common block is the smallest one with which rows of the right size fit.
    """
    tasks, units, kept = len(request.tasks), request.units, request.kept
    common = kept if tasks == 1 else max(0, -(-(tasks * kept - units) // (tasks - 1)))
    mask = request.blank()
    mask[:, :common] = True
    for index, row in enumerate(mask):
        start = common + index * (kept - common)
        row[start : start + kept - common] = True
    return mask


def ordered(request: MaskRequest, power: float = 4.0) -> np.ndarray:
    """Consecutive channels; neighbours in the order of the tasks overlap most.

    Row t begins at round((t / (T - 1)) ** power * (C - kept)): Park et al., "Denoising Task
    Routing for Diffusion Models", ICLR 2024, where power is 4.
    """
    mask, last = request.blank(), max(1, len(request.tasks) - 1)
    for index, row in enumerate(mask):
        start = round((index / last) ** power * (request.units - request.kept))
        row[start : start + request.kept] = True
    return mask


def tree(request: MaskRequest) -> np.ndarray:
    """One random row for each group of tasks that share the layer in a branching tree."""
    if request.groups is None:
        raise ValueError("masks: scheme 'tree' needs a branching file; give branching=FILE")
    labels, member = np.unique(request.groups, return_inverse=True)
    rng, rows = request.rng, np.zeros((len(labels), request.units), bool)
    for row in rows:
        row[rng.permutation(request.units)[: request.kept]] = True
    return rows[member]


SCHEMES: Mapping[str, Callable[..., np.ndarray]] = dict(
    random_exact=random_exact,
    random_cover=random_cover,
    grouped=grouped,
    shared_plus_private=shared_plus_private,
    ordered=ordered,
    tree=tree,
)
"""Drawn masks by name; ``file`` is the one scheme that draws nothing."""


def check_keep_ratio(keep_ratio: float) -> None:
    """Raise ValueError for a ratio outside (0, 1]."""
    if isinstance(keep_ratio, bool) or not 0 < keep_ratio <= 1:
        raise ValueError(f'keep_ratio: must lie in (0, 1], got {keep_ratio!r}')


def draw_mask(scheme: str, request: MaskRequest) -> np.ndarray:
    """Draw one layer's mask (T, C).

    Raises:
        ValueError: Unknown scheme or option, a ratio outside (0, 1], or a task that would keep
            no channel; the message names the layer.
    """
    check_keep_ratio(request.keep_ratio)
    if scheme not in SCHEMES:
        raise ValueError(f'scheme: unknown {scheme!r}, {nearest(scheme, [*SCHEMES, "file"])}')
    try:
        mask = SCHEMES[scheme](request, **request.options)
    except TypeError as error:
        raise ValueError(f'scheme {scheme!r}: {error}') from None
    check_rows(request.name, mask, request.tasks)
    return mask


def check_rows(name: str, mask: np.ndarray, tasks: Sequence[str]) -> None:
    """Raise ValueError naming layer and task where a row keeps nothing."""
    empty = np.flatnonzero(~mask.any(1))
    if len(empty):
        raise ValueError(
            f'masks: task {tasks[empty[0]]!r} keeps none of the {mask.shape[1]} channels of layer '
            f'{name!r}; raise keep_ratio'
        )


def mask_statistics(mask: np.ndarray) -> dict[str, float]:
    """What the rows of a mask (T, C) have in common.

    Returns:
        ``kept``: share of channels in a row; ``both``: chance that a channel is used by both of
        two tasks; ``jaccard``: common channels over those that either uses, mean over pairs;
        ``dead``: share of channels that nobody uses; ``tasks_per_unit``: mean number of tasks that
        use a channel. Pairs of one task are 1.
    """
    tasks, units = mask.shape
    common = mask.astype(np.float64) @ mask.T.astype(np.float64)
    sizes = common.diagonal()
    first, second = np.triu_indices(tasks, 1)
    pairs = common[first, second]
    either = sizes[first] + sizes[second] - pairs
    return dict(
        kept=float(sizes.mean() / units),
        both=float((pairs / units).mean()) if len(pairs) else 1.0,
        jaccard=float((pairs / either).mean()) if len(pairs) else 1.0,
        dead=float((~mask.any(0)).mean()),
        tasks_per_unit=float(mask.sum(0).mean()),
    )
