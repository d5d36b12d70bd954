"""One-to-one matching of predicted and true boundary pixels within a distance."""

from __future__ import annotations

import math

import numpy as np

from bmtas.evaluation.boundaries.jit import jit


class BoundaryMatcher:
    """Matches predictions with one ground truth; what depends on the truth alone is done once.

    Predicted and true pixels at most ``max_distance`` apart may be paired, each at most once.
    The matching has the largest possible number of pairs: pairs are taken greedily by increasing
    distance, then augmenting paths (Berge's theorem) raise the number to the maximum. The
    Berkeley benchmark solves the same assignment by cost scaling, approximately.

    Args:
        truth: (H, W) bool, boundary pixels.
        max_distance: In pixels.
    """

    def __init__(self, truth: np.ndarray, max_distance: float) -> None:
        truth = np.asarray(truth, bool)
        self.margin = math.floor(max_distance)
        self.count = int(truth.sum())
        # number of each true pixel, -1 elsewhere; the margin spares all tests at the borders
        index = np.full(truth.shape, -1, np.int32)
        index[truth] = np.arange(self.count, dtype=np.int32)
        self._index = np.pad(index, self.margin, constant_values=-1)
        self._offsets = disc_offsets(max_distance, self._index.shape[1])

    def match(self, predicted: np.ndarray) -> np.ndarray:
        """Find the predicted pixels that have a partner.

        Args:
            predicted: (H, W) bool.

        Returns:
            (H, W) bool; its sum is the number of pairs, hence of matched true pixels too.
        """
        rows, columns = np.nonzero(predicted)
        start = (rows + self.margin) * self._index.shape[1] + columns + self.margin
        partners = maximum_matching(
            start.astype(np.int64), self._index.ravel(), self._offsets, self.count
        )
        matched = np.zeros(predicted.shape, bool)
        matched[rows, columns] = partners >= 0
        return matched


def disc_offsets(radius: float, width: int) -> np.ndarray:
    """Steps in a flattened map of that width to all pixels within a radius, nearest first."""
    reach = math.floor(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = rows**2 + columns**2
    order = np.argsort(squared.ravel(), kind='stable')
    steps = (rows * width + columns).ravel()[order]
    return steps[squared.ravel()[order] <= radius**2].astype(np.int64)


@jit
def maximum_matching(start, index, offsets, count):
    """Maximum-cardinality matching of predicted pixels with true pixels.

    Args:
        start: (N,) int64, positions of the predicted pixels in the flattened map.
        index: Flattened map int32: number of the true pixel at a position, -1 for none.
        offsets: (D,) int64, steps from a pixel to those within reach, nearest first.
        count: Number of true pixels.

    Returns:
        (N,) int32: number of the true pixel matched with each predicted pixel, -1 for none.
    """
    partner = np.full(len(start), -1, np.int32)
    owner = np.full(count, -1, np.int32)
    # pixels that may still find a partner: those with a true pixel in reach
    free = np.arange(len(start)).astype(np.int32)
    reach = np.zeros(len(start), np.bool_)
    remaining = len(start)
    for offset in offsets:
        kept = 0
        for i in range(remaining):
            p = free[i]
            t = index[start[p] + offset]
            if t >= 0:
                reach[p] = True
                if owner[t] < 0:
                    owner[t] = p
                    partner[p] = t
                    continue
            free[kept] = p
            kept += 1
        remaining = kept

    # breadth-first search of an augmenting path from each free pixel, in rounds. Within a round
    # no true pixel is seen twice: a search that runs into pixels of another one of its round is
    # repeated in the next. A search that fails without that closes all it has seen for good: no
    # later path can pass there. Both keep the cost of a round within the number of edges
    roots = 0
    for i in range(remaining):
        if reach[free[i]]:
            free[roots] = free[i]
            roots += 1
    # number of the last search that saw a true pixel
    seen = np.zeros(count, np.int64)
    closed = np.iinfo(np.int64).max
    reached_from = np.full(count, -1, np.int32)
    queue = np.empty(count + 1, np.int32)
    search = 0
    while roots > 0:
        round_start = search
        repeated = 0
        for i in range(roots):
            search += 1
            queue[0] = free[i]
            head, tail = 0, 1
            end = -1
            blocked = False
            while head < tail and end < 0:
                p = queue[head]
                head += 1
                for offset in offsets:
                    t = index[start[p] + offset]
                    if t < 0 or seen[t] >= search:
                        continue
                    if seen[t] > round_start:
                        blocked = True
                        continue
                    seen[t] = search
                    reached_from[t] = p
                    if owner[t] < 0:
                        end = t
                        break
                    queue[tail] = owner[t]
                    tail += 1
            if end < 0 and blocked:
                free[repeated] = free[i]
                repeated += 1
            elif end < 0:
                for k in range(1, tail):
                    seen[partner[queue[k]]] = closed
            while end >= 0:
                p = reached_from[end]
                following = partner[p]
                partner[p] = end
                owner[end] = p
                end = following
        roots = repeated
    return partner
