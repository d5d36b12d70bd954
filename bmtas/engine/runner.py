"""mmengine's Runner with the repairs that every run of bmtas needs."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn

from bmtas.engine.checkpoint import PlainCheckpointHook, find_resumable, install_files
from bmtas.engine.dist import convert_sync_batchnorm
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


def _for_console(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or not record.getMessage().startswith(_QUIET)


class MultiTaskRunner(Runner):
    """A Runner that

    - keeps the environment, the config and the list of hooks out of the console (they stay in the
      log file);
    - runs distributed on a CPU;
    - writes plain checkpoints (PlainCheckpointHook), resumes from the newest one that loads, and
      refuses a checkpoint of another network or another seed.

    ``loop_arguments`` are arguments of the training loop that no config can hold.
    """

    loop_arguments: Mapping[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install_files()
        super().__init__(*args, **kwargs)

    def build_train_loop(self, loop: Any) -> Any:
        """mmengine's loop, with ``loop_arguments``."""
        if isinstance(loop, Mapping):
            loop = {**loop, **self.loop_arguments}
        return super().build_train_loop(loop)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """mmengine's logger with a quieter console."""
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
        options = dict(
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters', False),
        )
        options.update(model_wrapper_cfg or {})
        options.pop('type', None)
        gpu = torch.cuda.is_available()
        device_ids = [int(os.environ.get('LOCAL_RANK', 0))] if gpu else None
        return MMDistributedDataParallel(model, device_ids=device_ids, **options)

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """The configured hooks, and the one that makes checkpoints plain."""
        super().register_hooks(*args, **kwargs)
        self.register_hook(PlainCheckpointHook())

    def load_or_resume(self) -> None:
        """Load ``load_from``, or go on from the newest checkpoint of the work dir that loads."""
        if self._resume and self._load_from is None and not self._has_loaded:
            found = [None]
            if is_main_process():
                path, notes = find_resumable(self.work_dir)
                for note in notes:
                    self.logger.warning(f'{note}; trying an older one')
                found = [None if path is None else str(path)]
            broadcast_object_list(found)
            if found[0] is None:
                self.logger.info(f'no checkpoint in {self.work_dir}: starting from the beginning')
                return
            self.resume(found[0])
            self.logger.info(f'resumed {found[0]} at update {self.iter}')
            return
        super().load_or_resume()

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> dict:
        """Load weights; all of them must fit unless they only initialise a training.

        Raises:
            FileNotFoundError: No such file.
            ValueError: Damaged file, or a checkpoint of another network or another seed.
        """
        initialises = self._train_loop is not None and not self._resume
        kwargs.setdefault('strict', not initialises)
        try:
            # mmengine prints the path, past every logger
            with redirect_stdout(io.StringIO()):
                checkpoint = super().load_checkpoint(filename, *args, **kwargs)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).split('\n') if line.strip()]
            raise ValueError(
                f'checkpoint {filename} does not fit the model: {" ".join(lines[1:])[:300]}'
            ) from error
        seed = checkpoint.get('meta', {}).get('seed') if isinstance(checkpoint, dict) else None
        if self._resume and seed is not None and seed != self.seed:
            raise ValueError(
                f'randomness.seed: {self.seed}, but {filename} was made with {seed}; '
                'resume with the same seed'
            )
        return checkpoint
