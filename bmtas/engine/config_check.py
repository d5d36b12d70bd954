"""Find unknown and misspelt keys in a config before anything is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine import registry as mmengine_registry
from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from bmtas import registry as bmtas_registry
from bmtas.files import nearest

EXTRA_TOP_LEVEL = {
    # read by bmtas
    'tasks': 'the task table',
    'method': 'name in results.json and in comparisons; by default the folder of the config',
    'input_size': '(H, W) at which resources are counted',
    'data_root': 'folder handed to every data set that takes one',
    'resources': 'convention and quantity of the resource table',
    'search': 'a search strategy',
    'branching': 'routes of the branched network, written by tools/train.py',
    # read by mmengine's Runner from the config itself
    'sync_bn': 'torch: batch statistics over all processes',
    'find_unused_parameters': 'for DistributedDataParallel',
    'model_wrapper_cfg': 'wrapper of the model in distributed runs',
    'activation_checkpointing': 'modules that recompute their activations',
    'compile': 'arguments of torch.compile',
    'custom_imports': 'modules to import before building',
}
"""Top-level keys besides the arguments of mmengine's Runner."""

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
    'search': bmtas_registry.STRATEGIES,
}

# plain dicts whose keys are the arguments of something without a ``type``
DATALOADER_KEYS = {'dataset', 'collate_fn', 'num_batch_per_epoch', 'disable_subprocess_warning'}
UNTYPED_KEYS: Mapping[str, frozenset[str]] = {
    'randomness': frozenset(inspect.signature(Runner.set_randomness).parameters) - {'self'},
    'env_cfg': frozenset({'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}),
    'resources': frozenset({'convention', 'quantity', 'device'}),
    **dict.fromkeys(
        ('train_dataloader', 'val_dataloader', 'test_dataloader'),
        frozenset(inspect.signature(DataLoader).parameters) | DATALOADER_KEYS,
    ),
}

# arguments that a registry's build function takes before the class sees them
BUILD_KEYS = {
    'parameter scheduler': {'convert_to_iter_based'},
    'optim wrapper': {'constructor', 'paramwise_cfg'},
}


def top_level_keys() -> set[str]:
    """All keys that may stand at the top level of a config."""
    runner = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    return runner | set(EXTRA_TOP_LEVEL)


def accepted_arguments(target: Any) -> set[str] | None:
    """Names of the keyword arguments of a class or function; None if it takes any.

    A constructor with ``**kwargs`` is taken to pass them on to the next class in its method
    resolution order.
    """
    if not inspect.isclass(target):
        parameters = inspect.signature(target).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            return None
        return {p.name for p in parameters}
    names: set[str] = set()
    for cls in target.__mro__:
        if '__init__' not in vars(cls) or cls is object:
            continue
        parameters = inspect.signature(cls.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names - {'self'}
    if issubclass(target, CheckpointHook):  # hands the rest to Runner.save_checkpoint
        return names | set(inspect.signature(Runner.save_checkpoint).parameters) - {'self'}
    return None


def _known_types(registry: Registry) -> set[str]:
    names: set[str] = set()
    while registry is not None:
        registry.import_from_location()
        names |= set(registry.module_dict)
        registry = registry.parent
    return names


def _check_typed(node: Mapping, registry: Registry, path: str) -> None:
    kind = node['type']
    target = kind
    if isinstance(kind, str):
        target = registry.get(kind)
        if target is None:
            hint = nearest(kind, _known_types(registry))
            raise ValueError(f'{path}.type: there is no {registry.name} {kind!r}; {hint}')
    accepted = accepted_arguments(target)
    if accepted is None:
        return
    accepted |= {'type', '_scope_'} | BUILD_KEYS.get(registry.name, set())
    for key in node:
        if key not in accepted:
            hint = nearest(key, accepted - {'type', '_scope_'})
            raise ValueError(f'{path}.{key}: {kind} has no argument {key!r}; {hint}')


def _walk(node: Any, registry: Registry | None, path: str) -> None:
    if isinstance(node, Mapping):
        if 'type' in node and registry is not None:
            _check_typed(node, registry, path)
        for key, value in node.items():
            _walk(value, REGISTRY_OF_KEY.get(key, registry), f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            _walk(value, registry, f'{path}.{index}')


def check_config(cfg: Mapping[str, Any]) -> None:
    """Reject unknown keys, types and arguments.

    Checked are the keys at the top level, the keys of the untyped dicts listed in
    ``UNTYPED_KEYS``, and for every ``dict(type=...)`` its type and its keyword arguments. Names
    that start with an underscore are helper variables of the config's author.

    Raises:
        ValueError: The dotted path of the first unknown key and the nearest known one.
    """
    known = top_level_keys()
    named = [key for key in cfg if not key.startswith('_')]
    for key in named:
        if key not in known:
            raise ValueError(f'{key}: unknown key at the top level; {nearest(key, known)}')
    for key in named:
        value = cfg[key]
        if key in UNTYPED_KEYS and value is not None and not isinstance(value, Mapping):
            raise ValueError(f'{key}: must be a dict, got {value!r}')
        for sub in value or () if key in UNTYPED_KEYS else ():
            if sub not in UNTYPED_KEYS[key]:
                raise ValueError(f'{key}.{sub}: unknown key; {nearest(sub, UNTYPED_KEYS[key])}')
        _walk(value, REGISTRY_OF_KEY.get(key), key)
