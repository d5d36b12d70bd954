"""Propagation: move a code along the predictor's gradient.

Ding et al., Learning Versatile Neural Architectures by Propagating Network Codes, ICLR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bmtas.typed import Count, Positive

from .objective import Evaluation, Objective


@dataclass(frozen=True)
class Steps:
    """How a code is moved.

    Args:
        number: Iterations at most.
        mode: ``continuous``: all positions move along the gradient, the unrounded point is
            carried on; ``greedy``: winner takes all, the one grid step that the gradient promises
            most of is taken from the rounded code.
        lr: Step of the standardised code along the gradient (``continuous`` only).
        criterion: ``smooth_l1`` or ``l1``, see ``Objective.loss``.
        increase: How far above each score its target lies, in deviations.
        decrease: How far below the cost its target lies.
        patience: Stop after so many iterations without a better code in any start; None for never.
    """

    number: Count = 70
    mode: Literal['continuous', 'greedy'] = 'continuous'
    lr: Positive = 3.0
    criterion: Literal['smooth_l1', 'l1'] = 'smooth_l1'
    increase: Positive = 1.0
    decrease: Positive = 1.0
    patience: Count | None = None


REFERENCE = Steps(criterion='l1', increase=0.1, decrease=0.1)
"""The public tool: its criterion is L1, so its targets 0.1 away do not size the step."""


@dataclass
class Path:
    """What a search went through.

    Attributes:
        evaluations: One for each iteration, of the codes (S, D) of all starts, the first of the
            start codes themselves.
        points: (iterations, S, D) unrounded points, for propagation.
        calls: Predictor calls so far, for each iteration.
    """

    evaluations: list[Evaluation] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def values(self) -> np.ndarray:
        """(iterations, S) objective."""
        return np.stack([evaluation.value for evaluation in self.evaluations])

    def best(self) -> tuple[int, int]:
        """Iteration and start of the best code.

        Raises:
            ValueError: No code kept the budget.
        """
        values = self.values()
        if not np.isfinite(values).any():
            raise ValueError('no code within the budget was met; raise it or start elsewhere')
        step, start = np.unravel_index(values.argmax(), values.shape)
        return int(step), int(start)


def deviation(objective: Objective) -> Tensor:
    """(D,) deviations of the code's numbers over the first predictor's training rows."""
    predictor = next(iter(objective.predictors.values()))
    return predictor.input_std[: predictor.dimension]


def gradient(
    objective: Objective, points: Tensor, steps: Steps, codes: np.ndarray
) -> tuple[Tensor, Evaluation]:
    """Direction of improvement at points and the evaluation of their rounded codes, in one pass.

    Args:
        points: (S, D).
        codes: (S, D) the points rounded.

    Returns:
        (S, D) negative gradient of the loss, 0 where frozen, and the evaluation.
    """
    points = points.detach().requires_grad_(True)
    rounded = torch.as_tensor(codes, dtype=points.dtype)
    outputs = objective.standardised(torch.cat([points, rounded]))
    loss = objective.loss(
        points, outputs[: len(points)], steps.criterion, (steps.increase, steps.decrease)
    )
    (slope,) = torch.autograd.grad(loss, points)
    slope = torch.where(torch.as_tensor(objective.space.free), -slope, torch.zeros_like(slope))
    return slope, objective.judge(codes, rounded, outputs[len(points) :])


def propagate(objective: Objective, starts: np.ndarray, steps: Steps) -> Path:
    """Move codes along the gradient of an objective.

    Every point stays within the bounds, every rounded code on the grid and, where there is a
    budget, within it. Starts share each pass of the predictors.

    Args:
        objective: What is wanted.
        starts: (S, D) codes.
        steps: How to move.
    """
    space, start = objective.space, np.asarray(starts, dtype=np.int64)
    scale = deviation(objective) ** 2
    path, best, since = Path(), np.full(len(start), -np.inf), 0
    points = torch.as_tensor(space.within(start, start, objective.budget), dtype=torch.float32)
    for number in range(steps.number + 1):
        codes = space.round(points.numpy(), start)
        slope, evaluation = gradient(objective, points, steps, codes)
        path.evaluations.append(evaluation)
        path.points.append(points.numpy().copy())
        path.calls.append(objective.calls)
        better = evaluation.value > best + 1e-6
        best, since = np.maximum(best, evaluation.value), 0 if better.any() else since + 1
        if number == steps.number or (steps.patience is not None and since >= steps.patience):
            break
        if steps.mode == 'greedy':
            moved = space.best_move(codes, slope.numpy())
        else:
            # a step of the standardised code: the deviation once for the gradient, once for it
            ahead = space.clip(points + steps.lr * scale * slope)
            moved = torch.where(torch.as_tensor(space.free), ahead, points).numpy()
        points = torch.as_tensor(space.within(moved, start, objective.budget), dtype=torch.float32)
    return path
