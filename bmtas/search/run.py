"""Run the search that a config names and write down what it found."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from bmtas.branching import BranchingTree
from bmtas.engine.record import record_command
from bmtas.registry import STRATEGIES
from bmtas.resources import ResourceTable, unit_named
from bmtas.search.context import BRANCHING, PICTURES, SearchContext, SearchResult
from bmtas.visualization import draw_tree


def describe(tree: BranchingTree, table: ResourceTable) -> str:
    """The tree as text, and its cost beside those of the extremes."""
    unit = unit_named(table.unit)
    return (
        f'{tree}\ncost {unit.exact(tree.cost(table), 4)} '
        f'(shared {table.shared / unit.scale:.4g}, separate {table.separate / unit.scale:.4g})'
    )


def run_search(cfg: Config) -> SearchResult:
    """Search by the strategy of the config's key ``search``; the results go to the work dir.

    A tree is written to ``branching.json`` and drawn; strategies leave further files.

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
    context = SearchContext(cfg, Path(cfg.work_dir))
    result = strategy.run(context)
    record_command(context.work_dir)
    if result.tree is not None and is_main_process():
        path = context.work_dir / BRANCHING
        result.tree.to_file(path, context.table)
        picture = draw_tree(result.tree, context.work_dir / PICTURES / 'tree.png', context.table)
        context.log(f'the tree that was found:\n{describe(result.tree, context.table)}')
        context.log(f'written: {path}, {picture}')
    return result
