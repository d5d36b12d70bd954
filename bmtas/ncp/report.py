"""What a search of codes found, as ``ncp.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bmtas.branching import pareto_front

from .codes import NetworkCode
from .cost import CONVENTIONS, RECORD_COST, CostModel
from .data import RecordTable
from .judge import KernelJudge
from .objective import Evaluation, Objective
from .propagation import Path
from .spaces import Budget

VERSION = 1


def describe(objective: Objective, evaluation: Evaluation, row: int) -> dict[str, Any]:
    """One code: forms, exact costs, objective, and predictions.

    ``std`` of a prediction joins the ensemble's deviation (``spread``) and the predictor's error on
    validation rows.
    """
    value = float(evaluation.value[row])
    return {
        **objective.space.describe(evaluation.codes[row]),
        'objective': value if np.isfinite(value) else None,
        'madds_g': float(evaluation.madds[row]),
        'params_m': float(evaluation.params[row]),
        'predicted': {
            name: {
                'mean': float(evaluation.mean[row, column]),
                'std': float(np.hypot(evaluation.std[row, column], objective.noise[column])),
                'spread': float(evaluation.std[row, column]),
            }
            for column, name in enumerate(objective.names)
        },
    }


def code_text(
    source: Any, input_size: Sequence[int], head: str = 'segmentation', classes: int | None = None
) -> str:
    """All forms of a code and its exact cost under each convention, as text.

    Args:
        source: Anything that ``NetworkCode.parse`` reads.
        input_size: (H, W) in pixels.
        head: ``segmentation`` or ``classification``.
        classes: Outputs of the head; by default 19, or 50 for classification.
    """
    code = NetworkCode.parse(source)
    classes = classes or {'segmentation': 19, 'classification': 50}[head]
    cost = {
        convention: CostModel(tuple(input_size), head, classes, convention)
        for convention in CONVENTIONS
    }
    setting = code.setting()
    madds, params = RECORD_COST.both(code)
    return '\n'.join(
        [
            f'text     {code.text}',
            f'numbers  {",".join(map(str, code))}',
            *(f'{key}: {json.dumps(value)}' for key, value in setting.items()),
            f'{input_size[0]}x{input_size[1]}, {head} of {classes} classes: '
            f'{int(cost["mac"].params(code)):,} parameters, multiply-adds '
            + ', '.join(f'{int(c.madds(code)):,} ({name})' for name, c in cost.items()),
            f'as the benchmark records it: flops {madds / 1e9:.6f} G, params {params / 1e6:.6f} M',
        ]
    )


def combined_score(objective: Objective, values: np.ndarray) -> np.ndarray:
    """The goals, combined as in the objective, without cost and doubt.

    Args:
        values: (N, goals) metrics in their own units.

    Returns:
        (N,) larger is better.
    """
    columns = []
    for goal, column, value in zip(objective.goals, objective.columns, values.T, strict=True):
        predictor = objective.predictors[goal.setting]
        place = predictor.names.index(objective.names[column].split('/', 1)[1])
        mean, std = (float(getattr(predictor, f'target_{k}')[place]) for k in ('mean', 'std'))
        columns.append((value - mean) / std)
    scores = np.stack(columns, axis=1)
    if objective.combine == 'worst':
        return scores.min(1)
    return scores @ objective.weights.numpy()


class Records:
    """The recorded codes beside a search.

    Args:
        table: Records of all settings of the objective, metrics as ``<setting>/<metric>``.
        objective: The objective of the search.
    """

    def __init__(self, table: RecordTable, objective: Objective) -> None:
        self.table, self.objective = table, objective
        self.madds, self.params = objective.space.costs(table.codes)
        self.rows = table.rows()
        self.metrics = [name for name in objective.names if name in table.columns]

    def measured(self, code: Sequence[int]) -> dict[str, float] | None:
        """Recorded metrics of a code, None if it was never trained."""
        row = self.rows.get(tuple(int(value) for value in code))
        return None if row is None else self._metrics(row)

    def _metrics(self, row: int) -> dict[str, float]:
        return {name: float(self.table[name][row]) for name in self.metrics}

    def score(self) -> np.ndarray:
        """(N,) the goals, combined as in the objective, of the recorded metrics."""
        names = [self.objective.names[column] for column in self.objective.columns]
        return combined_score(self.objective, self.table.values(names))

    def best(self, budget: Budget, number: int = 3) -> list[dict[str, Any]]:
        """The best records by combined measured score within a budget, best first."""
        score = np.where(budget.holds(self.madds, self.params), self.score(), -np.inf)
        order = [row for row in np.argsort(-score)[:number] if np.isfinite(score[row])]
        return [self._describe(row) for row in order]

    def nearest(self, code: Sequence[int]) -> dict[str, Any]:
        """The record whose standardised numbers are nearest, with the distance."""
        scale = self.table.codes.std(0) + 1e-12
        distance = np.sqrt((((self.table.codes - np.asarray(code)) / scale) ** 2).sum(1))
        row = int(distance.argmin())
        return {**self._describe(row), 'distance': float(distance[row])}

    def _describe(self, row: int) -> dict[str, Any]:
        return {
            'row': int(row),
            **self.objective.space.describe(self.table.codes[row]),
            'madds_g': float(self.madds[row]),
            'params_m': float(self.params[row]),
            'measured': self._metrics(row),
        }

    def judged(self, code: Sequence[int]) -> dict[str, float]:
        """The judge's estimate of each metric of a code."""
        judge = KernelJudge(self.table.codes, self.table.values(self.metrics))
        return dict(zip(self.metrics, map(float, judge(np.asarray(code)[None])[0])))


def trajectory(objective: Objective, path: Path, start: int) -> list[dict[str, Any]]:
    """The iterations of one start; baselines have one start."""
    steps = []
    for number, evaluation in enumerate(path.evaluations):
        steps.append({'step': number, 'calls': path.calls[number]})
        steps[-1].update(describe(objective, evaluation, start))
        steps[-1].pop('operations', None)
    return steps


def front(objective: Objective, path: Path) -> list[dict[str, Any]]:
    """The codes met, of all iterations and starts, that no other beats in both predicted score
    and cost (multiply-adds, or parameters where these are the cost), cheapest first."""
    met = path.evaluations
    fits = np.concatenate([np.isfinite(evaluation.value) for evaluation in met])
    mean = np.concatenate([evaluation.mean for evaluation in met])
    cost = np.concatenate([getattr(evaluation, objective.cost) for evaluation in met])
    score = np.where(fits, combined_score(objective, mean[:, objective.columns]), -np.inf)
    places = [(step, row) for step, e in enumerate(met) for row in range(len(e.codes))]
    codes = []
    for place in pareto_front(cost, -score):
        if np.isfinite(score[place]):
            step, row = places[place]
            codes.append(describe(objective, met[step], row))
            codes[-1].pop('operations', None)
    return codes


def build_report(
    objective: Objective, path: Path, records: Records | None, judge: bool
) -> dict[str, Any]:
    """The content of ``ncp.json`` but for what the strategy adds.

    ``records_within_budget`` are judged against the budget, or where there is none against the
    cost of the chosen code.
    """
    step, start = path.best()
    chosen = describe(objective, path.evaluations[step], start)
    values = path.values()
    report: dict[str, Any] = {
        'version': VERSION,
        'goals': [
            {'name': objective.names[column], 'weight': goal.weight}
            for goal, column in zip(objective.goals, objective.columns)
        ],
        'combine': objective.combine,
        'pessimism': objective.pessimism,
        'budget': {'madds_g': objective.budget.madds, 'params_m': objective.budget.params},
        'predictor_calls': objective.calls,
        'chosen': {**chosen, 'step': step, 'start': start},
        'starts': [
            describe(objective, path.evaluations[int(values[:, s].argmax())], s)
            for s in range(values.shape[1])
        ],
        'trajectory': trajectory(objective, path, start),
        'front': front(objective, path),
        'records_within_budget': None,
    }
    if records is not None:
        budget = objective.budget
        if budget == Budget():
            budget = Budget(madds=chosen['madds_g'])
        report['chosen']['measured'] = records.measured(chosen['code'])
        report['records_within_budget'] = records.best(budget)
        report['nearest_record'] = records.nearest(chosen['code'])
        if judge:
            report['chosen']['judged'] = records.judged(chosen['code'])
    return report


def summary(report: Mapping[str, Any]) -> str:
    """The report in a few lines of text."""
    chosen = report['chosen']
    lines = [
        f'chosen {chosen["text"]}',
        f'  {chosen["madds_g"]:.4g} GMAdds, {chosen["params_m"]:.4g} M parameters '
        f'(exact), {report["predictor_calls"]} predictor calls',
    ]
    best = (report['records_within_budget'] or [None])[0]
    for goal in report['goals']:
        name = goal['name']
        parts = [
            '  {}: predicted {mean:.2f} +- {std:.2f}'.format(name, **chosen['predicted'][name])
        ]
        if chosen.get('judged'):
            parts.append(f'independent judge {chosen["judged"][name]:.2f}')
        if chosen.get('measured'):
            parts.append(f'recorded {chosen["measured"][name]:.2f}')
        if best:
            parts.append(
                f'best record within the cost {best["measured"][name]:.2f} '
                f'at {best["madds_g"]:.4g} G'
            )
        lines.append(', '.join(parts))
    return '\n'.join(lines)
