"""From a config and the command line to a runner."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from bmtas.datasets import check_datasets
from bmtas.engine.config import load_config
from bmtas.engine.dist import init_distributed
from bmtas.engine.runner import MultiTaskRunner
from bmtas.engine.work_dir import WorkDir
from bmtas.files import writing_below
from bmtas.plug_ins import plug_in_arguments
from bmtas.registry import MODELS
from bmtas.resources import ResourceTable, table_from_cfg
from bmtas.typed import accepted_arguments

TABLE = 'resources.json'

_TRAIN = ('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler')
_VAL = ('val_dataloader', 'val_cfg', 'val_evaluator')
_TEST = ('test_dataloader', 'test_cfg', 'test_evaluator')


def config_from_args(args: Namespace) -> Config:
    """The config of a command line (``add_config_arguments``, ``add_run_arguments``)."""
    cfg = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
    if getattr(args, 'launcher', 'none') != 'none':
        cfg.launcher = args.launcher
    cfg.resume = getattr(args, 'resume', False) or cfg.get('resume', False)
    cfg.overwrite = getattr(args, 'overwrite', False)
    for plug_in in plug_in_arguments():
        cfg = plug_in.apply(args, cfg)
    if getattr(args, 'amp', False):
        use_autocast(cfg)
    return cfg


def use_autocast(cfg: Config) -> None:
    """Make every optimizer wrapper of a config run in bfloat16."""
    wrapper = cfg.get('optim_wrapper') or {}
    parts = [wrapper] if 'optimizer' in wrapper else wrapper.values()
    for part in parts:
        if isinstance(part, Mapping):
            if part.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AutocastOptimWrapper'):
                raise ValueError(
                    f'--amp: would replace optim_wrapper.type={part["type"]} of the config; leave '
                    'out one of them'
                )
            part['type'] = 'AutocastOptimWrapper'


def require(cfg: Config, *keys: str) -> None:
    """See that a config has what a tool works with.

    Raises:
        ValueError: The first key that is missing or empty.
    """
    for key in keys:
        if not cfg.get(key):
            raise ValueError(f'{cfg.filename}: {key}: missing, this tool needs it')


def takes_tasks(cfg: Config) -> bool:
    """Whether the config's model has a task table; a plug-in's may have none."""
    model = MODELS.get(str(cfg.model.get('type')))
    return model is None or 'tasks' in (accepted_arguments(model) or {'tasks'})


def resource_table(cfg: Config) -> ResourceTable:
    """The resource table of a config, kept in the work dir."""
    require(cfg, 'model', 'tasks', 'input_size')
    return table_from_cfg(cfg, Path(cfg.work_dir) / TABLE)


def check_data(cfg: Config, purpose: str, constant: bool = False) -> dict[str, list[str]]:
    """End at once where the data of a run is missing or incomplete; tools call it first.

    Args:
        cfg: A complete config.
        purpose: 'train' or 'test'.
        constant: A test that also looks at the training labels.

    Returns:
        Names of the images of each data set on disk.

    Raises:
        FileNotFoundError, ValueError: See ``check_datasets``.
    """
    if purpose == 'test':
        loaders = ['test_dataloader'] + ['train_dataloader'] * constant
    else:
        loaders = ['train_dataloader'] + ['val_dataloader'] * bool(cfg.get('val_cfg'))
    return check_datasets(cfg, loaders)


def build_runner(cfg: Config, purpose: str) -> MultiTaskRunner:
    """Join the process group and build the runner of a training (a search is one) or a test.

    Args:
        cfg: A complete config.
        purpose: 'train' or 'test'; the parts of the other are dropped. Validation during training
            takes place if the config has a ``val_cfg``.

    Raises:
        FileNotFoundError, ValueError: The data is not there, or a key of the config is missing.
    """
    require(cfg, 'model', *(_TRAIN[:3] if purpose != 'test' else _TEST[:1]))
    if takes_tasks(cfg):
        require(cfg, 'tasks')
    init_distributed(cfg.get('launcher', 'none'))
    dropped = set(_TEST)
    if purpose == 'test':
        dropped = {*_TRAIN, *_VAL, 'custom_hooks'}
        cfg.setdefault('test_cfg', dict(type='TestLoop'))
    elif not cfg.get('val_cfg'):
        dropped |= set(_VAL)
    for key in dropped:
        cfg.pop(key, None)
    images = check_data(cfg, purpose)
    claim = WorkDir(cfg.work_dir)
    # not a key of configs: the copy in the work dir must load again
    overwrite = cfg.pop('overwrite', False)
    if purpose == 'train':
        claim.claim(cfg, cfg.get('resume', False), overwrite, images)
    try:
        with writing_below(cfg.work_dir):
            runner = MultiTaskRunner.from_cfg(cfg)
    except BaseException:
        claim.release()
        raise
    runner.claim = claim
    return runner
