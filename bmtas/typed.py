"""Checking plain values against the type hints of what they will be handed to.

The hints of a constructor or dataclass are the schema of its config: names, types, ranges
(``Annotated[int, Range(1)]``), choices (``Literal``), and dataclasses within them, at any depth. A
mapping stands for an object that is yet to be built, a list for any sequence; nothing is converted.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from bmtas.files import nearest


@dataclass(frozen=True)
class Range:
    """Bounds of a number, in an annotation: ``Annotated[float, Range(0, 1)]``.

    Args:
        low: Smallest value.
        high: Largest value.
        open: The bounds themselves are out of range.
    """

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def __contains__(self, value: float) -> bool:
        if self.open:
            return self.low < value < self.high
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.high == math.inf:
            return f'must be {"greater than" if self.open else "at least"} {self.low:g}'
        if self.open:
            return f'must lie between {self.low:g} and {self.high:g}'
        return f'must lie in {self.low:g} to {self.high:g}'


@dataclass(frozen=True)
class ArgumentsOf:
    """The keys of a dict are arguments: ``Annotated[Mapping, ArgumentsOf(function)]``."""

    target: Callable


Count = Annotated[int, Range(1)]  # of things of which there must be one
Natural = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, open=True)]
Fraction = Annotated[float, Range(0, 1)]
Size = tuple[Count, Count]  # (H, W) in pixels


def hints_of(target: Callable) -> dict[str, Any]:
    """Type hints of the arguments of a class or function; those that cannot be resolved lack."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:  # names that exist while types are checked only
        return {}


def accepted_arguments(target: Any) -> dict[str, Any] | None:
    """Type hint by name for the keyword arguments of a class or function; None if it takes any.

    A constructor with ``**kwargs`` is taken to pass them on to the next class in its method
    resolution order. An argument without a hint has ``Any``.
    """
    takers = [target]
    if inspect.isclass(target):
        takers = [cls.__init__ for cls in target.__mro__[:-1] if '__init__' in vars(cls)]
    accepted: dict[str, Any] = {}
    for taker in takers:
        parameters = inspect.signature(taker).parameters.values()
        hints = hints_of(taker)
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != 'self':
                accepted.setdefault(p.name, hints.get(p.name, Any))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return accepted
    return None


def check_arguments(
    values: Mapping[str, Any],
    accepted: Mapping[str, Any],
    path: str,
    owner: str = '',
    ignore: Iterable[str] = (),
) -> None:
    """Refuse unknown names and values of another type.

    Args:
        values: Names and values.
        accepted: Names and type hints, see ``accepted_arguments``.
        path: Dotted path of the values, for messages; '' at the top.
        owner: What takes them, for messages.
        ignore: Names that are neither known nor checked.

    Raises:
        ValueError: One line with the path of the value and the nearest known name.
    """
    ignore = set(ignore)
    for name, value in values.items():
        if name in ignore:
            continue
        place = f'{path}.{name}' if path else str(name)
        if name not in accepted:
            problem = f'{owner} has no argument {name!r}' if owner else 'unknown key'
            raise ValueError(f'{place}: {problem}; {nearest(name, set(accepted) - ignore)}')
        check_value(value, accepted[name], place)


def check_value(value: Any, hint: Any, path: str) -> None:
    """Refuse a value that does not have the type of a hint.

    Raises:
        ValueError: One line: path, what is expected, what is there.
    """
    problem = problem_of(value, hint, path)
    if problem:
        raise ValueError(problem)


def problem_of(value: Any, hint: Any, path: str) -> str:
    """What is wrong with a value, with its path; '' if it has the type of the hint."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _UNCHECKED or isinstance(hint, (typing.TypeVar, str)):
        return ''
    if origin is Annotated:
        problem = problem_of(value, arguments[0], path)
        bounds = [b for b in arguments[1:] if isinstance(b, Range)] if _is_number(value) else []
        wrong = next((b for b in bounds if value not in b), None)
        if problem or wrong:
            return problem or f'{path}: {wrong}, got {value!r}'
        takers = [a.target for a in arguments[1:] if isinstance(a, ArgumentsOf)]
        return _arguments_problem(value, takers[0], path) if takers and value is not None else ''
    if origin in (Union, types.UnionType):
        return _union_problem(value, hint, path)
    if origin is Literal:
        if any(value == known and type(value) is type(known) for known in arguments):
            return ''
        return f'{path}: {value!r} is none of {", ".join(map(repr, arguments))}'
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping) and 'type' not in value:
        return _dataclass_problem(value, hint, path)
    kind = origin or hint
    if not _matches(value, kind):
        return f'{path}: must be {describe(hint)}, got {_shown(value)}'
    largest = _LARGEST[isinstance(value, int)]
    if _is_number(value) and largest < abs(value) != math.inf:
        return f'{path}: must be at most {largest:g} in size, got {_shown(value)}'
    return _inner_problem(value, kind, arguments, path)


# whole numbers of 64 bits and float32 are what torch's kernels take; by "is it whole"
_LARGEST = {True: 2**63 - 1, False: 3.4028234663852886e38}
_UNCHECKED = (Any, object, type, inspect.Parameter.empty)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _union_problem(value: Any, hint: Any, path: str) -> str:
    options = typing.get_args(hint)
    problems = {option: problem_of(value, option, path) for option in options}
    if '' in problems.values():
        return ''
    # the option of the right type is the one that was meant
    for option, problem in problems.items():
        word = isinstance(value, str) or typing.get_origin(option) is not Literal
        if word and not problem.startswith(f'{path}: must be {describe(option)}, got'):
            return problem
    return f'{path}: must be {describe(hint)}, got {_shown(value)}'


def _arguments_problem(value: Mapping, target: Callable, path: str) -> str:
    try:
        check_arguments(value, accepted_arguments(target) or {}, path)
    except ValueError as error:
        return str(error)
    return ''


def _dataclass_problem(value: Mapping, hint: Any, path: str) -> str:
    required = [
        f.name
        for f in dataclasses.fields(hint)
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in value
    ]
    problem = _arguments_problem(value, hint, path)
    return problem or (f'{path}.{required[0]}: missing' if required else '')


def _matches(value: Any, kind: Any) -> bool:
    if not isinstance(kind, type):
        return kind is not None or value is None
    if kind in (int, float):
        return _is_number(value) and isinstance(value, _form(kind)[0]) and value == value
    return isinstance(value, _form(kind)[0])


def _form(kind: type) -> tuple[tuple[type, ...], str]:
    """Types of the values that a type stands for in a config, and its name in words."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if issubclass(kind, Path):
        return (str, Path), 'a path'
    if issubclass(kind, Mapping):
        return (Mapping,), 'a dict'
    if issubclass(kind, _SEQUENCES) or kind.__module__ == 'collections.abc':
        return _SEQUENCES, 'a list'
    named = (str,) if kind is type or kind.__name__ in ('device', 'dtype') else (Mapping,)
    return (kind, *named), f'a dict (or {kind.__name__})'  # a mapping: an object yet to be built


_SEQUENCES = (list, tuple, set, frozenset)
_PLAIN: Mapping[type, tuple[tuple[type, ...], str]] = {
    int: ((int,), 'a whole number'),
    float: ((int, float), 'a number'),
    bool: ((bool,), 'True or False'),
    str: ((str,), 'a text'),
    type(None): ((type(None),), 'None'),
    abc.Callable: ((abc.Callable, Mapping), 'a function'),
}


def _inner_problem(value: Any, kind: Any, arguments: tuple, path: str) -> str:
    """What is wrong with the entries of a sequence or mapping."""
    if not arguments or not isinstance(kind, type) or isinstance(value, str):
        return ''
    if isinstance(value, Mapping):
        hint = arguments[-1] if issubclass(kind, abc.Mapping) else Any
        entries = [(f'{path}.{key}', item, hint) for key, item in value.items()]
    elif not isinstance(value, (list, tuple)):
        return ''
    elif issubclass(kind, tuple) and Ellipsis not in arguments:
        if len(value) != len(arguments):
            return f'{path}: must have {len(arguments)} entries, got {_shown(value)}'
        entries = [(f'{path}.{i}', item, h) for i, (item, h) in enumerate(zip(value, arguments))]
    else:
        entries = [(f'{path}.{i}', item, arguments[0]) for i, item in enumerate(value)]
    return next(filter(None, (problem_of(item, hint, p) for p, item, hint in entries)), '')


def describe(hint: Any) -> str:
    """A type hint in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return describe(arguments[0])
    if origin in (Union, types.UnionType):
        return ' or '.join(dict.fromkeys(describe(option) for option in arguments))
    if origin is Literal:
        return ' or '.join(map(repr, arguments))
    kind = origin or hint
    if not isinstance(kind, type):
        return str(hint)
    if issubclass(kind, tuple) and arguments and Ellipsis not in arguments:
        return f'a list of {len(arguments)} entries'
    return _form(kind)[1]


def _shown(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + '...'
    hint = '; give its entries one by one: a.b=c' if str(value).startswith('dict(') else ''
    return text + hint
