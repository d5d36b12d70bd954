"""Run a search and write down what it found."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

from bmtas.branching import BranchingTree
from bmtas.datasets.preflight import check_datasets
from bmtas.engine.build import TABLE, build_runner, check_data, resource_table
from bmtas.engine.dist import init_distributed
from bmtas.engine.history import FILE, read_history
from bmtas.engine.hooks.branching_log_hook import argmax_tree
from bmtas.engine.hooks.save_branching_hook import BRANCHING
from bmtas.engine.loops import BranchingSearchLoop
from bmtas.engine.updates import SCALES
from bmtas.models.encoders import encoder_class
from bmtas.registry import LOOPS, STRATEGIES
from bmtas.resources import ResourceTable
from bmtas.search import SearchContext
from bmtas.structures import build_tasks
from bmtas.visualization import draw_alpha, draw_curves, draw_tree

PICTURES = 'vis'


def describe(tree: BranchingTree, table: ResourceTable) -> str:
    """The tree as text, and its cost beside those of the extremes."""
    scale, unit = SCALES[table.unit]
    return (
        f'{tree}\ncost {tree.cost(table) / scale:.4g} {unit} '
        f'(shared {table.shared / scale:.4g}, separate {table.separate / scale:.4g})'
    )


def history_curves(rows: list[dict[str, Any]]) -> dict[str, list]:
    """Rows of a history file as the lists that ``draw_curves`` takes."""
    keys = ('update', 'cost_exact', 'cost_paper', 'cost_tree', 'tau')
    curves = {key: [row.get(key) for row in rows] for key in keys if any(key in r for r in rows)}
    names = [
        {k: v for k, v in row['losses'].items() if k.startswith('loss_') and k != 'loss_resource'}
        for row in rows
    ]
    return dict(curves, losses=names)


def draw_search(
    work_dir: Path, tree: BranchingTree, table: ResourceTable, alpha: torch.Tensor
) -> list[Path]:
    """Draw tree, alpha and curves of a finished search into the work dir; returns the files."""
    folder = work_dir / PICTURES
    scale, unit = SCALES[table.unit]
    pictures = [
        draw_tree(tree, folder / 'tree.png', table),
        draw_alpha(
            alpha.double().softmax(-1).numpy(), tree.tasks, tree.layers, folder / 'alpha.png'
        ),
    ]
    rows = read_history(work_dir / FILE) if (work_dir / FILE).is_file() else []
    if rows:
        curves = history_curves(rows)
        extremes = dict(shared=table.shared / scale, separate=table.separate / scale)
        pictures.append(draw_curves(curves, folder / 'curves.png', unit, **extremes))
    return pictures


def prepare_search(cfg: Config) -> None:
    """Count the layers and hand table and resource term to the loop.

    Raises:
        ValueError: The config is that of no search by gradients.
    """
    loop = LOOPS.get(cfg.train_cfg.get('type'))
    if not (inspect.isclass(loop) and issubclass(loop, BranchingSearchLoop)):
        raise ValueError(
            f'{cfg.filename}: train_cfg.type: {cfg.train_cfg.get("type")} is no search; give '
            'tools/search.py a config with BranchingSearchLoop or with the key search'
        )
    encoder = cfg.model.get('encoder') or {}
    if not encoder_class(encoder).searchable:
        raise ValueError(
            f'{cfg.filename}: model.encoder.type: a search by gradients needs a '
            f'SupergraphEncoder, not {encoder.get("type")}'
        )
    init_distributed(cfg.get('launcher', 'none'))  # one process counts for all
    resource_table(cfg)
    cfg.train_cfg.table = str(Path(cfg.work_dir) / TABLE)
    if cfg.get('resource_loss'):
        cfg.train_cfg.resource = cfg.resource_loss


def run_gradient_search(cfg: Config) -> BranchingTree:
    """Search by gradients; the hooks of the config write the results."""
    check_data(cfg, 'train')
    prepare_search(cfg)
    runner = build_runner(cfg, 'train')
    runner.train()
    tree, table = argmax_tree(runner.model), runner.train_loop.table
    if is_main_process():
        work_dir = Path(cfg.work_dir)
        tree.to_file(work_dir / BRANCHING, table)
        alpha = runner.model.encoder.alpha.detach().cpu()
        pictures = draw_search(work_dir, tree, table, alpha)
        log = runner.logger.info
        log(f'the tree that was found:\n{describe(tree, table)}')
        log(f'written: {work_dir / BRANCHING}, {", ".join(map(str, pictures))}')
    return tree


def run_strategy(cfg: Config) -> Any:
    """Search by the strategy of the config's key ``search``, in one process.

    A strategy with ``uses_tree = False`` (a search of network codes) needs neither tasks nor a
    resource table, writes its own result and returns it.

    Raises:
        ValueError: Bad arguments, or a distributed launcher.
    """
    if cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'--launcher {cfg.launcher}: {cfg.search.type} runs in one process')
    check_datasets(cfg)
    strategy = STRATEGIES.build(dict(cfg.search))
    work_dir = Path(cfg.work_dir)
    if not getattr(strategy, 'uses_tree', True):
        return strategy.run(SimpleNamespace(cfg=cfg, work_dir=work_dir, log=print))
    table = resource_table(cfg)
    tasks = build_tasks(task.to_dict() for task in cfg.tasks)
    tree = strategy.run(SearchContext(cfg, table, tasks, work_dir))
    tree = BranchingTree.from_routes(tree.routes, tree.tasks, table.layer_names)
    tree.to_file(work_dir / BRANCHING, table)
    picture = draw_tree(tree, work_dir / PICTURES / 'tree.png', table)
    print(f'the tree that was found:\n{describe(tree, table)}')
    print(f'written: {work_dir / BRANCHING}, {picture}')
    return tree
