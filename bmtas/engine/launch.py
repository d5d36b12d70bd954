"""From a config and the command line to a runner."""

from __future__ import annotations

import inspect
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bmtas.branching import BranchingTree
from bmtas.datasets.preflight import check_datasets
from bmtas.engine.config import load_config
from bmtas.engine.config_check import accepted_arguments
from bmtas.engine.dist import init_distributed
from bmtas.engine.loops import BranchingSearchLoop
from bmtas.engine.runner import MultiTaskRunner
from bmtas.files import load_state
from bmtas.models.encoders import encoder_class, is_open
from bmtas.registry import LOOPS, MODELS
from bmtas.resources import ResourceTable, table_from_cfg

TABLE = 'resources.json'

_TRAIN = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler')
_VAL = ('val_dataloader', 'val_cfg', 'val_evaluator')
_TEST = ('test_dataloader', 'test_cfg', 'test_evaluator')


def config_from_args(args: Namespace) -> Config:
    """The config of a command line (``add_config_arguments``, ``add_run_arguments``)."""
    cfg = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    cfg.launcher = getattr(args, 'launcher', 'none')
    cfg.resume = getattr(args, 'resume', False)
    if getattr(args, 'amp', False):
        use_autocast(cfg)
    return cfg


def use_autocast(cfg: Config) -> None:
    """Make every optimizer wrapper of a config run in bfloat16."""
    wrapper = cfg.get('optim_wrapper') or {}
    parts = [wrapper] if 'optimizer' in wrapper else wrapper.values()
    for part in parts:
        if isinstance(part, Mapping):
            part['type'] = 'AutocastOptimWrapper'


def _require(cfg: Config, *keys: str) -> None:
    for key in keys:
        if not cfg.get(key):
            raise ValueError(f'{cfg.filename}: {key}: missing, this tool needs it')


def takes_tasks(cfg: Config) -> bool:
    """Whether the config's model has a task table; a predictor of network codes has none."""
    model = MODELS.get(str(cfg.model.get('type')))
    return model is None or 'tasks' in (accepted_arguments(model) or {'tasks'})


def resource_table(cfg: Config) -> ResourceTable:
    """The resource table of a config, kept in the work dir."""
    _require(cfg, 'model', 'tasks', 'input_size')
    return table_from_cfg(cfg, Path(cfg.work_dir) / TABLE)


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
    names = [task['name'] for task in cfg.tasks]
    BranchingTree.from_file(path, names)  # cheap checks first: counting takes seconds
    layers = resource_table(cfg).num_layers
    set_routes(cfg, BranchingTree.from_file(path, names, layers), path)


def encoder_from_checkpoint(cfg: Config, checkpoint: str | Path) -> None:
    """Take from a checkpoint what its encoder must be built with, e.g. the routes of a tree.

    The code of a NetworkCodeModel always comes from the checkpoint: no other code's network fits.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: The checkpoint is damaged, lacks the tree, or is for other tasks.
    """
    content = load_state(checkpoint)
    code = content.get('network_code')
    if code is not None and cfg.model.get('type') == 'NetworkCodeModel':
        cfg.model.backbone.code = list(code)
    encoder = cfg.model.get('encoder')
    if encoder is None:
        return
    _merge(encoder, content.get('encoder') or {})
    if is_open(encoder) and not encoder_class(encoder).searchable:
        raise ValueError(f'checkpoint {checkpoint} holds no routes; it is not a branched network')


def _merge(cfg: dict[str, Any], state: Mapping[str, Any]) -> None:
    """Replace values of a config, those of nested dicts one by one."""
    for key, value in state.items():
        if isinstance(value, Mapping) and isinstance(cfg.get(key), dict):
            _merge(cfg[key], value)
        else:
            cfg[key] = value


def check_data(cfg: Config, purpose: str, constant: bool = False) -> None:
    """End at once where the data of a run is missing or incomplete; tools call it first.

    Args:
        cfg: A complete config.
        purpose: 'search', 'train' or 'test'.
        constant: A test that also looks at the training labels.

    Raises:
        FileNotFoundError, ValueError: See ``check_datasets``.
    """
    if purpose == 'test':
        loaders = ['test_dataloader'] + ['train_dataloader'] * constant
    else:
        loaders = ['train_dataloader'] + ['val_dataloader'] * bool(cfg.get('val_cfg'))
    check_datasets(cfg, loaders)


def _prepare_search(cfg: Config) -> None:
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
    resource_table(cfg)
    cfg.train_cfg.table = str(Path(cfg.work_dir) / TABLE)
    if cfg.get('resource_loss'):
        cfg.train_cfg.resource = cfg.resource_loss


def build_runner(cfg: Config, purpose: str) -> MultiTaskRunner:
    """Join the process group and build the runner of a search, a training or a test.

    Args:
        cfg: A complete config.
        purpose: 'search', 'train' or 'test'; the parts of the others are dropped. Validation during
            search and training takes place if the config has a ``val_cfg``.
    """
    _require(cfg, 'model', *(_TRAIN[:3] if purpose != 'test' else _TEST[:1]))
    if takes_tasks(cfg):
        _require(cfg, 'tasks')
    init_distributed(cfg.get('launcher', 'none'))
    dropped = set(_TEST)
    if purpose == 'test':
        dropped = {*_TRAIN, *_VAL, 'custom_hooks'}
        cfg.setdefault('test_cfg', dict(type='TestLoop'))
    elif not cfg.get('val_cfg'):
        dropped |= set(_VAL)
    for key in dropped:
        cfg.pop(key, None)
    check_data(cfg, purpose)
    if purpose == 'search':
        _prepare_search(cfg)
    return MultiTaskRunner.from_cfg(cfg)
