"""Network codes: the 27 integers that describe a multi-resolution network.

Ding et al., Learning Versatile Neural Architectures by Propagating Network Codes, ICLR 2022.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmtas.files import meant_as, read_json

STAGES = 4
LENGTH = 27
MAX_COUNT = 4
MIN_CHANNELS, MAX_CHANNELS, CHANNEL_STEP = 8, 128, 8


def _position_names() -> tuple[str, ...]:
    names = ['stem.0', 'stem.1']
    for stage in range(1, STAGES + 1):
        names.append(f'stage{stage}.repeats')
        names += [f'stage{stage}.units.{branch}' for branch in range(stage)]
        names += [f'stage{stage}.channels.{branch}' for branch in range(stage)]
    return (*names, 'last')


POSITIONS = _position_names()
"""Name of each of the 27 numbers, e.g. ``stem.0``, ``stage2.units.1``, ``stage4.channels.3``."""
IS_COUNT = np.array(['repeats' in name or 'units' in name for name in POSITIONS])
"""(27,) bool: the number counts repeats or residual units; the others are channels."""
REPEATS = tuple(POSITIONS.index(f'stage{stage}.repeats') for stage in range(1, STAGES + 1))


class CodeError(ValueError):
    """A network code that cannot be; the message names the position."""


@dataclass(frozen=True)
class NetworkCode:
    """A network code; equal, ordered and hashed by its numbers.

    The numbers are two stem widths; for each stage s = 1..4 how often it repeats, the residual
    units of its s branches, the channels of its s branches; and the width of the fusing layer.

    Args:
        values: 27 integers, counts 1..4, channels 8..128 in steps of 8.

    Raises:
        CodeError: Not 27 numbers, or one outside its domain; the message names the position.
    """

    values: tuple[int, ...]

    def __post_init__(self) -> None:
        values = tuple(self.values)
        if len(values) != LENGTH:
            hint = '; the last one, the width of the fusing layer, may be missing'
            raise CodeError(
                f'a network code must have {LENGTH} numbers, got {len(values)}'
                + (hint if len(values) == LENGTH - 1 else '')
            )
        object.__setattr__(self, 'values', tuple(map(_checked, values, POSITIONS, IS_COUNT)))

    @classmethod
    def parse(cls, source: Any) -> NetworkCode:
        """Read a code from any of its forms.

        Args:
            source: A code, 27 numbers, a text (31 numbers with dashes, or 27 separated by
                commas or blanks), a setting, or the path of a JSON file that holds a code under
                ``chosen.code`` or ``code`` (what propagation writes).
        """
        if isinstance(source, NetworkCode):
            return source
        if isinstance(source, Mapping):
            return cls.from_setting(source)
        if not isinstance(source, str | Path):
            return cls(tuple(source))
        text = str(source)
        if text.endswith('.json'):
            return read_code(text, cls.parse)
        if '-' in text:
            return cls.from_text(text)
        return cls(tuple(_integers(re.split(r'[,\s]+', text.strip('[]() ')), text)))

    @classmethod
    def from_text(cls, text: str) -> NetworkCode:
        """Read the text form; blanks are allowed anywhere.

        Raises:
            CodeError: Wrong number of groups, of branches or of numbers, or no integers.
        """
        groups = [part.strip().split('_') for part in text.split('-')]
        if len(groups) != STAGES + 2:
            raise CodeError(
                f'code text {text!r}: {STAGES + 2} groups between dashes expected, '
                f'got {len(groups)}'
            )
        values: list[int] = []
        for number, group in enumerate(groups):
            numbers = _integers(group, text)
            stage = number if 1 <= number <= STAGES else 0
            expected = 2 + 2 * stage if stage else (2 if number == 0 else 1)
            if len(numbers) != expected:
                raise CodeError(
                    f'code text {text!r}: group {number + 1} has {len(numbers)} numbers, '
                    f'expected {expected}'
                )
            if stage and numbers.pop(1) != stage:
                raise CodeError(
                    f'code text {text!r}: stage {stage} must have {stage} branches, '
                    f'group {number + 1} says {group[1].strip()}'
                )
            values += numbers
        return cls(tuple(values))

    @classmethod
    def from_setting(cls, setting: Mapping[str, Any]) -> NetworkCode:
        """Read a network setting as the benchmark stores it.

        Args:
            setting: ``input_channel`` [i1, i2], ``last_channel``, and the layer list
                ``inverted_residual_setting`` (or ``network_setting``) of
                [branches, [units...], [channels...]], equal entries repeated.

        Raises:
            CodeError: A key is missing or the list is not four stages in order, each made
                of equal entries.
        """
        layers = setting.get('inverted_residual_setting', setting.get('network_setting'))
        if layers is None or 'input_channel' not in setting or 'last_channel' not in setting:
            raise CodeError(
                'a network setting needs input_channel, inverted_residual_setting and '
                f'last_channel, got {sorted(setting)}'
            )
        stages: list[list] = []
        for layer in layers:
            layer = [layer[0], list(layer[1]), list(layer[2])]
            if stages and stages[-1][0] == layer[0]:
                if stages[-1][2:] != layer[1:]:
                    raise CodeError(f'setting: stage {layer[0]} repeats unequal layers')
                stages[-1][1] += 1
            else:
                stages.append([layer[0], 1, *layer[1:]])
        if [stage[0] for stage in stages] != list(range(1, STAGES + 1)):
            raise CodeError(
                f'setting: stages of 1, 2, 3, 4 branches in this order expected, '
                f'got {[stage[0] for stage in stages]}'
            )
        values = list(setting['input_channel'])
        for branches, repeats, units, channels in stages:
            if not len(units) == len(channels) == branches:
                raise CodeError(f'setting: stage {branches} needs {branches} branches')
            values += [repeats, *units, *channels]
        return cls((*values, setting['last_channel']))

    def stages(self) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """Yield (repeats, units of each branch, channels of each branch) of the stages 1..4."""
        for stage, start in enumerate(REPEATS, start=1):
            middle = start + 1 + stage
            yield (
                self.values[start],
                self.values[start + 1 : middle],
                self.values[middle : middle + stage],
            )

    @property
    def stem(self) -> tuple[int, int]:
        """Widths of the two stem convolutions."""
        return self.values[0], self.values[1]

    @property
    def last(self) -> int:
        """Width of the fusing 1x1 layer of the head."""
        return self.values[-1]

    @property
    def layers(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The body, stages repeated: (units, channels) of each entry."""
        return [(units, channels) for n, units, channels in self.stages() for _ in range(n)]

    def setting(self) -> dict[str, Any]:
        """The network setting as the benchmark stores it."""
        layers = [[len(units), list(units), list(channels)] for units, channels in self.layers]
        return {
            'input_channel': list(self.stem),
            'inverted_residual_setting': layers,
            'last_channel': self.last,
        }

    @property
    def text(self) -> str:
        """The text form: 31 numbers, each stage with its branch count."""
        groups = [list(self.stem)]
        for stage, (repeats, units, channels) in enumerate(self.stages(), start=1):
            groups.append([repeats, stage, *units, *channels])
        return '-'.join('_'.join(map(str, group)) for group in [*groups, [self.last]])

    def array(self) -> np.ndarray:
        """The numbers as (27,) int64."""
        return np.array(self.values, dtype=np.int64)

    def __iter__(self) -> Iterator[int]:
        return iter(self.values)

    def __len__(self) -> int:
        return LENGTH

    def __str__(self) -> str:
        return self.text


def read_code(path: str | Path, parse: Callable[[Any], Any]) -> Any:
    """The code in a JSON file, the chosen one of a search's ``ncp.json``, as ``parse`` reads it."""
    content = read_json(path, 'network code')
    with meant_as('network code', path):
        code = content
        if isinstance(content, dict):
            code = content.get('chosen', content).get('code')
        if code is None:
            raise CodeError(f'{path}: neither chosen.code nor code in this file')
        if isinstance(code, str) and code.endswith('.json'):
            raise CodeError(f'{path}: names another file, {code}')
        return parse(code)


def _checked(value: Any, name: str, is_count: bool) -> int:
    """One number as int, or CodeError that names its position."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise CodeError(f'code {name}: {value!r} is no integer') from None
    if isinstance(value, bool) or number != value:
        raise CodeError(f'code {name}: {value!r} is no integer')
    if is_count:
        if not 1 <= number <= MAX_COUNT:
            raise CodeError(f'code {name}: {number} is outside 1..{MAX_COUNT}')
    elif not MIN_CHANNELS <= number <= MAX_CHANNELS or number % CHANNEL_STEP:
        raise CodeError(
            f'code {name}: {number} is not one of {MIN_CHANNELS}, '
            f'{MIN_CHANNELS + CHANNEL_STEP}, ..., {MAX_CHANNELS}'
        )
    return number


def _integers(parts: Sequence[str], text: str) -> list[int]:
    """The parts as integers, or CodeError."""
    for part in parts:
        if not re.fullmatch(r'\s*\d+\s*', part):
            raise CodeError(f'code text {text!r}: {part.strip()!r} must be a whole number')
    return [int(part) for part in parts]
