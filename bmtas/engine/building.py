"""Errors of parts that are built from a config name the file, the full key and what to do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import build_from_cfg, build_scheduler_from_cfg

from bmtas.files import nearest
from bmtas.typed import accepted_arguments, describe

# of mmengine: what builds a class from a dict, and one with convert_to_iter_based
_BUILDERS = (build_from_cfg.__code__, build_scheduler_from_cfg.__code__)
_TYPELESS = 'must contain the key "type"'
_STARTS_WITH_KEY = re.compile(r'(\w+)(\.[\w.]+)?: ')


@contextmanager
def building(cfg: Mapping[str, Any], key: str) -> Iterator[None]:
    """What goes wrong inside is the fault of a value of a config, below a key.

    Raises:
        ValueError, FileNotFoundError: See ``explained``.
    """
    try:
        yield
    except Exception as error:
        explanation = explained(error, cfg, key)
        if explanation is error:
            raise
        raise explanation from error


def explained(error: Exception, cfg: Mapping[str, Any] | None = None, key: str = '') -> Exception:
    """What an error means for the author of a config.

    The part whose constructor raised is looked up in the config by its type and arguments. A
    sentence of bmtas says itself what to do; to one of another library is added what the part
    takes. Missing files keep their class; what the machine lacks is nobody's fault here.

    Args:
        error: What was raised.
        cfg: The config; by default the one that the outermost function had in its hands.
        key: Where the fault is if no part raised it; without it such errors stay as they are.

    Returns:
        ``<file>: <key>: <what the part says>; <remedy>``, or the error itself.
    """
    frames = _frames(error)
    if cfg is None:
        held = (value for frame in frames for value in frame.f_locals.values())
        cfg = next((value for value in held if isinstance(value, Config)), None)
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    text, file = ' '.join(str(text).split()), str(getattr(cfg, 'filename', None) or 'config')
    machine = isinstance(error, MemoryError) or getattr(error, 'errno', None)
    part = None if cfg is None else _part(frames, cfg, key)
    if machine or 'out of memory' in text or text.startswith(file) or not (part or key):
        return error
    absent = isinstance(error, FileNotFoundError)
    kind = FileNotFoundError if absent else ValueError
    by_bmtas = frames[-1].f_globals.get('__name__', '').startswith('bmtas')
    complete = by_bmtas and (isinstance(error, ValueError) or (absent and ';' in text))
    text = text if complete else (text or type(error).__name__)[:300]
    return kind(f'{file}: {_sentence(text, part, cfg, key, complete)}')


class _Part(NamedTuple):
    """A part of a config: its dotted path, the arguments that the config gives, and the class that
    raised, which may be one that the part builds in turn."""

    path: str
    given: Mapping[str, Any]
    target: Any


def _frames(error: BaseException) -> list[FrameType]:
    """What was running when an error was raised, innermost last."""
    frames, place = [], error.__traceback__
    while place is not None:
        frames.append(place.tb_frame)
        place = place.tb_next
    return frames


def _part(frames: list[FrameType], cfg: Mapping[str, Any], key: str) -> _Part | None:
    """The innermost part that was being built and that the config holds."""
    held = [frame.f_locals for frame in frames if frame.f_code in _BUILDERS]
    builds = [(h['cfg'], h.get('obj_cls', h.get('scheduler_cls'))) for h in held]
    builds = [(built, target) for built, target in builds if target is not None]
    for built, _ in reversed(builds):
        found = sorted(_places(cfg, built, ''), key=lambda place: _rank(place, built, key))
        if found:
            path, node = found[0]
            given = {name: value for name, value in node.items() if name != 'type'}
            return _Part(path, given, builds[-1][1])
    return None


def _places(node: Any, built: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping]]:
    """Where in a config the dict stands that something was built from, additions aside."""
    if isinstance(node, (Mapping, Config)):
        if 'type' in node and all(_same(built.get(key), value) for key, value in node.items()):
            yield path, node
        entries = node.items()
    else:
        entries = enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in entries:
        yield from _places(value, built, f'{path}.{key}' if path else str(key))


def _same(first: Any, second: Any) -> bool:
    return first is second or (type(first) is type(second) and bool(first == second))


def _rank(place: tuple[str, Mapping], built: Mapping[str, Any], key: str) -> tuple:
    """The task's own entry, then below the key, then the one that says most."""
    path, node = place
    own = path.startswith(f'tasks.{built.get("task", "")}.')
    return not own, not f'{path}.'.startswith(f'{key}.'), -len(node)


def _sentence(text: str, part: _Part | None, cfg: Mapping, key: str, complete: bool) -> str:
    """Key, what the part says, and what to do."""
    found = _STARTS_WITH_KEY.match(text)
    if found and found[1] in cfg:
        return text
    if part is None:
        return f'{key}: {text}' + ('' if complete else f'; {_remedy_for_key(key)}')
    accepted = accepted_arguments(part.target) or {}
    if _TYPELESS in text:
        text, argument = 'lacks the key type, which names what is built', _without_type(part.given)
    elif found and found[1] in {**accepted, **part.given}:
        text, argument = text[found.end() :], found[1] + (found[2] or '')
    else:
        argument = _argument_in(text, part.given)
    path = f'{part.path}.{argument}' if argument else part.path
    return f'{path}: {text}' + ('' if complete else f'; {_remedy(part, argument, text, accepted)}')


def _without_type(given: Mapping[str, Any]) -> str:
    """The argument, or its entry, that is a dict without a type."""
    for name, value in given.items():
        entries = enumerate(value) if isinstance(value, (list, tuple)) else ()
        for place, entry in [(name, value), *((f'{name}.{i}', entry) for i, entry in entries)]:
            if isinstance(entry, Mapping) and 'type' not in entry:
                return place
    return ''


def _argument_in(text: str, given: Mapping[str, Any]) -> str:
    """The only given argument, entries of dicts included, that a message mentions: by its name, by
    its name in the singular, or by its value."""
    places = dict(_entries(given, ''))
    for shown in (
        lambda place: place.rpartition('.')[2],
        lambda place: place.rpartition('.')[2].removesuffix('s'),
        lambda place: str(places[place]),
    ):
        words = {place: re.escape(shown(place)) for place in places}
        named = [p for p, word in words.items() if word and re.search(rf'\b{word}\b', text)]
        if len(named) == 1:
            return named[0]
    return ''


def _entries(given: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        yield path + str(name), value
        if isinstance(value, Mapping) and 'type' not in value:
            yield from _entries(value, f'{path}{name}.')


def _remedy(part: _Part, argument: str, text: str, accepted: Mapping[str, Any]) -> str:
    """What a class takes for an argument, or which arguments it takes."""
    name, argument = getattr(part.target, '__name__', str(part.target)), argument.split('.')[-1]
    if not argument:
        known = ', '.join(accepted) or 'other arguments'
        return f'{name} takes {known}; change or remove what the config gives it'
    if 'multiple values for' in text:
        return f'{name} sets it itself, remove it'
    if accepted and argument not in accepted and not argument.isdigit():
        return f'remove it; {nearest(argument, accepted)}'
    what = _documented(part.target, argument)
    if not what and accepted.get(argument, Any) is not Any:
        what = describe(accepted[argument])
    what = f'{name} takes {argument} as {what}; ' if what else ''
    default = _default(part.target, argument)
    return f'{what}give another value' + (f' or remove it ({default})' if default else '')


def _documented(target: Any, argument: str) -> str:
    """What the documentation of a class says of an argument, its first line."""
    texts = [inspect.getdoc(target) or '', inspect.getdoc(getattr(target, '__init__', None)) or '']
    found = re.search(rf'^\s*{argument} ?(\([^\n]*?\))?: (.*)$', '\n'.join(texts), re.MULTILINE)
    return ' '.join(filter(None, found.groups()))[:120].strip().rstrip('.') if found else ''


def _default(target: Any, argument: str) -> str:
    try:
        default = inspect.signature(target).parameters[argument].default
    except (KeyError, TypeError, ValueError):
        return ''
    return '' if default is inspect.Parameter.empty else f'then it is {default!r:.40}'


def _remedy_for_key(key: str) -> str:
    return f'change or remove {key}; the configs that bmtas configs lists show what it may hold'
