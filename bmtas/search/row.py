"""One training of a tree, to be compared with others: from a row's folder to its result."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.engine import (
    Purpose,
    build_runner,
    checkpoints_of,
    mean_losses,
    parse_config,
    position_rng,
    set_routes,
    unwrap,
)
from bmtas.files import read_json, write_json
from bmtas.models.encoders import encoder_class
from bmtas.registry import DATASETS, MODELS
from bmtas.sealed import load_state, save_state
from bmtas.search.elapsed import ElapsedHook
from bmtas.search.gradient.loop import split_indices
from bmtas.search.row_start import StartHook, end_state
from bmtas.search.task_affinity import TaskAffinityHook
from bmtas.search.uniform import InheritedTree, supergraph_config
from bmtas.typed import check_value

CONFIG, ROW, RESULT, START = 'config.py', 'row.json', 'result.json', 'start.pth'
POOL = 'pool.json'
RECALIBRATION = 16
"""Batches from which a tree with inherited weights gets its batch norm statistics."""


@dataclass(frozen=True)
class Row:
    """What to train.

    Args:
        routes: (L, T) of the tree.
        updates: Length of the training, whose schedule ends with it.
        seed: Of all its random numbers.
        source: Kind of training, rows of one kind are comparable: 'train', 'probe', 'pairs';
            'supernet' is the training of a supergraph, 'supergraph' a tree with its weights.
        tasks: Names of the tasks that take part; all if empty.
        start: Key of the row of a shared network from whose end the training starts.
        keep: Whether others start from this row's end.
        measure: Last layers of locations at which the tasks' affinities are measured.
    """

    routes: tuple[tuple[int, ...], ...]
    updates: int
    seed: int
    source: str = 'train'
    tasks: tuple[str, ...] = ()
    start: str = ''
    keep: bool = False
    measure: tuple[int, ...] = ()

    @classmethod
    def of(cls, tree: BranchingTree, updates: int, seed: int, **options: Any) -> Row:
        """The row of a tree."""
        return cls(tuple(map(tuple, tree.routes.tolist())), updates, seed, **options)

    @classmethod
    def from_file(cls, path: str | Path) -> Row:
        """Read what ``to_file`` wrote."""
        content = read_json(path, 'row of a search')
        check_value(content, cls, str(path))
        lists = {key: tuple(content[key]) for key in ('tasks', 'measure') if key in content}
        return cls(**{**content, **lists, 'routes': tuple(map(tuple, content['routes']))})

    def to_file(self, path: str | Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @property
    def key(self) -> str:
        """Name of the row's folder, the same for equal rows."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def train_row(folder: str | Path) -> None:
    """Train the row of a folder, go on if it was begun; leaves ``result.json``."""
    folder = Path(folder)
    row = Row.from_file(folder / ROW)
    cfg = _config(folder, row)
    init_default_scope(cfg.get('default_scope', 'bmtas'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    held, used = split_indices(len(dataset), cfg.pop('held_out'), seed)
    cfg.train_dataloader.sampler = dict(type='PositionSampler', indices=used.tolist())
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=row.seed)
    if row.source == 'supergraph':
        content = _inherited(cfg, row, folder, held, dataset, used)
    else:
        content = _trained(cfg, row, folder, held)
    write_json(folder / RESULT, dict(content, images=len(held)))
    for path in checkpoints_of(folder):  # what it was trained for is written down
        path.unlink()


def _trained(cfg: Config, row: Row, folder: Path, held: np.ndarray) -> dict[str, Any]:
    """Train a tree or a supergraph; content of ``result.json``."""
    if row.source == 'supernet':
        supergraph_config(cfg, np.array(read_json(folder / POOL)))
        hooks: list[Hook] = []
    else:
        shared = _shared_state(cfg, row.seed)
        tree = _of_tasks(BranchingTree.from_routes(row.routes, list(cfg.tasks)), row.tasks)
        cfg.tasks = {name: entry for name, entry in cfg.tasks.items() if name in tree.tasks}
        cfg.model.tasks = cfg.tasks
        set_routes(cfg, tree, folder)
        start = load_state(folder.parent / row.start / START) if row.start else dict(state=shared)
        hooks = [StartHook(start), *([TaskAffinityHook(row.measure)] if row.measure else [])]
    runner, clock = build_runner(cfg, 'train'), ElapsedHook()
    for hook in [clock, *hooks]:
        runner.register_hook(hook)
    runner.train()
    content: dict[str, Any] = dict(seconds=clock.seconds, losses={})
    model = unwrap(runner.model)
    if row.source != 'supernet':
        content['losses'] = held_out_losses(model, _plain_images(cfg), held)
    if row.measure:
        content['affinity'] = hooks[1].affinity().tolist()
    if row.keep:
        optimizer = None if row.source == 'supernet' else runner.optim_wrapper.optimizer
        save_state(folder / START, end_state(model, optimizer))
    return content


def _inherited(
    cfg: Config, row: Row, folder: Path, held: np.ndarray, dataset: Any, used: np.ndarray
) -> dict[str, Any]:
    """Evaluate a tree with the weights of a supergraph; content of ``result.json``."""
    begin = time.perf_counter()
    supergraph_config(cfg, np.zeros((0, 0, 0), int))
    model = MODELS.build(dict(cfg.model, tasks=cfg.tasks)).to(get_device())
    model.load_state_dict(load_state(folder.parent / row.start / START)['state'])
    order = position_rng(row.seed, Purpose.TREES, int(row.key, 16)).permutation(len(cfg.tasks))
    tree = BranchingTree.from_routes(row.routes, list(cfg.tasks))
    inherited = InheritedTree(model, tree, order)
    size = cfg.train_dataloader.batch_size
    starts = range(0, min(len(used), RECALIBRATION * size), size)
    inherited.recalibrate(
        pseudo_collate([dataset[int(i)] for i in used[start : start + size]]) for start in starts
    )
    losses = held_out_losses(inherited, _plain_images(cfg), held)
    return dict(seconds=time.perf_counter() - begin, losses=losses)


def _config(folder: Path, row: Row) -> Config:
    cfg = parse_config(folder.parent / CONFIG)
    cfg.update(work_dir=str(folder), resume=True, launcher='none', val_cfg=None)
    cfg.experiment_name = f'{row.key}-{time.time_ns()}'  # mmengine shares logs by name
    cfg.train_cfg.max_iters = row.updates
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint:
        checkpoint.interval = min(checkpoint.get('interval', row.updates), row.updates)
    return cfg


def _of_tasks(tree: BranchingTree, tasks: Sequence[str]) -> BranchingTree:
    """The tree of some of the tasks."""
    if not tasks:
        return tree
    columns = [tree.tasks.index(name) for name in tree.tasks if name in tasks]
    return BranchingTree.from_routes(tree.routes[:, columns], [tree.tasks[i] for i in columns])


def _shared_state(cfg: Config, seed: int) -> dict[str, Tensor]:
    """Weights of the shared network of all tasks, drawn with a seed."""
    encoder = dict(cfg.model.encoder)
    shared = encoder_class(encoder).config_of_tree(encoder, 'shared')
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = MODELS.build(dict(cfg.model, encoder=shared, tasks=cfg.tasks))
        model.init_weights()
    return model.state_dict()


def _plain_images(cfg: Config) -> Any:
    """The training images without augmentation."""
    plain = cfg.get('val_dataloader') or cfg.get('test_dataloader') or cfg.train_dataloader
    return DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=plain.dataset.pipeline))


def held_out_losses(model: nn.Module, dataset: Any, indices: Sequence[int]) -> dict[str, float]:
    """Log of each task's mean loss on some images.

    Raises:
        ValueError: A loss that has no logarithm, e.g. of a task without labels there.
    """
    means = mean_losses(model, dataset, indices)
    for name, value in means.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f'task {name!r}: its loss on the held-out images is {value}, not > 0')
    return {name: math.log(value) for name, value in means.items()}


def main() -> int:
    """Train the row of the folder that is named on the command line."""
    try:
        train_row(sys.argv[1])
    except (ValueError, OSError) as error:
        print(f'error: {" ".join(str(error).split())}', flush=True)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
