"""A work dir belongs to one run: what the run is, who is writing there, whether it may go on."""

from __future__ import annotations

import base64
import fnmatch
import math
import os
import re
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from bmtas.engine.checkpoint import checkpoint_files
from bmtas.files import make_folder, meant_as, read_json, remove_leftovers, write_json
from bmtas.folder_lock import LOCK, FolderLock

RUN = 'run.json'
VERSION = 3
_MISSING = '(none)'
# what a run leaves before it has done anything: its files, and mmengine's folder of each start
_BEFORE_THE_FIRST_UPDATE = re.compile(
    rf'{re.escape(RUN)}|{re.escape(LOCK)}|resources\.json|commands\.jsonl|.*\.py|\d{{8}}_\d{{6}}'
)

# what a run may be continued with: lengths, workers, intervals, device, places, the log, tests.
# Dotted paths, * stands for anything: a name alone means something else in another place
_MAY_CHANGE = (
    *('work_dir', 'load_from', 'resume', 'overwrite', 'launcher', 'device', 'env_cfg', 'compile'),
    *('model_wrapper_cfg', 'find_unused_parameters', 'activation_checkpointing', 'custom_imports'),
    *('log_processor', 'log_level', 'visualizer', 'experiment_name', 'method', '*tasks.*.draw'),
    *('test_dataloader', 'test_cfg', 'test_evaluator', '*data_root', '*.cache', 'branching.source'),
    *('*_dataloader.num_workers', '*_dataloader.persistent_workers', '*_dataloader.pin_memory'),
    *('*_dataloader.prefetch_factor', '*_dataloader.timeout', 'default_hooks.*.max_keep_ckpts'),
    *('default_hooks.*.interval', 'search.log', 'search.save.interval', '*val_interval'),
    *('*val_begin', '*max_iters', '*weight_updates'),
    # more trained trees for the same question
    'search.count',
    # a finished search is decoded for other budgets
    *('budget', 'search.decode'),
)
_FREE = re.compile('|'.join(map(fnmatch.translate, _MAY_CHANGE)))


def identity_of(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run this run: every value of its config by dotted key.

    Lengths, workers, intervals, device and places are left out; of a path its last part is kept.
    """
    return dict(_flatten(dict(cfg.items()), ''))


def _flatten(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            place = f'{path}.{key}' if path else str(key)
            if not str(key).startswith('_') and not _may_change(place, value):
                yield from _flatten(value, place)
    elif isinstance(node, (list, tuple)):
        yield path, len(node)
        for index, value in enumerate(node):
            yield from _flatten(value, f'{path}.{index}')
    elif node is None or isinstance(node, (bool, int)):
        yield path, node
    elif isinstance(node, float):
        yield path, node if math.isfinite(node) else str(node)
    elif isinstance(node, (str, Path)):
        yield path, Path(node).name if os.sep in str(node) else str(node)
    else:  # a class or function of a Python config
        yield path, getattr(node, '__qualname__', type(node).__qualname__)


def _may_change(place: str, value: Any) -> bool:
    if place == 'search.count' and isinstance(value, Mapping):  # how a strategy counts costs
        return False
    return _FREE.fullmatch(place) is not None


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """``optimizer.lr was 0.1, now it is 0.2`` for the first key that differs; '' if none does."""
    # a short key is nearer to what was changed: others are derived from it
    for key in sorted({**new, **old}, key=len):
        before, now = old.get(key, _MISSING), new.get(key, _MISSING)
        if before != now:
            return f'{key} was {before!r}, now it is {now!r}'
    return ''


def pack(names: Sequence[str]) -> str:
    """A list of names as a short text, a few bytes for each."""
    return base64.b64encode(zlib.compress('\n'.join(names).encode(), 9)).decode()


def unpack(text: str) -> list[str]:
    """The names of ``pack``.

    Raises:
        ValueError: The text is damaged.
    """
    try:
        return zlib.decompress(base64.b64decode(text, validate=True)).decode().split('\n')
    except zlib.error as error:
        raise ValueError(f'images: {error}') from None


def other_images(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """What differs first between two runs' images, packed by data set; '' if nothing does."""
    for key in sorted({**new, **old}):
        if old.get(key) == new.get(key):
            continue
        before, now = (unpack(images[key]) if key in images else [] for images in (old, new))
        count = '' if len(before) == len(now) else f'{len(before)} images, now {len(now)}; '
        at = next((i for i, (a, b) in enumerate(zip(before, now)) if a != b), None)
        if at is None:
            at = min(len(before), len(now))
        names = [repr(names[at]) if at < len(names) else 'none' for names in (before, now)]
        return f'{key}: {count}number {at + 1} was {names[0]}, now it is {names[1]}'
    return ''


class WorkDir:
    """The claim of a run to its folder, from ``claim`` until ``release``.

    Attributes:
        folder: The folder.
        run: Name of the run, stands in its checkpoints; '' on all but the main process.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.run = ''
        self._lock: FolderLock | None = None

    def claim(
        self,
        cfg: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
        images: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the folder for the run of a config; all processes of a run call it.

        What is left of files that a killed process was writing is removed.

        Args:
            cfg: The complete config.
            resume: Go on with the run that is there, if there is one.
            overwrite: Give up the run that is there: its checkpoints are deleted.
            images: Names of the images of each data set on disk, in order: a position in the data
                is what a sample follows from.

        Raises:
            ValueError: Another process is writing there; or the folder holds another run, or this
                one and nothing was said of going on with it.
        """
        message: list[str | None] = [None]
        if is_main_process():
            try:
                self._claim(cfg, resume, overwrite, images or {})
            except (ValueError, OSError) as error:
                self.release()
                message = [str(error)]
        broadcast_object_list(message)  # else the other processes would wait for ever
        if message[0] is not None:
            raise ValueError(message[0])

    def _claim(
        self,
        cfg: Mapping[str, Any],
        resume: bool,
        overwrite: bool,
        images: Mapping[str, Sequence[str]],
    ) -> None:
        make_folder(self.folder)
        self._lock = FolderLock(self.folder)
        remove_leftovers(self.folder)
        path = self.folder / RUN
        own = dict(
            identity=identity_of(cfg), images={key: pack(names) for key, names in images.items()}
        )
        if overwrite:
            for file in checkpoint_files(self.folder):
                file.unlink()
        elif path.is_file():
            found = _read(path)
            if _holds_work(self.folder):
                self._compare(found, own, resume)
                if resume:
                    return
        elif checkpoint_files(self.folder):
            raise ValueError(
                f'{self.folder}: holds checkpoints of a run without {RUN}; choose another '
                '--work-dir, or --overwrite deletes them'
            )
        self.run = secrets.token_hex(8)
        write_json(path, dict(version=VERSION, run=self.run, **own))

    def _compare(self, found: Mapping[str, Any], own: Mapping[str, Any], resume: bool) -> None:
        before, now = found['identity'], own['identity']
        if found['version'] < VERSION:  # an earlier bmtas wrote down less
            now = {key: value for key, value in now.items() if key in before}
        what, difference = 'of another config', first_difference(before, now)
        if not difference and found['version'] > 1:
            with meant_as('identity of the run', self.folder / RUN):
                what, difference = 'on other images', other_images(found['images'], own['images'])
        if difference:
            raise ValueError(
                f'{self.folder} belongs to a run {what} ({RUN}: {difference}); choose another '
                '--work-dir, or --overwrite deletes that run'
            )
        files = checkpoint_files(self.folder)
        if files and not resume:
            raise ValueError(
                f'{self.folder}: holds {len(files)} checkpoints of this run; --resume goes on with '
                'it, --overwrite deletes it, another --work-dir keeps it'
            )
        self.run = found['run']

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _holds_work(folder: Path) -> bool:
    """Whether a run came so far that it left more than its identity, config, costs and logs."""
    return any(not _BEFORE_THE_FIRST_UPDATE.fullmatch(entry.name) for entry in folder.iterdir())


def _read(path: Path) -> Mapping[str, Any]:
    content = read_json(path, 'identity of the run')
    hints = dict(identity=dict, run=str, images=dict, version=int)
    found = content if isinstance(content, dict) else {}
    if found.get('version') == 1:  # does not know the images yet
        del hints['images']
    if wrong := [key for key, hint in hints.items() if type(found.get(key)) is not hint]:
        raise ValueError(f'{path}: {wrong[0]}: is not what a run writes; --overwrite starts anew')
    if not 1 <= found['version'] <= VERSION:
        raise ValueError(f'{path}: version {found["version"]} is of another bmtas')
    return content
