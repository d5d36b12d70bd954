"""What all searches of codes share: options, starts, records, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import numpy as np

from bmtas.files import write_json
from bmtas.search import SearchContext, SearchResult, Strategy
from bmtas.typed import ArgumentsOf, Count, Natural, NonNegative, check_value

from .codes import POSITIONS
from .cost import CostModel
from .data import RecordTable, load_settings
from .nasbench201 import OPERATIONS, CellSpace
from .objective import COMBINE, Goal, Objective
from .picture import draw_search
from .predictor import load_predictor
from .propagation import Path
from .report import Records, build_report, summary
from .spaces import Budget, MultiResolutionSpace

RESULT = 'ncp.json'
REFERENCE_START = (64, 64, *(2, 2, 64), *(2, 2, 2, 64, 64), *(2, 2, 2, 2, 64, 64, 64))
REFERENCE_START += (2, 2, 2, 2, 2, 64, 64, 64, 64, 64)
"""The code from which the public tool starts."""


@dataclass(frozen=True)
class _Cost:
    """The key ``cost`` of a search."""

    measure: Literal['madds', 'params'] = 'madds'
    weight: NonNegative = 0.5
    source: Literal['exact', 'predicted'] = 'exact'


def options_of(kind: Any, options: Mapping[str, Any] | None, key: str) -> Any:
    """A data class from a dict of the config; mistakes become ValueErrors that name the key."""
    check_value(options or {}, kind, f'search.{key}')
    return kind(**(options or {}))


def _goal(source: Any) -> Goal:
    """A goal from a dict or from ``<setting>`` or ``<setting>/<metric>``."""
    if isinstance(source, str):
        return Goal(*source.split('/', 1))
    return options_of(Goal, source, 'goals')


Options = Mapping[str, Any] | None


class CodeSearch(Strategy):
    """What all searches of codes share.

    Args:
        predictors: File of an exported predictor by setting. The first one's deviations are the
            unit of the code.
        goals: Metrics to improve, each ``dict(setting=..., metric=..., weight=...)`` or a text,
            ``video`` or ``video/top5``; by default the main metric of every predictor.
        combine: How goals are joined: ``sum``, ``mean``, ``weighted`` or ``worst``.
        pessimism: Deviations of the ensemble to subtract from each prediction.
        cost: ``dict(measure='madds'|'params', weight=0.5, source='exact'|'predicted')``.
        count: Arguments of ``CostModel``: how multiply-adds are counted.
        budget: ``dict(madds=..., params=...)`` in G and M; hard limits.
        grid, bounds, freeze, exclude: See ``MultiResolutionSpace`` and ``CellSpace``.
        start: ``default``, ``random``, ``records`` (best recorded codes), a code in any form, the
            ``ncp.json`` of another search, or a list of codes.
        starts: Number of starts for ``random`` and ``records``.
        seed: Seed of all draws; the config's by default.
        judge: Ask an independent judge about the chosen code (multi-resolution codes, needs the
            records).
        picture: Draw ``vis/ncp.png``.
    """

    def __init__(
        self,
        predictors: Mapping[str, str],
        goals: str | Sequence[str | Goal] = (),
        combine: Literal[COMBINE] = 'sum',
        pessimism: NonNegative = 0.0,
        cost: Annotated[Options, ArgumentsOf(_Cost)] = None,
        count: Annotated[Options, ArgumentsOf(CostModel)] = None,
        budget: Annotated[Options, ArgumentsOf(Budget)] = None,
        grid: str | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        freeze: str | int | Sequence[str | int] = (),
        exclude: str | Sequence[str] = (),
        start: str | Sequence[Any] | Mapping[str, Any] = 'default',
        starts: Count = 1,
        seed: Natural | None = None,
        judge: bool = True,
        picture: bool = True,
    ) -> None:
        freeze, exclude = (
            (value,) if isinstance(value, str | int) else tuple(value)
            for value in (freeze, exclude)
        )
        self.predictors = {name: load_predictor(path) for name, path in predictors.items()}
        if not self.predictors:
            raise ValueError('search.predictors: at least one is needed')
        dimensions = {p.dimension for p in self.predictors.values()}
        if len(dimensions) > 1:
            raise ValueError('search.predictors: they are for codes of different kinds')
        options = {'freeze': freeze, 'bounds': bounds}
        if dimensions == {len(POSITIONS)}:
            if exclude:
                raise ValueError('search.exclude: only nas-bench-201 cells have operations')
            options |= {
                'grid': grid or 'recorded',
                'cost': options_of(CostModel, count, 'count'),
            }
            self.space: Any = MultiResolutionSpace(**options)
            self.judge = judge
        else:
            self.space = CellSpace(exclude=exclude, grid=grid, cost=count, **options)
            self.judge = False  # every cell is a record
        cost = options_of(_Cost, cost, 'cost')
        self.objective = Objective(
            self.space,
            self.predictors,
            [_goal(goal) for goal in ([goals] if isinstance(goals, str) else goals)]
            or [Goal(name) for name in self.predictors],
            combine,
            pessimism,
            cost.measure,
            cost.weight,
            cost.source,
            options_of(Budget, budget, 'budget'),
        )
        self.start, self.starts, self.seed, self.picture = start, starts, seed, picture

    def run(self, context: SearchContext) -> SearchResult:
        """Search, write ``ncp.json`` and the picture into the work dir.

        Args:
            context: Has ``cfg`` (``data_root``: folder of the records), ``work_dir`` and ``log``.
        """
        cfg, work_dir = context.cfg, FilePath(context.work_dir)
        seed = self.seed
        if seed is None:
            seed = (cfg.get('randomness') or {}).get('seed') or 0
        generator = np.random.default_rng(seed)
        records = self._records(cfg.get('data_root'), context.log)
        starts = self._starts(records, generator)
        began = time.process_time(), time.perf_counter()
        path = self.search(starts, generator)
        spent = time.process_time() - began[0], time.perf_counter() - began[1]
        report = build_report(self.objective, path, records, self.judge)
        report |= {
            'method': type(self).__name__,
            'seed': seed,
            'config': str(getattr(cfg, 'filename', '')),
            'seconds': {'cpu': spent[0], 'wall': spent[1]},
        }
        write_json(work_dir / RESULT, report)
        context.log(f'{summary(report)}\nreport in {work_dir / RESULT}')
        if self.picture:
            picture = draw_search(report, self._cloud(records), work_dir / 'vis' / 'ncp.png')
            context.log(f'picture in {picture}')
        return SearchResult(None, report=report)

    def search(self, starts: np.ndarray, generator: np.random.Generator) -> Path:
        """Search from the start codes (S, D)."""
        raise NotImplementedError

    def _records(self, data_root: str | None, log: Any) -> Records | None:
        files = [FilePath(data_root or '') / f'{p.setting}.pkl' for p in self.predictors.values()]
        if data_root is None or not all(path.is_file() for path in files):
            missing = next((path for path in files if not path.is_file()), 'data_root')
            log(f'no records ({missing} is missing): the report compares with none')
            return None
        settings = {name: p.setting for name, p in self.predictors.items()}
        renamed = [name for name, setting in settings.items() if name != setting]
        if renamed:
            raise ValueError(
                f'search.predictors: {renamed[0]!r} is a predictor of {settings[renamed[0]]!r}'
            )
        table = load_settings(data_root, list(settings))
        # a goal may be a recorded cost, which settings have in common
        costs = {name: table[name.split('/', 1)[1]] for name in self._goals() - {*table.columns}}
        return Records(RecordTable(table.codes, {**table.columns, **costs}), self.objective)

    def _goals(self) -> set[str]:
        return {self.objective.names[column] for column in self.objective.columns}

    def _starts(self, records: Records | None, generator: np.random.Generator) -> np.ndarray:
        if self.start == 'random':
            return self.space.random(self.starts, generator)
        if self.start == 'records':
            if records is None:
                raise ValueError("search.start: 'records' needs data_root with the records")
            best = records.best(self.objective.budget, self.starts)
            if not best:
                raise ValueError(f'search.start: no record keeps the {self.objective.budget}')
            return np.array([record['code'] for record in best])
        if self.start == 'default':
            if isinstance(self.space, CellSpace):
                return self.space.parse(['skip_connect'] * 6)[None]
            return self.space.parse(REFERENCE_START)[None]
        one = isinstance(self.start, str | Mapping) or all(
            isinstance(entry, int) or entry in OPERATIONS for entry in self.start
        )
        return np.stack([self.space.parse(code) for code in ([self.start] if one else self.start)])

    def _cloud(self, records: Records | None) -> dict[str, np.ndarray] | None:
        """Costs and metrics of all records, for the picture."""
        if records is None:
            return None
        return {'madds_g': records.madds, **{name: records.table[name] for name in self._goals()}}
