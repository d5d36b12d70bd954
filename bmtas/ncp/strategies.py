"""Searches of codes as registered strategies: what ``bmtas search`` runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bmtas.registry import STRATEGIES

from .baselines import evolutionary_search, local_search, random_search
from .code_search import CodeSearch, options_of
from .propagation import Path, Steps, propagate


@STRATEGIES.register_module()
class CodePropagation(CodeSearch):
    """Moves codes along the gradient of the predictors.

    Args:
        steps: Arguments of ``Steps``: number, mode, lr, criterion, increase, decrease, patience.
        reference: What the public tool does: L1 criterion, the cost that the predictor believes,
            values 8..128 everywhere; only with one goal and no budget.
        kwargs: See ``CodeSearch``.
    """

    def __init__(
        self, steps: Mapping[str, Any] | None = None, reference: bool = False, **kwargs: Any
    ) -> None:
        steps = dict(steps or {})
        if reference:
            steps = {'criterion': 'l1', 'increase': 0.1, 'decrease': 0.1, **steps}
            kwargs = {'grid': 'full', **kwargs}
            kwargs['cost'] = {'source': 'predicted', **(kwargs.get('cost') or {})}
            if kwargs.get('budget') or len(kwargs['predictors']) > 1:
                raise ValueError('search.reference: one predictor and no budget')
        super().__init__(**kwargs)
        self.steps = options_of(Steps, steps, 'steps')

    def search(self, starts: np.ndarray, generator: np.random.Generator) -> Path:
        """Propagate from all starts at once."""
        return propagate(self.objective, starts, self.steps)


class CodeBaseline(CodeSearch):
    """A search without gradients from one start.

    Args:
        calls: Predictor calls to spend; 142 is what 70 steps of propagation from one start spend.
        kwargs: See ``CodeSearch``.
    """

    method: Any = None

    def __init__(self, calls: int = 142, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if calls < 2:
            raise ValueError(f'search.calls: {calls}, at least 2 are needed')
        self.calls = calls

    def search(self, starts: np.ndarray, generator: np.random.Generator) -> Path:
        """Search from the first start."""
        return type(self).method(self.objective, starts[0], self.calls, generator)


@STRATEGIES.register_module()
class CodeRandomSearch(CodeBaseline):
    """Random codes; arguments as CodeBaseline."""

    method = staticmethod(random_search)


@STRATEGIES.register_module()
class CodeLocalSearch(CodeBaseline):
    """Best-neighbour ascent with restarts; arguments as CodeBaseline."""

    method = staticmethod(local_search)


@STRATEGIES.register_module()
class CodeEvolution(CodeBaseline):
    """Evolution; arguments as CodeBaseline."""

    method = staticmethod(evolutionary_search)
