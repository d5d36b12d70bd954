"""One-to-one matching of predicted and true boundary pixels within a distance."""

from __future__ import annotations

import heapq
import math

import numpy as np

from bmtas.jit import jit

ALONE = 1 << 30
"""Cost of a pixel without a partner: more than all distances of a map together."""


class BoundaryMatcher:
    """Matches predictions with one ground truth; what depends on the truth alone is done once.

    Predicted and true pixels at most ``max_distance`` apart may be paired, each at most once.
    The matching has the largest possible number of pairs and among those the least sum of
    distances, counted in hundredths of a pixel: what the Berkeley benchmark's assignment comes to
    when every pixel can stay alone with any other one.

    Args:
        truth: (H, W) bool, boundary pixels.
        max_distance: In pixels.
    """

    def __init__(self, truth: np.ndarray, max_distance: float) -> None:
        self.truth = np.asarray(truth, bool)
        self.count = int(self.truth.sum())
        # the margin spares all tests at the borders
        self.margin = math.floor(max_distance)
        width = self.truth.shape[1] + 2 * self.margin
        self._offsets, self._costs = disc_offsets(max_distance, width)

    def match(self, predicted: np.ndarray) -> np.ndarray:
        """Find the predicted pixels that have a partner.

        Args:
            predicted: (H, W) bool.

        Returns:
            (H, W) bool; its sum is the number of pairs, hence of matched true pixels too.
        """
        matched = np.zeros(predicted.shape, bool)
        matched.flat[self.pairs(predicted)[0]] = True
        return matched

    def pairs(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the matched pixels in the flattened maps: predicted ones, their partners.

        Args:
            predicted: (H, W) bool.
        """
        # those of which there are fewer choose: fewer searches, and shorter ones
        swapped = self.count < np.count_nonzero(predicted)
        sides = (self.truth, predicted) if swapped else (predicted, self.truth)
        starts, others = (np.flatnonzero(np.pad(side, self.margin)) for side in sides)
        index = np.full(np.add(predicted.shape, 2 * self.margin).prod(), -1, np.int32)
        index[others] = np.arange(len(others), dtype=np.int32)
        edges = list_edges(starts, index, self._offsets, self._costs)
        partners = cheapest_matching(*edges, len(others))
        chosen = np.flatnonzero(partners >= 0)
        found = np.flatnonzero(sides[0])[chosen], np.flatnonzero(sides[1])[partners[chosen]]
        return found[::-1] if swapped else found


def disc_offsets(radius: float, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps in a flattened map of that width to all pixels within a radius, nearest first.

    Returns:
        Steps and distances in hundredths of a pixel, rounded, both (D,) int64.
    """
    reach = math.floor(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = (rows**2 + columns**2).ravel()
    order = np.argsort(squared, kind='stable')
    order = order[squared[order] <= radius**2]
    costs = np.rint(100 * np.sqrt(squared[order])).astype(np.int64)
    return (rows * width + columns).ravel()[order].astype(np.int64), costs


@jit()
def list_edges(starts, index, offsets, costs):
    """Partners within reach of each pixel that chooses, nearest first.

    Args:
        starts: (N,) int64, positions of these pixels in the flattened map.
        index: Flattened map int32: number of the other side's pixel at a position, -1 for none.
        offsets: (D,) int64, steps from a pixel to those within reach, nearest first.
        costs: (D,) int64, cost of each step.

    Returns:
        (N + 1,) int64, where the edges of each pixel begin and the last ones end; their ends and
        their costs, both (E,) int32.
    """
    first = np.zeros(len(starts) + 1, np.int64)
    for p in range(len(starts)):
        first[p + 1] = first[p]
        for offset in offsets:
            first[p + 1] += index[starts[p] + offset] >= 0
    ends = np.empty(first[-1], np.int32)
    costs_of_edges = np.empty(first[-1], np.int32)
    e = 0
    for start in starts:
        for k in range(len(offsets)):
            t = index[start + offsets[k]]
            if t >= 0:
                ends[e] = t
                costs_of_edges[e] = costs[k]
                e += 1
    return first, ends, costs_of_edges


@jit()
def cheapest_matching(first, ends, costs, count):
    """Matching of the least cost, where ``ALONE`` is that of a choosing pixel without a partner.

    Shortest augmenting paths with prices (Jonker and Volgenant, Computing 1987): an edge's
    reduced cost, its cost less the prices of both ends, is never negative and zero in a pair. A
    pixel whose nearest partners are taken looks for the cheapest chain of exchanges that ends at
    a free partner or leaves a choosing pixel alone. After the first chain of the second kind the
    prices around it are so high that the next one ends nearby.

    Args:
        first, ends, costs: The edges, see ``list_edges``.
        count: Number of pixels of the other side.

    Returns:
        (N,) int32: the partner of each choosing pixel, -1 for none.
    """
    number_of_pixels = len(first) - 1
    partner = np.full(number_of_pixels, -1, np.int32)
    owner = np.full(count, -1, np.int32)
    price = np.zeros(number_of_pixels, np.int64)
    discount = np.zeros(count, np.int64)  # price of a partner, with the sign turned
    for p in range(number_of_pixels):
        for e in range(first[p], first[p + 1]):
            price[p] = costs[first[p]]
            if costs[e] > price[p]:
                break
            if owner[ends[e]] < 0:
                owner[ends[e]] = p
                partner[p] = ends[e]
                break

    # Dijkstra's search over reduced costs; what the heap holds is distance * count + partner
    distance = np.zeros(count, np.int64)
    seen = np.full(count, -1, np.int32)  # the last search that saw a partner
    reached_from = np.zeros(count, np.int32)
    settled = np.zeros(count, np.int32)
    for root in range(number_of_pixels):
        if partner[root] >= 0 or first[root] == first[root + 1]:
            continue
        heap = [np.int64(0) for _ in range(0)]
        p, so_far, number = root, np.int64(0), 0
        shortest, end, alone = ALONE - price[root], -1, root
        while True:
            if so_far + ALONE - price[p] < shortest:
                shortest, end, alone = so_far + ALONE - price[p], -1, p
            for e in range(first[p], first[p + 1]):
                ahead = so_far + costs[e] - price[p]
                if ahead >= shortest:
                    break
                t = ends[e]
                ahead += discount[t]
                if ahead >= shortest or (seen[t] == root and distance[t] <= ahead):
                    continue
                seen[t], distance[t], reached_from[t] = root, ahead, p
                if owner[t] < 0:
                    shortest, end = ahead, t
                else:
                    heapq.heappush(heap, ahead * count + t)
            t = -1
            while heap and t < 0:
                so_far, t = divmod(heapq.heappop(heap), count)
                if distance[t] < so_far:  # a shorter way has been found since
                    t = -1
            if t < 0 or so_far >= shortest:
                break
            settled[number] = t
            number += 1
            p = owner[t]
        price[root] += shortest
        for t in settled[:number]:
            discount[t] += shortest - distance[t]
            price[owner[t]] += shortest - distance[t]
        if end < 0:
            # the pixel that is left alone, if it is not the root, gives its partner away
            end, partner[alone] = partner[alone], -1
        while end >= 0:
            p = reached_from[end]
            owner[end] = p
            partner[p], end = end, partner[p]
    return partner
