"""Run a search and write down what it found."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.dist import is_main_process

from bmtas.branching import BranchingTree
from bmtas.engine.dist import unwrap
from bmtas.engine.hooks.branching_log_hook import argmax_tree
from bmtas.engine.launch import build_runner
from bmtas.engine.updates import SCALES
from bmtas.resources import ResourceTable


def describe(tree: BranchingTree, table: ResourceTable) -> str:
    """The tree as text, and its cost beside those of the extremes."""
    scale, unit = SCALES[table.unit]
    return (
        f'{tree}\ncost {tree.cost(table) / scale:.4g} {unit} '
        f'(shared {table.shared / scale:.4g}, separate {table.separate / scale:.4g})'
    )


def run_gradient_search(cfg: Config) -> BranchingTree:
    """Search by gradients; the hooks of the config write the results."""
    runner = build_runner(cfg, 'search')
    runner.train()
    tree = argmax_tree(unwrap(runner.model))
    if is_main_process():
        table = runner.train_loop.table
        runner.logger.info(f'the tree that was found:\n{describe(tree, table)}')
        runner.logger.info(f'done: branching.json and logs in {cfg.work_dir}')
    return tree
