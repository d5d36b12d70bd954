"""Checkpoints that survive a kill and load without trusting a pickle.

Importing this module replaces three parts of mmengine: the loader of local files and the loader of
URLs (both now with ``weights_only=True``) and the local file back-end (writes become atomic).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from bmtas.files import load_state, seal, write_bytes
from bmtas.registry import HOOKS

HISTORY = 1000
"""Values per logged scalar that a checkpoint keeps; the windows of the log must not be longer."""

_STEP = re.compile(r'(?:iter|epoch)_(\d+)\.pth$')


class AtomicLocalBackend(LocalBackend):
    """Local files that are either the old or the new version, never a part.

    ``bmtas.files`` writes them.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes to a file; a checkpoint gets its checksum."""
        write_bytes(filepath, seal(obj) if str(filepath).endswith('.pth') else obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


def load_from_http(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint from a URL: rank 0 downloads it, the others read its copy."""
    rank, world_size = get_dist_info()

    def load() -> Any:
        return torch.hub.load_state_dict_from_url(
            filename, map_location=map_location, weights_only=True, progress=rank == 0
        )

    checkpoint = load() if rank == 0 else None
    if world_size > 1:
        torch.distributed.barrier()
    return load() if checkpoint is None else checkpoint


def install_files() -> None:
    """Let mmengine read and write checkpoints our way; a runner does so when it is made."""
    CheckpointLoader.register_scheme('', load_state, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    register_backend('local', AtomicLocalBackend, force=True, prefixes='')


def checkpoints_of(work_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, newest first; the copies of the best ones are not among them."""
    found = []
    for path in Path(work_dir).glob('*.pth'):
        match = _STEP.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found, reverse=True)]


def find_resumable(work_dir: str | Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a run that loads.

    Returns:
        Its path, None if there is none; and a note about each newer one that did not load.
    """
    notes = []
    for path in checkpoints_of(work_dir):
        try:
            checkpoint = load_state(path)
        except ValueError as error:
            notes.append(str(error))
            continue
        if {'meta', 'state_dict'} <= checkpoint.keys():
            return path, notes
        notes.append(f'checkpoint {path} is not one of a run')
    return None, notes


def to_plain(value: Any) -> Any:
    """Reduce a value to what ``weights_only=True`` accepts; other objects become their ``repr``."""
    if value is None or isinstance(value, (bool, int, float, str, torch.Tensor)):
        # subclasses (np.float64 is a float) lose their type
        for plain in (bool, int, float, str):
            if isinstance(value, plain):
                return plain(value)
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {to_plain(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [to_plain(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return repr(value)


def pack_history(buffer: HistoryBuffer) -> dict[str, list]:
    """A log buffer as plain lists of its last ``HISTORY`` values."""
    values, counts = buffer.data
    return dict(values=values[-HISTORY:].tolist(), counts=counts[-HISTORY:].tolist())


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Turns mmengine's log buffers into plain lists in a checkpoint, and back.

    Acts last before a checkpoint is written and first after one is loaded. Every run has it.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Make all but the tensors' containers plain."""
        hub = checkpoint['message_hub']
        checkpoint['message_hub'] = dict(
            log_scalars={key: pack_history(value) for key, value in hub['log_scalars'].items()},
            runtime_info=to_plain(hub['runtime_info']),
            resumed_keys=to_plain(hub['resumed_keys']),
        )
        checkpoint['meta'] = to_plain(checkpoint['meta'])
        schedulers = checkpoint.get('param_schedulers') or []
        for states in schedulers.values() if isinstance(schedulers, Mapping) else [schedulers]:
            for state in states:  # OneCycleLR keeps its function; a resumed one has its own
                for key in [key for key, value in state.items() if callable(value)]:
                    del state[key]
        model = getattr(runner.model, 'module', runner.model)
        encoder = getattr(model, 'encoder', None)
        if encoder is not None:  # what tools/test.py rebuilds the network from
            checkpoint['encoder'] = encoder.checkpoint_state()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Build the log buffers that mmengine expects."""
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['log_scalars'] = {
                key: HistoryBuffer(value['values'], value['counts'])
                for key, value in hub['log_scalars'].items()
                if isinstance(value, Mapping)
            }
        meta = checkpoint.get('meta', {})
        meta.pop('config', None)  # mmengine would execute it
        # only a training loop resumes; what it compares is the object itself, not its copy
        loader = getattr(runner.train_loop, 'dataloader', None) if runner._resume else None
        info = getattr(getattr(loader, 'dataset', None), 'metainfo', None)
        if info is not None and to_plain(info) == meta.get('dataset_meta'):
            meta['dataset_meta'] = info
