"""Which weights of a task keep their delta at the end of the gate stage."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from bmtas.sharing import gates
from bmtas.sharing.deltas import SparseDelta, TaskDelta

RULES = ('global', 'tensor', 'gates', 'draw')


def choose_support(
    task: TaskDelta, rule: str, density: float, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Boolean mask of every tensor, by name.

    Args:
        task: Deltas with gates.
        rule: ``global``: the largest |E[g z] delta| of all tensors together, ``tensor``: of each
            tensor by itself, both at ``density``, to one weight; ``gates``: where the
            deterministic gates are open; ``draw``: where one draw of them is, as in the public
            code, which keeps a weight of probability 1 % in 1 % of all cases.
        density: Share of the weights that is kept, in (0, 1].
        generator: For ``draw``.

    Raises:
        ValueError: Unknown rule or a density out of range.
    """
    if rule not in RULES:
        raise ValueError(f'sharing.support: {rule!r} is unknown, choose from {RULES}')
    if not 0 < density <= 1:
        raise ValueError(f'sharing.density: must be in (0, 1], got {density}')
    deltas: Mapping[str, SparseDelta] = dict(task.deltas())
    if rule in ('gates', 'draw'):
        return {name: _open(delta, generator) for name, delta in deltas.items()}
    scores = {name: delta.score() for name, delta in deltas.items()}
    if rule == 'tensor':
        return {
            name: largest(score, round(density * score.numel())) for name, score in scores.items()
        }
    flat = torch.cat([score.flatten() for score in scores.values()])
    kept = largest(flat, round(density * flat.numel()))
    parts = kept.split([score.numel() for score in scores.values()])
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts)}


def largest(score: Tensor, count: int) -> Tensor:
    """Mask of exactly ``count`` largest entries, the first ones of equals."""
    flat = score.flatten()
    if count <= 0:
        return torch.zeros_like(score, dtype=torch.bool)
    cut = flat.kthvalue(flat.numel() - count + 1).values
    kept = flat > cut
    ties = (flat == cut).nonzero()[: count - int(kept.sum())]
    kept[ties] = True
    return kept.view(score.shape)


def _open(delta: SparseDelta, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return (gates.gate(delta.alpha) > 0) & (gates.gate(delta.alpha_tensor) > 0)
    with torch.no_grad():
        return delta._mask(generator) != 0
