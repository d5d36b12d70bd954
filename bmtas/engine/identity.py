"""What makes a run this run: its config without what may change, and the images that it reads."""

from __future__ import annotations

import base64
import fnmatch
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_MISSING = '(none)'


# what a run may be continued with: lengths, workers, intervals, device, places, the log, tests.
# Dotted paths, * stands for anything: a name alone means something else in another place
_MAY_CHANGE = (
    *('work_dir', 'load_from', 'resume', 'overwrite', 'launcher', 'device', 'env_cfg', 'compile'),
    *('model_wrapper_cfg', 'find_unused_parameters', 'activation_checkpointing', 'custom_imports'),
    'model.cuda_graphs',
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
