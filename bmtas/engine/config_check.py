"""Find unknown keys and values of a wrong type in a config before anything is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from mmengine import registry as mmengine_registry
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import LogProcessor, Runner

from bmtas import registry as bmtas_registry
from bmtas.files import nearest
from bmtas.resources import CONVENTIONS
from bmtas.typed import (
    ArgumentsOf,
    Count,
    Natural,
    NonNegative,
    Positive,
    Range,
    Size,
    accepted_arguments,
    check_arguments,
    hints_of,
)


def _dataloader(
    dataset: Mapping,
    batch_size: Count = 1,
    num_workers: Natural = 0,
    persistent_workers: bool = False,
    prefetch_factor: Count | None = None,
    shuffle: bool | None = None,
    sampler: Mapping | None = None,
    batch_sampler: Mapping | None = None,
    collate_fn: Mapping | Callable | None = None,
    worker_init_fn: Mapping | Callable | None = None,
    drop_last: bool = False,
    pin_memory: bool = False,
    timeout: NonNegative = 0,
    in_order: bool = True,
    multiprocessing_context: str | None = None,
    num_batch_per_epoch: Count | None = None,
) -> None:
    """The keys of a dataloader: arguments of torch's and of mmengine's function that builds it."""


def _environment(
    cudnn_benchmark: bool = False,
    mp_cfg: Mapping | None = None,
    dist_cfg: Mapping | None = None,
    resource_limit: Count = 4096,
) -> None:
    """The keys of ``env_cfg``."""


def _resources(
    convention: Literal[tuple(CONVENTIONS)] = 'mac',
    quantity: str = 'madds',
    device: str | None = None,
) -> None:
    """The keys of ``resources``."""


def _randomness(
    seed: Annotated[int, Range(0, 2**32 - 1)] | None = None,
    diff_rank_seed: bool = False,
    deterministic: bool = False,
) -> None:
    """The keys of ``randomness``."""


def _clip_grad(
    type: Literal['norm', 'value'] = 'norm',
    max_norm: Positive = 1,
    norm_type: Positive = 2,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
    clip_value: Positive = 1,
) -> None:
    """The keys of ``clip_grad``: the arguments of torch's two functions."""


def _imports(imports: str | Sequence[str], allow_failed_imports: bool = False) -> None:
    """The keys of ``custom_imports``."""


SIGNATURES: dict[str, Callable] = {
    'randomness': _randomness,
    'env_cfg': _environment,
    'resources': _resources,
    'custom_imports': _imports,
    **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader'), _dataloader),
}
"""Top-level dicts without a type, and the function whose arguments their keys are."""

_Typed = Mapping[str, Any] | None
TOP_LEVEL: dict[str, Any] = {
    # read by bmtas
    'tasks': Any,  # the task table; it is checked when it is built
    'method': str,  # name in results.json and in comparisons; else the folder of the config
    'input_size': Size,  # (H, W) at which resources are counted
    'data_root': str | None,  # folder handed to every data set that takes one
    'resources': Mapping,  # convention and quantity of the resource table
    'search': _Typed,  # a search strategy
    'budget': str | float | None,  # largest cost of the whole network that a search may find
    'branching': Mapping | None,  # routes of the branched network, written by a training
    # read by mmengine's Runner from the config itself
    'sync_bn': Literal['torch'] | bool | None,  # 'torch': batch statistics over all processes
    'find_unused_parameters': bool,  # for DistributedDataParallel
    'model_wrapper_cfg': _Typed,  # wrapper of the model in distributed runs
    'activation_checkpointing': Sequence[str] | Mapping | None,  # modules that recompute
    'compile': bool | Mapping,  # arguments of torch.compile
    'custom_imports': Mapping | Sequence[str] | str,  # modules to import before building
    # arguments of the Runner, narrower than there
    **dict.fromkeys(('model', 'visualizer', 'log_processor'), Mapping),
    **dict.fromkeys(('train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper'), _Typed),
    **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader'), _Typed),
    'default_hooks': Mapping[str, _Typed],
    'custom_hooks': Sequence[Mapping] | None,
    'param_scheduler': Mapping | Sequence[Mapping] | None,
    'val_evaluator': Mapping | Sequence[Mapping] | None,
    'test_evaluator': Mapping | Sequence[Mapping] | None,
    'env_cfg': Mapping,
    'randomness': Mapping,
    'launcher': Literal['none', 'pytorch', 'slurm', 'mpi'],
    'log_level': Literal['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'],
}
"""Types of the keys at the top level, besides the arguments of mmengine's Runner."""


def add_section(key: str, signature: Callable) -> None:
    """Let a config have a dict at the top level; its keys are the arguments of a function.

    For plug-ins, which call it when they are imported.
    """
    TOP_LEVEL[key], SIGNATURES[key] = Mapping, signature


# the registry that a nested dict(type=...) under this key is looked up in
REGISTRY_OF_KEY: Mapping[str, Registry] = {
    'model': bmtas_registry.MODELS,
    'loss': bmtas_registry.MODELS,
    'metric': bmtas_registry.METRICS,
    'dataset': bmtas_registry.DATASETS,
    'datasets': bmtas_registry.DATASETS,
    'pipeline': bmtas_registry.TRANSFORMS,
    'transforms': bmtas_registry.TRANSFORMS,
    'sampler': bmtas_registry.DATA_SAMPLERS,
    'batch_sampler': bmtas_registry.DATA_SAMPLERS,
    'collate_fn': mmengine_registry.FUNCTIONS,
    'worker_init_fn': mmengine_registry.FUNCTIONS,
    'train_cfg': bmtas_registry.LOOPS,
    'val_cfg': bmtas_registry.LOOPS,
    'test_cfg': bmtas_registry.LOOPS,
    'val_evaluator': bmtas_registry.METRICS,
    'test_evaluator': bmtas_registry.METRICS,
    'optim_wrapper': bmtas_registry.OPTIM_WRAPPERS,
    'optimizer': mmengine_registry.OPTIMIZERS,
    'param_scheduler': mmengine_registry.PARAM_SCHEDULERS,
    'default_hooks': bmtas_registry.HOOKS,
    'custom_hooks': bmtas_registry.HOOKS,
    'visualizer': mmengine_registry.VISUALIZERS,
    'vis_backends': mmengine_registry.VISBACKENDS,
    'log_processor': bmtas_registry.LOG_PROCESSORS,
    'model_wrapper_cfg': mmengine_registry.MODEL_WRAPPERS,
    'init_cfg': mmengine_registry.WEIGHT_INITIALIZERS,
    **dict.fromkeys(('kind', 'kinds'), bmtas_registry.KINDS),
    'search': bmtas_registry.STRATEGIES,
}

NEEDS_TYPE = ('model', 'encoder', 'backbone', 'dataset', 'sampler', 'optimizer', 'search')
"""Keys whose dict says by ``type`` what is to be built."""

# arguments that a registry's build function takes before the class sees them
BUILD_KEYS: Mapping[str, Mapping[str, Any]] = {
    'parameter scheduler': {'convert_to_iter_based': bool},
    'optim wrapper': {'constructor': str, 'paramwise_cfg': Mapping | None},
}

_Rule = Literal['greater', 'less'] | None
NARROWER: Sequence[tuple[type, Mapping[str, Any]]] = (
    (
        CheckpointHook,
        {
            'interval': Annotated[int, Range(-1)],
            'rule': _Rule | Sequence[_Rule],
            # --resume looks for iter_<n>.pth in the work dir
            **dict.fromkeys(('filename_tmpl', 'out_dir'), None),
        },
    ),
    (
        OptimWrapper,
        {
            'accumulative_counts': Count,
            'clip_grad': Annotated[Mapping, ArgumentsOf(_clip_grad)] | None,
        },
    ),
    (
        torch.optim.Optimizer,
        dict.fromkeys(('lr', 'momentum', 'weight_decay', 'eps'), NonNegative),
    ),
    (LogProcessor, {'window_size': Count, 'by_epoch': bool, 'num_digits': Natural}),
)
"""What the hints of other libraries' classes, and of those below them, leave open."""


def _arguments(target: Any) -> dict[str, Any] | None:
    """Types of the arguments, see ``accepted_arguments``."""
    if not inspect.isclass(target):
        return accepted_arguments(target)
    accepted = accepted_arguments(target)
    if issubclass(target, CheckpointHook):
        # hands what it does not know to Runner.save_checkpoint
        own = inspect.signature(CheckpointHook.__init__).parameters
        hints = hints_of(CheckpointHook)
        saving = accepted_arguments(Runner.save_checkpoint) or {}
        accepted = {**{name: hints.get(name, Any) for name in own}, **saving}
    for base, narrower in NARROWER:
        if accepted is not None and issubclass(target, base):
            accepted |= {name: hint for name, hint in narrower.items() if name in accepted}
    return accepted


def _known_types(registry: Registry) -> dict[str, Any]:
    known: dict[str, Any] = {}
    while registry is not None:
        registry.import_from_location()
        known = {**registry.module_dict, **known}
        registry = registry.parent
    return known


def _find(kind: Any, registry: Registry, path: str) -> Any:
    """The class or function that a ``type`` names; only registered ones, code is not imported."""
    if inspect.isclass(kind) or inspect.isroutine(kind):
        return kind
    if not isinstance(kind, str):
        raise ValueError(f'{path}.type: must be the name of a {registry.name}, got {kind!r}')
    known = _known_types(registry)
    if kind in known:
        return known[kind]
    # with a scope: a type of another library's registry; never the path of a module
    scope, _, name = kind.partition('.')
    for other in _family(registry):
        if other.scope == scope and name in other.module_dict:
            return other.module_dict[name]
    raise ValueError(f'{path}.type: there is no {registry.name} {kind!r}; {nearest(kind, known)}')


def _family(registry: Registry) -> Iterator[Registry]:
    """A registry, those above it and their other children."""
    while registry is not None:
        yield registry
        yield from registry.children.values()
        registry = registry.parent


def _check_typed(node: Mapping, registry: Registry, path: str) -> None:
    target = _find(node['type'], registry, path)
    accepted = _arguments(target)
    if accepted is not None:
        accepted |= BUILD_KEYS.get(registry.name, {})
        name = getattr(target, '__name__', str(target))
        check_arguments(node, accepted, path, name, ignore=('type', '_scope_'))
    check = getattr(target, 'check_config', None)
    if check is not None:
        check(node, path)


def _walk(node: Any, registry: Registry | None, path: str) -> None:
    if isinstance(node, Mapping):
        if registry is bmtas_registry.OPTIM_WRAPPERS and 'optimizer' in node:
            node = {'type': 'OptimWrapper', **node}
        if 'type' in node and registry is not None:
            _check_typed(node, registry, path)
        for key, value in node.items():
            place, inner = f'{path}.{key}', REGISTRY_OF_KEY.get(key, registry)
            if key in NEEDS_TYPE and registry and isinstance(value, Mapping):
                _require_type(value, inner, place)
            _walk(value, inner, place)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            _walk(value, registry, f'{path}.{index}')


def _require_type(node: Mapping, registry: Registry, path: str) -> None:
    if 'type' not in node:
        known = ', '.join(sorted(_known_types(registry)))
        raise ValueError(
            f'{path}: lacks the key type, the name of a {registry.name}; known: {known}'
        )


def check_config(cfg: Mapping[str, Any]) -> None:
    """Reject unknown keys, types and arguments, and values of another type than they need.

    Checked are the keys at the top level (``TOP_LEVEL``, mmengine's Runner), those of the dicts
    without a type (``SIGNATURES``), and for every ``dict(type=...)`` its type and its arguments, by
    the type hints of the class. A class may have a ``check_config(arguments, path)`` of its own for
    what hints cannot say. Names that start with an underscore are variables of the config's author.

    Raises:
        ValueError: The dotted path of the first fault, what is expected there, the nearest word.
    """
    runner = {key: hint for key, hint in _arguments(Runner).items() if key != 'cfg'}
    named = {key: value for key, value in cfg.items() if not str(key).startswith('_')}
    check_arguments(named, {**runner, **TOP_LEVEL}, '')
    for key, value in named.items():
        if key in SIGNATURES and isinstance(value, Mapping):
            check_arguments(value, accepted_arguments(SIGNATURES[key]), key, ignore=('self',))
        if key in NEEDS_TYPE and value:
            _require_type(value, REGISTRY_OF_KEY[key], key)
        if key == 'default_hooks':
            for name, hook in value.items():
                if hook is not None and 'type' not in hook:
                    raise ValueError(f'default_hooks.{name}: {nearest(name, _HOOKS)}')
        _walk(value, REGISTRY_OF_KEY.get(key), key)


_HOOKS = ('timer', 'logger', 'checkpoint', 'param_scheduler', 'sampler_seed', 'runtime_info')
