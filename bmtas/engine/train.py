"""Train a network, along a tree if it is a branched one."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from bmtas.branching import BranchingTree
from bmtas.engine.build import build_runner, check_data, require
from bmtas.engine.record import record_command
from bmtas.engine.runner import MultiTaskRunner
from bmtas.models.encoders import encoder_class
from bmtas.resources import layer_names


def run_training(cfg: Config, branching: str | Path | None = None) -> MultiTaskRunner:
    """Train the network of a config.

    Args:
        cfg: A complete config.
        branching: Branching file whose tree a branched network is built from.

    Returns:
        The runner after its last update.
    """
    if cfg.get('search'):
        raise ValueError(f'{cfg.filename}: is the config of a search; give it to bmtas search')
    check_data(cfg, 'train')  # counting the layers of a tree builds a network
    if branching is not None:
        read_branching(cfg, branching)
    runner = build_runner(cfg, 'train')
    record_command(cfg.work_dir)
    runner.train()
    return runner


def set_routes(cfg: Config, tree: BranchingTree, source: str | Path) -> None:
    """Write a tree's routes into the config of a branched network.

    Raises:
        ValueError: The config's encoder is another one.
    """
    encoder = cfg.model.get('encoder') or {}
    kind = encoder_class(encoder)
    if kind.searchable or not kind.takes_tree:
        raise ValueError(
            f'{cfg.filename}: model.encoder.type: {encoder.get("type")} takes no tree, '
            f'{source} needs a BranchedEncoder'
        )
    cfg.model.encoder = kind.config_of_tree(encoder, tree.routes.tolist())
    cfg.branching = dict(tasks=list(tree.tasks), config=tree.routes.tolist(), source=str(source))


def read_branching(cfg: Config, path: str | Path) -> None:
    """Read a branching file, compare it with tasks and encoder, and inline its routes."""
    require(cfg, 'model', 'tasks')
    names = list(cfg.tasks)
    layers = layer_names(dict(cfg.model, tasks=cfg.tasks))
    set_routes(cfg, BranchingTree.from_file(path, names, len(layers)), path)
