"""Checkpoints that survive a kill, carry a checksum and load without trusting a pickle."""

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

from bmtas.engine.dist import unwrap
from bmtas.engine.finite import check_finite
from bmtas.files import write_bytes
from bmtas.registry import HOOKS
from bmtas.sealed import load_state, seal

HISTORY = 1000
"""Values per logged scalar that a checkpoint keeps; the windows of the log must not be longer."""

BACKEND = 'bmtas'
"""Name of the file back-end that checkpoints are written through."""

_STEP = re.compile(r'(?:iter|epoch)_(\d+)\.pth$')
_CHECKPOINT = re.compile(r'((iter|epoch)_\d+|best_.*)\.pth')


class AtomicLocalBackend(LocalBackend):
    """Local files that are either the old or the new version, never a part; see ``bmtas.files``."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes to a file; a checkpoint gets its checksum."""
        write_bytes(filepath, seal(obj) if str(filepath).endswith('.pth') else obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file."""
        self.put(obj.encode(encoding), filepath)


register_backend(BACKEND, AtomicLocalBackend, force=True)


def read_checkpoint(source: str, map_location: Any = 'cpu') -> Mapping[str, Any]:
    """A checkpoint from a file or a URL, tensors and plain values only; see ``load_state``.

    From a URL rank 0 downloads it, the others read its copy.
    """
    if not str(source).startswith(('http://', 'https://')):
        return load_state(source, map_location)
    rank, world_size = get_dist_info()
    if rank > 0:
        torch.distributed.barrier()
    content = torch.hub.load_state_dict_from_url(
        source, map_location=map_location, weights_only=True, progress=rank == 0
    )
    if rank == 0 and world_size > 1:
        torch.distributed.barrier()
    return content


def checkpoints_of(work_dir: str | Path) -> list[Path]:
    """The checkpoints of a run, newest first; the copies of the best ones are not among them."""
    found = []
    for path in Path(work_dir).glob('*.pth'):
        match = _STEP.fullmatch(path.name)
        if match:
            found.append((int(match[1]), path))
    return [path for _, path in sorted(found, reverse=True)]


def checkpoint_files(folder: str | Path) -> list[Path]:
    """All checkpoints in a folder, those of the best scores too."""
    found = Path(folder).glob('*.pth')
    return sorted(path for path in found if _CHECKPOINT.fullmatch(path.name))


def find_resumable(work_dir: str | Path, run: str = '') -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a run that loads.

    Args:
        work_dir: Folder of the run.
        run: Name of the run; checkpoints of others are passed over.

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
        meta = checkpoint.get('meta')
        if isinstance(meta, Mapping) and 'state_dict' in checkpoint:
            if run in ('', meta.get('run')):
                return path, notes
            notes.append(f'checkpoint {path} is of another run')
        else:
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


def _is_path(key: str) -> bool:
    return key == 'last_ckpt' or key.startswith('best_ckpt')


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Makes checkpoints plain, whole and independent of where they lie. Every run has it.

    Acts last before a checkpoint is written and first after one is loaded: log buffers become plain
    lists and come back, paths are kept relative to the work dir, the name and the length of the run
    and what its encoder is rebuilt from are added. Weights that are not finite are not written.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Make all but the tensors' containers plain."""
        model = unwrap(runner.model)
        check_finite(model, runner.iter)
        hub = checkpoint['message_hub']
        info = {k: Path(v).name if _is_path(k) else v for k, v in hub['runtime_info'].items()}
        checkpoint['message_hub'] = dict(
            log_scalars={key: pack_history(value) for key, value in hub['log_scalars'].items()},
            runtime_info=to_plain(info),
            resumed_keys=to_plain(hub['resumed_keys']),
        )
        checkpoint['meta'] = to_plain({**checkpoint['meta'], **runner.run_info()})
        schedulers = checkpoint.get('param_schedulers') or []
        for states in schedulers.values() if isinstance(schedulers, Mapping) else [schedulers]:
            for state in states:  # OneCycleLR keeps its function; a resumed one has its own
                for key in [key for key, value in state.items() if callable(value)]:
                    del state[key]
        encoder = getattr(model, 'encoder', None)
        if encoder is not None:  # what a test rebuilds the network from
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
            info = hub['runtime_info']
            for key in [key for key in info if _is_path(key)]:
                # files beside it that a run writes; whatever else is named is not touched
                name = Path(str(info[key])).name
                if _CHECKPOINT.fullmatch(name):
                    info[key] = str(Path(runner.work_dir) / name)
                else:
                    del info[key]
        meta = checkpoint.get('meta', {})
        meta.pop('config', None)  # mmengine would execute it
        # only a training loop resumes; what it compares is the object itself, not its copy
        loader = getattr(runner.train_loop, 'dataloader', None) if runner._resume else None
        info = getattr(getattr(loader, 'dataset', None), 'metainfo', None)
        if info is not None and to_plain(info) == meta.get('dataset_meta'):
            meta['dataset_meta'] = info
