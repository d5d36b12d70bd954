"""mmengine's Runner with the repairs that every run of bmtas needs."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapperDict, ReduceOnPlateauParamScheduler
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bmtas.engine.building import building
from bmtas.engine.checkpoint import (
    BACKEND,
    PlainCheckpointHook,
    find_resumable,
    read_checkpoint,
)
from bmtas.engine.dist import convert_sync_batchnorm, unwrap
from bmtas.engine.fit import load_fitting
from bmtas.engine.work_dir import WorkDir
from bmtas.files import writing_below
from bmtas.registry import LOOPS

# what the file keeps and the console need not show
_QUIET = (
    '\n---',
    'Config:',
    'Hooks will be executed',
    'Distributed training is not used',
    'Exp name',
    'Failed to search registry',
    'Loads checkpoint by',
    'Load checkpoint from',
    'Checkpoints will be saved to',
    'resumed epoch',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
    'Did not find last_checkpoint',
)
# torch's name of the option, and the name that older versions know
_SYNC_BUFFERS = ('forward_sync_buffers', 'broadcast_buffers')


def _for_console(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not record.getMessage().startswith(_QUIET)


def _names_key(method: str, key: str) -> Any:
    """A method of the Runner whose errors name the config and the key, see ``building``."""
    inherited = getattr(Runner, method)

    @functools.wraps(inherited)
    def build(self: Runner, *args: Any, **kwargs: Any) -> Any:
        with building(self.cfg, key):
            return inherited(self, *args, **kwargs)

    return build


class MultiTaskRunner(Runner):
    """A Runner that

    - keeps the environment, the config and the list of hooks out of the console (they stay in the
      log file);
    - runs distributed on a CPU;
    - writes plain checkpoints (PlainCheckpointHook), resumes from the newest one of its own that
      loads, and refuses a checkpoint of another network, seed or number of images.

    Attributes:
        loop_arguments: Arguments of the training loop that no config can hold.
        claim: The claim to the work dir, given back when a training ends.
    """

    loop_arguments: Mapping[str, Any] = {}
    claim: WorkDir | None = None
    _loaded_meta: Mapping[str, Any] = {}

    set_randomness = _names_key('set_randomness', 'randomness')
    build_log_processor = _names_key('build_log_processor', 'log_processor')
    build_visualizer = _names_key('build_visualizer', 'visualizer')
    build_model = _names_key('build_model', 'model')
    build_optim_wrapper = _names_key('build_optim_wrapper', 'optim_wrapper')
    build_param_scheduler = _names_key('build_param_scheduler', 'param_scheduler')
    register_default_hooks = _names_key('register_default_hooks', 'default_hooks')
    register_custom_hooks = _names_key('register_custom_hooks', 'custom_hooks')
    _maybe_compile = _names_key('_maybe_compile', 'compile')

    def setup_env(self, env_cfg: Mapping[str, Any]) -> None:
        """mmengine's environment, and ``num_threads``."""
        with building(self.cfg, 'env_cfg'):
            super().setup_env(env_cfg)
        if env_cfg.get('num_threads') is not None:
            torch.set_num_threads(env_cfg['num_threads'])

    def build_train_loop(self, loop: Any) -> Any:
        """mmengine's loop, with ``loop_arguments``."""
        if isinstance(loop, Mapping):
            loop = {**loop, **self.loop_arguments}
        self._train_dataloader = self._loader('train')
        with building(self.cfg, 'train_cfg'):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: Any) -> Any:
        """mmengine's loop."""
        self._val_dataloader = self._loader('val')
        with building(self.cfg, 'val_cfg'):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: Any) -> Any:
        """mmengine's loop."""
        self._test_dataloader = self._loader('test')
        with building(self.cfg, 'test_cfg'):
            return super().build_test_loop(loop)

    def _loader(self, split: str) -> Any:
        """The data loader of a split, built as a loop of mmengine would."""
        loader = getattr(self, f'_{split}_dataloader')
        if not isinstance(loader, Mapping):
            return loader
        with building(self.cfg, f'{split}_dataloader'):
            apart = self._randomness_cfg.get('diff_rank_seed', False)
            return self.build_dataloader(loader, seed=self.seed, diff_rank_seed=apart)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """mmengine's logger with a quieter console.

        Loggers, message hubs and visualizers are found by the name of the experiment, which two
        runs of one second share: the later one would write into the folder of the other.
        """
        name, number = self._experiment_name, 1
        while MMLogger.check_instance_created(self._experiment_name):
            number += 1
            self._experiment_name = f'{name}_{number}'
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_for_console)
                handler.setFormatter(logging.Formatter('%(asctime)s  %(message)s', '%H:%M:%S'))
        return logger

    def wrap_model(self, model_wrapper_cfg: Mapping[str, Any] | None, model: nn.Module) -> Any:
        """Move the model to its device; wrap it if its gradients are averaged during backward."""
        if not self.distributed:
            return super().wrap_model(model_wrapper_cfg, model)
        model = model.to(get_device())
        if self.cfg.get('sync_bn'):
            model = convert_sync_batchnorm(model)
        train_cfg = self.cfg.get('train_cfg') or {}
        loop = LOOPS.get(train_cfg['type']) if 'type' in train_cfg else None
        if hasattr(loop, 'averages_gradients') and loop.averages_gradients(train_cfg):
            return model
        options: dict[str, Any] = dict(
            find_unused_parameters=self.cfg.get('find_unused_parameters', False)
        )
        options.update(model_wrapper_cfg or {})
        if not any(name in options for name in _SYNC_BUFFERS):
            known = inspect.signature(DistributedDataParallel).parameters
            options[next(name for name in _SYNC_BUFFERS if name in known)] = False
        options.pop('type', None)
        gpu = torch.cuda.is_available()
        device_ids = [int(os.environ.get('LOCAL_RANK', 0))] if gpu else None
        return MMDistributedDataParallel(model, device_ids=device_ids, **options)

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """The configured hooks, and the one that makes checkpoints plain."""
        super().register_hooks(*args, **kwargs)
        self.register_hook(PlainCheckpointHook())

    def train(self) -> nn.Module:
        """Launch the training; the work dir is given back at the end."""
        try:
            with building(self.cfg, 'activation_checkpointing'):
                for name in self.cfg.get('activation_checkpointing') or ():
                    unwrap(self.model).get_submodule(name)
            with writing_below(self.work_dir):
                return super().train()
        finally:
            if self.claim is not None:
                self.claim.release()

    def test(self) -> dict[str, float]:
        """Launch the test."""
        with writing_below(self.work_dir):
            return super().test()

    def run_info(self) -> dict[str, Any]:
        """What a checkpoint says of its run: name, length in updates, images that it trains on."""
        return dict(
            run=self.claim.run if self.claim is not None else '',
            length=self.max_iters,
            images=len(self.train_loop.dataloader.dataset),
        )

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save through bmtas.files: whole or not at all, with a checksum."""
        kwargs['backend_args'] = dict(backend=BACKEND)
        super().save_checkpoint(*args, **kwargs)

    def load_or_resume(self) -> None:
        """Go on from the newest checkpoint of this run that loads; else load ``load_from``."""
        if self._has_loaded:
            return
        if self._resume:
            found = [None]
            if is_main_process():
                run = self.claim.run if self.claim is not None else ''
                path, notes = find_resumable(self.work_dir, run)
                for note in notes:
                    self.logger.warning(f'{note}; trying an older one')
                found = [None if path is None else str(path)]
            broadcast_object_list(found)
            if found[0] is not None:
                self.resume(found[0])
                return
            self.logger.info(f'no checkpoint in {self.work_dir}: starting from the beginning')
            self._resume = False
        if self._load_from is not None:
            with building(self.cfg, 'load_from'):
                self.load_checkpoint(self._load_from)

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Go on from a checkpoint, along the schedules of this run's length.

        Raises:
            ValueError: Damaged file, or a checkpoint of another network, seed or number of images.
        """
        super().resume(filename, *args, **kwargs)
        self.logger.info(f'resumed {filename} at update {self.iter}')
        before, now = self._loaded_meta.get('length', self.max_iters), self.max_iters
        if now < self.iter:
            raise ValueError(
                f'{filename} is of update {self.iter}, the config ends after {now} updates'
            )
        if before != now:
            self.logger.info(f'{now} updates instead of {before}: the schedules are those of {now}')
            self._restart_schedules()

    def _restart_schedules(self) -> None:
        """Bring learning rates where the schedules of this config have them at this update."""
        wrappers = self.optim_wrapper
        wrappers = wrappers.values() if isinstance(wrappers, OptimWrapperDict) else [wrappers]
        for group in (group for w in wrappers for group in w.optimizer.param_groups):
            for key in [key for key in group if key.startswith('initial_')]:
                group[key.removeprefix('initial_')] = group[key]
        if self.param_schedulers is None:
            return
        self.param_schedulers = self.build_param_scheduler(deepcopy(self.cfg.param_scheduler))
        found = self.param_schedulers
        lists = found.values() if isinstance(found, Mapping) else [found]
        schedulers = [scheduler for entry in lists for scheduler in entry]
        if any(isinstance(s, ReduceOnPlateauParamScheduler) for s in schedulers):
            raise ValueError(
                'param_scheduler: a schedule that follows scores cannot be continued with another '
                'number of updates'
            )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # no optimizer steps in between
            for _ in range(self.iter):
                for scheduler in schedulers:
                    if not scheduler.by_epoch:
                        scheduler.step()

    def load_checkpoint(
        self, filename: str, map_location: Any = 'cpu', strict: bool = True, **kwargs: Any
    ) -> Mapping[str, Any]:
        """Load weights; all of them must fit unless they only initialise a training.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Damaged file, or a checkpoint of another network or another run.
        """
        checkpoint = dict(read_checkpoint(filename, map_location))
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = checkpoint.get('state_dict', checkpoint)
        if not isinstance(state, Mapping):
            raise ValueError(f'checkpoint {filename}: state_dict holds no weights')
        initialises = self._train_loop is not None and not self._resume
        fit = load_fitting(unwrap(self.model), state, partly=initialises)
        if not fit.loaded or not (initialises or fit.is_complete):
            raise ValueError(f'checkpoint {filename} does not fit the model: {fit.describe()}')
        if initialises:
            self.logger.info(f'load_from {filename}: {fit.describe()}')
        parts = ['optimizer', *(['param_schedulers'] if self.param_schedulers else [])]
        absent = [part for part in parts if part not in checkpoint] if self._resume else []
        if absent:
            raise ValueError(
                f'checkpoint {filename} was saved without its {absent[0]}, a run cannot go on from '
                f'it; load_from begins a new one with its weights'
            )
        self._has_loaded = True
        self._loaded_meta = checkpoint.get('meta') or {}
        if self._resume:
            self._compare_with(filename, self._loaded_meta)
        return checkpoint

    def _compare_with(self, filename: str, meta: Mapping[str, Any]) -> None:
        images = len(self.train_loop.dataloader.dataset)
        for key, there, here in (
            ('randomness.seed', meta.get('seed', self.seed), self.seed),
            ('train_dataloader: number of images', meta.get('images', images), images),
        ):
            if there != here:
                raise ValueError(
                    f'{key}: {here}, but {filename} was made with {there}; a run is resumed with '
                    'the config and the data that it was begun with'
                )
