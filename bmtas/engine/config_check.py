"""Find unknown keys and values of a wrong type in a config before anything is built from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.registry import Registry
from mmengine.runner import Runner

from bmtas import registry as bmtas_registry
from bmtas.engine.config_keys import (
    BUILD_KEYS,
    HOOKS,
    NARROWER,
    NEEDS_TYPE,
    REGISTRY_OF_KEY,
    SIGNATURES,
    TOP_LEVEL,
)
from bmtas.files import nearest
from bmtas.typed import accepted_arguments, check_arguments, hints_of


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
                    raise ValueError(f'default_hooks.{name}: {nearest(name, HOOKS)}')
        _walk(value, REGISTRY_OF_KEY.get(key), key)
    if named.get('model', {}).get('cuda_graphs'):
        for key in ('compile', 'activation_checkpointing'):
            if named.get(key):
                raise ValueError(f'model.cuda_graphs: cannot be combined with {key}; leave one out')
