"""What a search of codes wants: metrics up, cost down, within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .data import cost_names
from .predictor import CodePredictor
from .spaces import Budget

COMBINE = ('sum', 'mean', 'weighted', 'worst')
CRITERIA = {'smooth_l1': F.smooth_l1_loss, 'l1': F.l1_loss}


@dataclass(frozen=True)
class Goal:
    """A metric to improve.

    Args:
        setting: Key of the predictor, e.g. ``seg``.
        metric: One of its outputs, by default the main metric.
        weight: Factor of its score where goals are combined as ``weighted``; a negative weight
            makes the metric fall.
    """

    setting: str
    metric: str = ''
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight == 0:
            raise ValueError(f'goals: weight of {self.setting!r} must not be 0')


@dataclass
class Evaluation:
    """Codes as the objective sees them.

    Attributes:
        codes: (N, D) int64.
        value: (N,) objective; -inf where the budget is exceeded.
        mean, std: (N, outputs) predictions in their own units, deviation over the ensembles.
        madds, params: (N,) exact, in G and M.
    """

    codes: np.ndarray
    value: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    madds: np.ndarray
    params: np.ndarray


class Objective:
    """Combined standardised score of the goals, less the cost.

    A goal's score is the predicted metric, standardised by its training rows; of an ensemble the
    mean less ``pessimism`` times the deviation. The cost is exact and standardised by its spread
    over random codes, or, for comparison with the public tool, the one that the first predictor
    believes.

    Args:
        space: The space of codes.
        predictors: Predictor by setting.
        goals: What to improve.
        combine: ``sum``; ``mean``; ``weighted``: mean by weight; ``worst``: the lowest score.
        pessimism: Deviations to subtract.
        cost: ``madds`` or ``params``.
        cost_weight: Weight of the cost; 0 for none.
        cost_source: ``exact`` or ``predicted``.
        budget: Hard limits.

    Attributes:
        calls: Codes that went through the predictors so far, one call for all predictors.
        names: ``<setting>/<metric>`` of all outputs, in the order of ``Evaluation.mean``.
        noise: Error of each output on validation rows.
    """

    def __init__(
        self,
        space: Any,
        predictors: Mapping[str, CodePredictor],
        goals: Sequence[Goal],
        combine: str = 'sum',
        pessimism: float = 0.0,
        cost: str = 'madds',
        cost_weight: float = 0.5,
        cost_source: str = 'exact',
        budget: Budget | None = None,
    ) -> None:
        if not goals:
            raise ValueError('goals: at least one is needed')
        if combine != 'weighted' and any(goal.weight != 1 for goal in goals):
            raise ValueError(f"goals: weights need combine='weighted', got {combine!r}")
        if pessimism and all(predictor.members == 1 for predictor in predictors.values()):
            raise ValueError('pessimism needs predictors with several members')
        self.space, self.predictors, self.combine = space, dict(predictors), combine
        self.pessimism, self.budget = pessimism, budget or Budget()
        self.cost, self.cost_weight, self.cost_source = cost, cost_weight, cost_source
        self.typical = dict(zip(('madds', 'params'), space.typical_costs()))
        self.names = tuple(f'{s}/{n}' for s, p in self.predictors.items() for n in p.names)
        self.noise = torch.cat([p.noise for p in self.predictors.values()]).numpy()
        self.goals = tuple(goals)
        self.columns = [self._column(goal) for goal in goals]
        if cost_source == 'predicted':
            setting, first = next(iter(self.predictors.items()))
            name = cost_names(first.setting)[cost == 'params']
            if name not in first.names:
                raise ValueError(
                    f"cost: source 'predicted' needs {name!r}, {setting!r} predicts {first.names}"
                )
            self.cost_column = self.names.index(f'{setting}/{name}')
        self.weights = torch.tensor([goal.weight for goal in goals])
        if combine == 'weighted':
            self.weights = self.weights / self.weights.abs().sum()
        elif combine == 'mean':
            self.weights = self.weights / len(goals)
        self.calls = 0

    def _column(self, goal: Goal) -> int:
        if goal.setting not in self.predictors:
            raise ValueError(
                f'goals: no predictor for {goal.setting!r}, there are {list(self.predictors)}'
            )
        predictor = self.predictors[goal.setting]
        metric = goal.metric or predictor.names[0]
        if metric not in predictor.names:
            raise ValueError(f'goals: {goal.setting!r} predicts {predictor.names}, not {metric!r}')
        return self.names.index(f'{goal.setting}/{metric}')

    def standardised(self, points: Tensor) -> Tensor:
        """Standardised outputs of every member, (N, members, outputs), at points (N, D).

        Predictors of fewer members repeat themselves.
        """
        self.calls += len(points)
        encoded: dict[str, Tensor] = {}
        outputs = []
        most = max(predictor.members for predictor in self.predictors.values())
        for predictor in self.predictors.values():
            if predictor.features not in encoded:
                encoded[predictor.features] = predictor.encode(points)
            out = predictor.from_features(encoded[predictor.features])
            if predictor.members == 1:
                out = out.expand(-1, most, -1)
            elif predictor.members != most:
                raise ValueError('predictors: ensembles of different size cannot be joined')
            outputs.append(out)
        return torch.cat(outputs, dim=-1)

    def scores(self, outputs: Tensor) -> Tensor:
        """Score of each goal, (N, goals), of outputs (N, members, outputs)."""
        chosen = outputs[..., self.columns]
        if not self.pessimism:
            return chosen.mean(1)
        # the deviation's gradient is infinite where all members agree
        spread = (chosen.var(1, correction=0) + 1e-12).sqrt()
        return chosen.mean(1) - self.pessimism * spread

    def cost_score(self, points: Tensor, outputs: Tensor) -> Tensor:
        """Standardised cost, (N,)."""
        if self.cost_source == 'predicted':
            return outputs[..., self.cost_column].mean(1)
        mean, deviation = self.typical[self.cost]
        value = self.space.costs(points.double())[0 if self.cost == 'madds' else 1]
        return ((value - mean) / deviation).to(outputs.dtype)

    def join(self, scores: Tensor) -> Tensor:
        """Scores (N, goals) to (N,)."""
        if self.combine == 'worst':
            return scores.min(1).values
        return scores @ self.weights.to(scores.dtype)

    def loss(self, points: Tensor, outputs: Tensor, criterion: str, steps: Any) -> Tensor:
        """Distance to targets one step ahead, summed over the points.

        Args:
            points: (S, D), with a gradient.
            outputs: Their standardised outputs.
            criterion: ``smooth_l1``: its gradient grows with the step up to 1; ``l1``: the
                gradient is a sign, whatever the step.
            steps: How far ahead the targets of scores and of cost lie, in deviations.
        """
        measure = CRITERIA[criterion]
        scores = self.scores(outputs)
        targets = (scores + steps[0]).detach()
        pulls = measure(scores, targets, reduction='none')
        if self.combine == 'worst':
            total = pulls.gather(1, scores.argmin(1, keepdim=True)).sum()
        else:
            total = (pulls @ self.weights.to(pulls.dtype)).sum()
        if self.cost_weight:
            cost = self.cost_score(points, outputs)
            pull = measure(cost, (cost - steps[1]).detach(), reduction='none')
            total = total + self.cost_weight * pull.sum()
        return total

    def evaluate(self, codes: np.ndarray) -> Evaluation:
        """Evaluate codes (N, D); costs N calls."""
        with torch.no_grad():
            points = torch.as_tensor(np.asarray(codes), dtype=torch.float32)
            return self.judge(codes, points, self.standardised(points))

    def judge(self, codes: np.ndarray, points: Tensor, outputs: Tensor) -> Evaluation:
        """Evaluation of codes (N, D) from their outputs."""
        codes = np.asarray(codes, dtype=np.int64)
        outputs = outputs.detach()
        value = self.join(self.scores(outputs))
        if self.cost_weight:
            value = value - self.cost_weight * self.cost_score(points.detach(), outputs)
        madds, params = self.space.costs(codes)
        fits = self.budget.holds(madds, params)
        value = np.where(fits, value.numpy().astype(np.float64), -np.inf)
        scale, shift = (
            torch.cat([getattr(p, f'target_{kind}') for p in self.predictors.values()])
            for kind in ('std', 'mean')
        )
        mean = (outputs.mean(1) * scale + shift).numpy()
        std = (outputs.std(1, correction=0) * scale).numpy()
        return Evaluation(codes, value, mean, std, madds, params)
