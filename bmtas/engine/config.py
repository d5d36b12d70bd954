"""Read a config, override it, check it, and derive what follows from the task table."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings

from bmtas.engine.config_check import check_config
from bmtas.engine.config_file import parse_config
from bmtas.engine.shipped import find_config
from bmtas.files import nearest
from bmtas.registry import DATASETS
from bmtas.resources import get_unit
from bmtas.tasks import Task, build_tasks, label_kinds, task_entries
from bmtas.typed import accepted_arguments

DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def _override(cfg: Config, options: Mapping[str, Any]) -> None:
    for key, value in options.items():
        key = _numbered(cfg, key)
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, AssertionError, IndexError, AttributeError) as error:
            place, node = _deepest(cfg, key)
            what = f'holds {node!r:.60}, which has no entries'
            if place == key:
                what = f'must be a dict, got {value!r:.60}'
            elif isinstance(node, list):
                what = f'is a list of {len(node)}, give the number of an entry'
            raise ValueError(f'--cfg-options {key}: {place} {what}') from error
    if any(key.split('.')[0] == 'custom_imports' for key in options):
        imports = cfg.get('custom_imports') or {}
        imports = imports if isinstance(imports, Mapping) else dict(imports=imports)
        try:
            import_modules_from_strings(**imports)
        except (ImportError, TypeError, ValueError) as error:
            raise ValueError(f'--cfg-options custom_imports: {error}') from error


def _numbered(cfg: Config, key: str) -> str:
    """The path of a task in a table that is a list, whose entries the user knows by name."""
    table, (first, *rest) = cfg.get('tasks'), key.split('.')
    if first == 'tasks' and rest and isinstance(table, list):
        names = [entry.get('name') if isinstance(entry, Mapping) else None for entry in table]
        if rest[0] in names:
            rest[0] = str(names.index(rest[0]))
    return '.'.join([first, *rest])


def _deepest(cfg: Config, key: str) -> tuple[str, Any]:
    """How far a dotted key leads into a config, and what is there."""
    node, parts = cfg, key.split('.')
    for depth, part in enumerate(parts):
        try:
            node = node[int(part)] if isinstance(node, list) else node[part]
        except (KeyError, TypeError, IndexError, ValueError, AttributeError):
            return '.'.join(parts[:depth]), node
    return key, node


def dataset_parts(node: Any) -> Iterator[dict]:
    """All data set configs in a data set config, wrapped ones included."""
    if not isinstance(node, Mapping):
        return
    yield node
    for value in (node.get('dataset'), *(node.get('datasets') or ())):
        yield from dataset_parts(value)


def _takes(dataset: Mapping[str, Any], argument: str) -> bool:
    target = DATASETS.get(dataset['type']) if isinstance(dataset.get('type'), str) else None
    accepted = accepted_arguments(target) if target is not None else set()
    return accepted is None or argument in accepted


def with_pipeline(dataset: Mapping[str, Any], pipeline: Sequence[Mapping]) -> dict[str, Any]:
    """A data set's config with another pipeline, or with those inside changed if it wraps some."""
    own = copy.deepcopy(dict(dataset))
    for part in dataset_parts(own):
        if _takes(part, 'pipeline'):
            part['pipeline'] = list(pipeline)
    return own


def spread_tasks(cfg: Config, tasks: tuple[Task, ...]) -> None:
    """Derive from the task table what the config leaves open.

    Sets ``model.tasks``, ``labels``, ``kinds`` and ``augmentation_seed`` of the data sets, and
    ``val_evaluator`` and ``test_evaluator``: one metric per task, prefixed by the task's name.
    """
    if 'model' in cfg:
        cfg.model.setdefault('tasks', cfg.tasks)
    kinds = label_kinds(tasks)
    labels = list(kinds)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    for key in DATALOADERS:
        for dataset in dataset_parts((cfg.get(key) or {}).get('dataset')):
            for name, value in (('labels', labels), ('kinds', kinds), ('augmentation_seed', seed)):
                if name not in dataset and _takes(dataset, name):
                    dataset[name] = value
    metrics = [task.metric_config() for task in tasks]
    for split in ('val', 'test'):
        if cfg.get(f'{split}_dataloader') and not cfg.get(f'{split}_evaluator'):
            cfg[f'{split}_evaluator'] = metrics


def select_tasks(cfg: Config, names: Sequence[str]) -> None:
    """Reduce a complete config to some of its tasks, in place and in the order of its table.

    Raises:
        ValueError: A name that the task table lacks.
    """
    unknown = [name for name in names if name not in cfg.tasks]
    if unknown:
        raise ValueError(f'tasks: there is no {unknown[0]!r}; {nearest(unknown[0], cfg.tasks)}')
    cfg.tasks = {name: entry for name, entry in cfg.tasks.items() if name in names}
    cfg.model.tasks = cfg.tasks
    labels = {task.label for task in build_tasks(cfg.tasks)}
    for key in DATALOADERS:
        for dataset in dataset_parts((cfg.get(key) or {}).get('dataset')):
            if 'labels' in dataset:
                dataset['labels'] = [label for label in dataset['labels'] if label in labels]
    for key in ('val_evaluator', 'test_evaluator'):
        if isinstance(cfg.get(key), (list, tuple)):
            cfg[key] = [metric for metric in cfg[key] if metric.get('task', names[0]) in names]


def _check_checkpoints(cfg: Config) -> None:
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    keep = checkpoint.get('max_keep_ckpts', -1)
    if keep in (0, 1):
        raise ValueError(
            f'default_hooks.checkpoint.max_keep_ckpts: {keep} leaves no checkpoint while the next '
            'one is written; take 2 or more, or -1 for all'
        )
    counts = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    intervals = {
        'default_hooks.checkpoint.interval': checkpoint.get('interval', -1),
        'train_cfg.val_interval': (cfg.get('train_cfg') or {}).get('val_interval', 1000),
    }
    for key, interval in intervals.items():
        if counts > 1 and interval > 0 and interval % counts:
            raise ValueError(
                f'{key}: must be a multiple of optim_wrapper.accumulative_counts={counts}: a '
                'checkpoint holds no gradients, a run could not be resumed exactly'
            )


def _check_best(cfg: Config, tasks: tuple[Task, ...]) -> None:
    """See that the best checkpoint is that of a score there is, in the direction that it has."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best, rule = hook.get('save_best'), hook.get('rule')
    if best in (None, 'auto') or cfg.get('val_evaluator'):  # evaluators of the user's own
        return
    known = {f'{task.name}/{name}': up for task in tasks for name, up in task.scores.items()}
    rules = {}
    for name in [best] if isinstance(best, str) else best:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(
                f'default_hooks.checkpoint.save_best: there is no score {name!r}; {hint}'
            )
        rules[name] = 'greater' if known[name] else 'less'
        if isinstance(rule, str) and rule != rules[name]:
            raise ValueError(
                f'default_hooks.checkpoint.rule: {rule!r}, but {name} is better when it is '
                f'{"higher" if known[name] else "lower"}; leave it out'
            )
    if rule is None:
        hook['rule'] = rules[best] if isinstance(best, str) else list(rules.values())


def _fit_workers(cfg: Config) -> None:
    """Without workers there is nothing to keep alive and nothing to fetch ahead."""
    for key in DATALOADERS:
        loader = cfg.get(key) or {}
        if not loader.get('num_workers', 0):
            loader.pop('persistent_workers', None)
            loader.pop('prefetch_factor', None)


def _set_data_root(cfg: Config, data_root: str) -> None:
    cfg.data_root = data_root
    for key in DATALOADERS:
        for dataset in dataset_parts((cfg.get(key) or {}).get('dataset')):
            if _takes(dataset, 'data_root'):
                dataset['data_root'] = data_root


def load_config(
    path: str | Path,
    options: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    work_dir: str | Path | None = None,
) -> Config:
    """Read a config and make it complete.

    Args:
        path: The config file, or the name of one that comes with bmtas (``find_config``).
        options: Overrides by dotted key, list entries by number: ``{'tasks.depth.weight': 2.0}``.
        data_root: Folder of the data, for every data set that takes one.
        work_dir: Folder of the run; else the config's own; else
            ``work_dirs/<folder of the config>/<name of the config>``.

    Raises:
        FileNotFoundError: The file or one of its bases does not exist.
        ValueError: Bad syntax, an unknown key, type or argument, a faulty task table. The message
            is one line that names the file and the key.
    """
    path = find_config(path)
    cfg = parse_config(path)
    if options:
        _override(cfg, options)
    scope = cfg.get('default_scope', 'bmtas')
    scopes = {DATASETS.parent.scope, *DATASETS.parent.children}
    if not isinstance(scope, str) or scope not in scopes:
        hint = nearest(scope, scopes)
        raise ValueError(f'{path}: default_scope: no registry has the scope {scope!r}; {hint}')
    init_default_scope(scope)
    try:
        if 'tasks' in cfg:
            cfg.tasks = task_entries(cfg.tasks)
        tasks = build_tasks(cfg.tasks) if 'tasks' in cfg else ()
        check_config(cfg)
        get_unit((cfg.get('resources') or {}).get('quantity', 'madds'))
        _check_checkpoints(cfg)
        _fit_workers(cfg)
        if data_root is not None:
            _set_data_root(cfg, str(data_root))
        if tasks:
            _check_best(cfg, tasks)
            spread_tasks(cfg, tasks)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        text = error if isinstance(error, ValueError) else f'a value of a wrong form: {error}'
        raise ValueError(f'{path}: {" ".join(str(text).split())}') from error
    default = Path('work_dirs') / path.resolve().parent.name / path.stem
    cfg.work_dir = str(work_dir or cfg.get('work_dir') or default)
    return cfg
