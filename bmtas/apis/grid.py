"""The points of a grid of options."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction

from bmtas.apis.sweep import Point
from bmtas.engine import load_config

ALIASES = {'lambda': 'search.resource_loss.weight', 'seed': 'randomness.seed'}
"""Short names of the options that are swept most."""


def parse_grid(entries: Sequence[str]) -> dict[str, list[str]]:
    """``['lambda=0.1,1', 'seed=0,1']`` -> values by name.

    A list in brackets is one value: ``size=(64,64),(96,96)``.

    Raises:
        ValueError: Not of the form key=v1,v2, or a key given twice.
    """
    grid: dict[str, list[str]] = {}
    for entry in entries:
        key, sign, values = entry.partition('=')
        found = _split_values(values)
        if not (key and sign and all(found)):
            raise ValueError(f'--grid {entry}: must be of the form key=v1,v2,...')
        if key in grid:
            raise ValueError(f'--grid {entry}: {key} is given twice')
        grid[key] = list(dict.fromkeys(found))
    return grid


def _split_values(text: str) -> list[str]:
    parts, depth = [''], 0
    for letter in text:
        depth += (letter in '([') - (letter in ')]')
        if letter == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += letter
    return parts


def make_points(
    config: str,
    grid: Mapping[str, Sequence[str]],
    work_dir: str | Path,
    retrain: str | None = None,
    train_options: Sequence[str] = (),
    extra: Sequence[str] = (),
    baseline: str | None = None,
) -> list[Point]:
    """The points of a grid; both configs are read once with each point's options.

    Raises:
        ValueError: An option that the config does not know, a search without ``retrain``, or a
            training with it.
        FileNotFoundError: A config does not exist.
    """
    searches = _searches(config)
    if searches and retrain is None:
        raise ValueError(f'{config} is a search: give --retrain CONFIG for its trees')
    if not searches and retrain is not None:
        raise ValueError(f'{config} is no search, --retrain has no meaning for it')
    given = _parsed('--train-options', train_options)
    if searches:
        load_config(retrain, given)
    points = []
    for values in itertools.product(*grid.values()):
        options = [f'{ALIASES.get(key, key)}={value}' for key, value in zip(grid, values)]
        cfg = load_config(config, _parsed('--grid', options) | ({} if searches else given))
        varied = [f'{k}={v}' for k, v in zip(grid, values) if len(grid[k]) > 1]
        name = ','.join(varied).replace('/', '_') or 'run'
        points.append(
            Point(
                name=name,
                folder=str(Path(work_dir) / name),
                method=cfg.get('method') or Path(cfg.filename).resolve().parent.name,
                search=config if searches else None,
                train=retrain or config,
                options=tuple(options),
                train_options=tuple(train_options),
                extra=tuple(extra),
                baseline=baseline,
            )
        )
    return points


def _parsed(source: str, options: Sequence[str]) -> dict[str, Any]:
    """Options ``key=value``, the values as ``--cfg-options`` reads them."""
    found = {}
    for option in options:
        key, sign, value = option.partition('=')
        if not (key and sign):
            raise ValueError(f'{source} {option}: must be of the form key=value')
        try:
            found[key] = DictAction._parse_iterable(value)
        except AssertionError as error:
            raise ValueError(f'{source} {option}: {error}') from None
    return found


def _searches(config: str) -> bool:
    return bool(load_config(config).get('search'))
