"""Run the search that a config names and write down what it found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from bmtas.branching import BranchingTree
from bmtas.engine import (
    RUN,
    Executor,
    Here,
    WorkDir,
    check_data,
    first_difference,
    identity_of,
    record_command,
)
from bmtas.files import meant_as, read_json, write_json
from bmtas.registry import STRATEGIES
from bmtas.resources import ResourceTable, unit_named
from bmtas.search.context import BRANCHING, PICTURES, SearchContext, SearchResult, Strategy
from bmtas.search.front import FRONT, Front, as_shown
from bmtas.visualization import draw_front, draw_tree

SUMMARY = 'search.json'
# keys that a strategy sets or drops for its own runs
_OF_RUNS = ('train_cfg', 'custom_hooks', 'val_', 'test_')


def describe(tree: BranchingTree, table: ResourceTable) -> str:
    """The tree as text, and its cost beside those of the extremes."""
    unit = unit_named(table.unit)
    return (
        f'{tree}\ncost {unit.exact(tree.cost(table), 4)} '
        f'(shared {table.shared / unit.scale:.4g}, separate {table.separate / unit.scale:.4g})'
    )


def run_search(cfg: Config, executor: Executor | None = None) -> SearchResult:
    """Search by the strategy of the config's key ``search``; the results go to the work dir.

    A tree is written to ``branching.json`` and drawn, the best trees for all budgets to
    ``front.json``, a summary to ``search.json``; strategies leave further files. A finished search
    is not repeated for another budget: its front has the tree.

    Args:
        cfg: A complete config.
        executor: Where trainings run that a strategy starts; by default in this process.

    Raises:
        ValueError: The config names no strategy, bad arguments, or a distributed launcher for a
            strategy that runs in one process.
    """
    if not cfg.get('search'):
        raise ValueError(
            f'{cfg.filename}: search: missing, the config is no search; give one with '
            "search = dict(type='GradientSearch') or another strategy"
        )
    strategy = STRATEGIES.build(dict(cfg.search))
    if cfg.get('launcher', 'none') != 'none' and not strategy.distributed:
        raise ValueError(f'--launcher {cfg.launcher}: {cfg.search.type} runs in one process')
    context = SearchContext(cfg, Path(cfg.work_dir), executor=executor or Here())
    result, start = decoded_again(context), time.perf_counter()
    if result is None:
        result = _run(strategy, context)
        record_command(context.work_dir)
        spent = dict(result.report.get('spent', {}), seconds=time.perf_counter() - start)
        result = replace(result, report={**result.report, 'spent': spent})
    if result.tree is not None and is_main_process():
        _write(context, result)
    return result


def _run(strategy: Strategy, context: SearchContext) -> SearchResult:
    """Search in a work dir that belongs to this search alone."""
    claim, cfg = WorkDir(context.work_dir), context.cfg
    if not strategy.builds_runner:
        try:
            images = check_data(cfg, 'train')
        except FileNotFoundError:  # a strategy that reads images says what is missing
            images = {}
        claim.claim(cfg, cfg.get('resume', False), cfg.get('overwrite', False), images)
    try:
        return strategy.run(context)
    finally:
        claim.release()


def _identity(cfg: Config) -> dict[str, Any]:
    """What two searches must have in common to have found the same."""
    search = {key: value for key, value in cfg.search.to_dict().items() if key != 'decode'}
    return _plain(dict(search=search, seed=(cfg.get('randomness') or {}).get('seed')))


def _options(identity: Mapping[str, Any]) -> dict[str, Any]:
    search = {f'search.{key}': value for key, value in identity['search'].items()}
    return {**search, 'randomness.seed': identity['seed']}


def decoded_again(context: SearchContext) -> SearchResult | None:
    """The tree of a finished search for the budget; None if the work dir holds no such search.

    Raises:
        ValueError: The search in the work dir had other options, or another config.
    """
    files = [context.work_dir / name for name in (SUMMARY, FRONT)]
    if context.cfg.get('budget') is None or not all(path.is_file() for path in files):
        return None
    summary = read_json(files[0], 'summary of a search')
    with meant_as('summary of a search', files[0]):
        other = first_difference(_options(summary['identity']), _options(_identity(context.cfg)))
        report = dict(summary['report'])
        own = dict(report.get('own', {}))
    if other:
        raise ValueError(
            f'{files[0]}: a finished search with other options ({other}); give those that it was '
            'started with, or another --work-dir'
        )
    difference = _difference(context)
    if difference:
        raise ValueError(
            f'{context.work_dir}: a finished search of another config ({difference}); give another '
            '--work-dir'
        )
    front = Front.from_file(files[1], context.table)
    context.log(f'{context.work_dir} holds a finished search: its best tree for the budget')
    tree = front.trees[front.best(context.budget)]
    if own.get('budget') == context.budget:  # which a race or caution may have chosen
        with meant_as('summary of a search', files[0]):
            tree = BranchingTree.from_routes(own['config'], tree.tasks)
    return replace(context.result(tree, front), report=report)


def _difference(context: SearchContext) -> str:
    """Where the config is not that of the search in the work dir; '' if nothing says so."""
    path = context.work_dir / RUN
    if not path.is_file():
        return ''
    stored = read_json(path, 'identity of the run')
    with meant_as('identity of the run', path):
        before, now = (
            {key: value for key, value in found.items() if not key.startswith(_OF_RUNS)}
            for found in (stored['identity'], identity_of(context.cfg))
        )
    return first_difference(before, now)


def _plain(value: Any) -> Any:
    """What JSON makes of a value."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _write(context: SearchContext, result: SearchResult) -> None:
    folder, table, written = context.work_dir, context.table, [context.work_dir / BRANCHING]
    result.tree.to_file(written[0], table)
    written.append(draw_tree(result.tree, folder / PICTURES / 'tree.png', table))
    if result.front is not None:
        result.front.to_file(folder / FRONT, table)
        written += [folder / FRONT, _draw_front(result, table, folder / PICTURES / 'front.png')]
    own = dict(budget=context.budget, config=result.tree.routes.tolist())
    content = dict(identity=_identity(context.cfg), cost=result.cost, unit=table.unit)
    report = {'own': own, **result.report}  # of the search itself, whatever is decoded later
    write_json(folder / SUMMARY, dict(content, budget=context.budget, report=report))
    context.log(f'the tree that was found:\n{describe(result.tree, table)}')
    if context.budget is not None and result.cost > context.budget:
        over = 100 * (result.cost / context.budget - 1)
        context.log(f'warning: it costs {over:.1f} % more than the budget')
    context.log(f'written: {", ".join(map(str, written))}')


def _draw_front(result: SearchResult, table: ResourceTable, path: Path) -> Path:
    front, unit = result.front, unit_named(table.unit)
    score, scores = as_shown(front.score, front.scores)
    return draw_front(
        [cost / unit.scale for cost in front.costs],
        scores,
        path,
        score,
        unit.label,
        result.cost / unit.scale,
        front.deviations,
        table.shared / unit.scale,
        table.separate / unit.scale,
    )
