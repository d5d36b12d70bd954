"""From alpha to trees: the least expected number of wrong decisions, for every budget.

Tasks draw their candidates independently, so two tasks agree in layer l with probability
sum_k p[l, i, k] p[l, j, k], and share it with probability c[l, i, j], the product over layers 0..l.
A tree decides for every layer and pair of tasks: together or apart. The expected number of wrong
decisions is a sum over (layer, pair), so ``tree_front`` finds the trees of least risk exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bmtas.branching import MAX_ITEMS, tree_front
from bmtas.resources import ResourceTable
from bmtas.search.front import Front

ROWS_AT_ONCE = 256


def sharing_probability(alpha: Tensor) -> Tensor:
    """Probability that two tasks share a layer.

    Args:
        alpha: (L, T, K) logits.

    Returns:
        (L, T, T) float64, 1 on the diagonal, never rising with the layer.
    """
    p = alpha.detach().double().softmax(-1)
    shared = torch.einsum('ltk,luk->ltu', p, p).cumprod(0)
    same = torch.eye(alpha.shape[1], dtype=torch.bool, device=alpha.device)
    return shared.masked_fill(same, 1.0)


class PairRisk:
    """Expected wrong decisions of partitions: scores for ``tree_front``.

    Args:
        shared: (L, T, T) probabilities that two tasks share a layer.
    """

    def __init__(self, shared: np.ndarray) -> None:
        self.similarity = shared
        self.num_tasks = shared.shape[1]

    def table(self, rows: np.ndarray) -> np.ndarray:
        """Risk (L, N) of the partitions (N, T)."""
        first, second = np.triu_indices(self.num_tasks, 1)
        shared = self.similarity[:, first, second]
        gained = 1 - 2 * shared  # what a wrong "together" costs more than a wrong "apart"
        parts = np.array_split(rows, max(1, len(rows) // ROWS_AT_ONCE))
        risk = [gained @ (part[:, first] == part[:, second]).T.astype(float) for part in parts]
        return shared.sum(1, keepdims=True) + np.concatenate(risk, 1)


def risk_front(shared: np.ndarray, table: ResourceTable) -> Front:
    """The trees of least risk for every budget.

    Args:
        shared: (L, T, T), see ``sharing_probability``.
        table: Costs of the layers. More than nine tasks are searched by beam.
    """
    method = 'dp' if shared.shape[1] <= MAX_ITEMS else 'beam'
    found = tree_front(table.layers, PairRisk(shared), table.tasks, method)
    return Front.of(found, table, 'expected wrong decisions about pairs of tasks')
