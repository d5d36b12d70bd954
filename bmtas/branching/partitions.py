"""Set partitions of T items as arrays, and which of them refine which."""

from __future__ import annotations

from functools import cache

import numpy as np

MAX_ITEMS = 9
"""Bell(9) = 21,147 partitions with 1.6 million refinements; ten items would need gigabytes."""


@cache
def all_partitions(num_items: int) -> np.ndarray:
    """All partitions of ``num_items`` items in lexicographic order.

    Returns:
        (Bell, T) read-only int8: each row numbers the blocks in the order of their first item. The
        first row is one block, the last one all singletons.

    Raises:
        ValueError: Fewer than one or more than ``MAX_ITEMS`` items.
    """
    if not 1 <= num_items <= MAX_ITEMS:
        raise ValueError(
            f'partitions are listed for 1 to {MAX_ITEMS} tasks only, got {num_items} tasks'
        )
    rows = np.zeros((1, 1), np.int8)
    for _ in range(1, num_items):
        choices = rows.max(1) + 2
        block = np.arange(choices.sum()) - np.repeat(np.cumsum(choices) - choices, choices)
        rows = np.column_stack([np.repeat(rows, choices, axis=0), block.astype(np.int8)])
    rows.setflags(write=False)
    return rows


@cache
def num_blocks(num_items: int) -> np.ndarray:
    """Number of blocks of each partition, (Bell,) int64."""
    return all_partitions(num_items).max(1).astype(np.int64) + 1


@cache
def refinements(num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs (coarse, fine) of partitions such that fine refines coarse, equal ones included.

    Returns:
        Two int64 arrays of indices into ``all_partitions``, sorted by (coarse, fine).
    """
    partitions = all_partitions(num_items)
    codes = row_codes(partitions)
    blocks = num_blocks(num_items)
    pairs = []
    for num in range(1, num_items + 1):
        fine = np.flatnonzero(blocks == num)
        # a coarser partition merges blocks, that is, it is a partition of the blocks
        merged = all_partitions(num)[:, partitions[fine].astype(np.int64)]
        coarse = np.searchsorted(codes, row_codes(merged.reshape(-1, num_items)))
        pairs.append(np.stack([coarse, np.tile(fine, len(merged))]))
    coarse, fine = np.concatenate(pairs, axis=1)
    order = np.lexsort((fine, coarse))
    return coarse[order], fine[order]


def row_codes(partitions: np.ndarray) -> np.ndarray:
    """One number per partition (N, T) of up to nine items, rising in lexicographic order.

    The rows must be canonical; merging the blocks of a canonical row by a canonical row numbers
    them by first item again.
    """
    base = MAX_ITEMS
    weights = base ** np.arange(partitions.shape[1] - 1, -1, -1, dtype=np.int64)
    return partitions.astype(np.int64) @ weights
