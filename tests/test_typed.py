from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch

from bmtas.datasets import IdxImages, transforms
from bmtas.evaluation import BoundaryFMeasure
from bmtas.typed import (
    ArgumentsOf,
    Count,
    Fraction,
    Positive,
    Range,
    Size,
    accepted_arguments,
    check_arguments,
    problem_of,
)


@dataclass
class Loss:
    weight: Positive
    mode: Literal['exact', 'paper'] = 'exact'
    inner: 'Loss | None' = None


GOOD = [
    (3, int),
    (3, float),
    (2.5, float | None),
    (None, float | None),
    (True, bool),
    ('a', str),
    ('a/b', Path),
    ([1, 2], Sequence[int]),
    ((1, 2), list[int]),
    ([64, 64], Size),
    ({'a': 1}, Mapping[str, int]),
    ({'type': 'X'}, torch.nn.Module),
    ('cpu', torch.device),
    (len, Callable),
    ({'type': 'f'}, Callable[..., Any]),
    ('x', 'unresolved'),
    (object(), Any),
    ('exact', Literal['exact', 'paper']),
    ({'weight': 1, 'inner': {'weight': 2}}, Loss),
    (0.0, Fraction),
    (float(np.finfo(np.float32).max), float),
    (2**63 - 1, int),
    (1e-9, Positive),
    ('shared', str | Sequence[Sequence[int]]),
    ([[0, 1]], str | Sequence[Sequence[int]]),
    ({'a': [0.1]}, dict[str, list[float]]),
    ({'mode': 'paper'}, Annotated[Mapping, ArgumentsOf(Loss)]),
    (None, Annotated[Mapping | None, ArgumentsOf(Loss)]),
]
BAD = [
    ('high', float, 'x: must be a number, got .high.'),
    (float('nan'), float, 'must be a number'),
    (True, int, 'must be a whole number, got True'),
    (2.0, int, 'must be a whole number'),
    (1, bool, 'must be True or False'),
    (3, str, 'must be a text'),
    ('ab', Sequence[str], 'must be a list'),
    ([180], Size, 'x: must have 2 entries, got .180.'),
    ([180, 0], Size, 'x.1: must be at least 1, got 0'),
    ([1, 'b'], Sequence[int], 'x.1: must be a whole number'),
    ('dict(type=1)', Mapping[str, Any], 'give its entries one by one'),
    (4, torch.nn.Module, r'must be a dict \(or Module\)'),
    (0, Count, 'must be at least 1'),
    (1.5, Fraction, 'must lie in 0 to 1'),
    (0, Positive, 'must be greater than 0'),
    (2, Annotated[float, Range(0, 2, open=True)], 'must lie between 0 and 2'),
    (-1, Count | None, 'must be at least 1'),
    ('a', int | None, 'must be a whole number or None'),
    ('exat', Literal['exact', 'paper'], ".exat. is none of 'exact', 'paper'"),
    (1e308, float, r'x: must be at most 3.40282e.38 in size, got 1e.308'),
    (-(10**30), float, 'x: must be at most 9.22337e.18 in size'),
    ('exat', Literal['exact'] | bool, ".exat. is none of 'exact'"),
    (True, Mapping[str, Any] | Literal[False] | None, 'must be a dict or False or None, got True'),
    ({'weight': 1, 'inner': {'wieght': 2}}, Loss, 'x.inner.wieght: .* did you mean .weight.'),
    ({'weight': 1, 'inner': {'weight': 'b'}}, Loss, 'x.inner.weight: must be a number'),
    ({'mode': 'paper'}, Loss, 'x.weight: missing'),
    ({'a': ['b']}, dict[str, list[float]], 'x.a.0: must be a number'),
    ({'wight': 1}, Annotated[Mapping, ArgumentsOf(Loss)], "x.wight: .* did you mean 'weight'"),
    (3, Annotated[Mapping | None, ArgumentsOf(Loss)], 'x: must be a dict or None'),
]


@pytest.mark.parametrize(('value', 'hint'), GOOD)
def test_accepted(value, hint):
    assert problem_of(value, hint, 'x') == ''


@pytest.mark.parametrize(('value', 'hint', 'message'), BAD)
def test_refused_in_one_line(value, hint, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_arguments({'x': value}, {'x': hint}, '')
    assert '\n' not in str(caught.value)


def test_arguments_of_a_class_with_kwargs_are_those_of_its_bases():
    class Base:
        def __init__(self, a: int, b=1):
            pass

    class Child(Base):
        def __init__(self, c: str, **kwargs):
            super().__init__(**kwargs)

    assert accepted_arguments(Child) == {'a': int, 'b': Any, 'c': str}
    assert accepted_arguments(lambda x, **kwargs: x) is None
    with pytest.raises(ValueError, match="m.d: Child has no argument 'd'; known: a, b, c"):
        check_arguments({'d': 1}, accepted_arguments(Child), 'm', 'Child')


@pytest.mark.parametrize(
    ('target', 'values', 'message'),
    [
        (IdxImages, dict(size=0), 'size: must be at least 1'),
        (BoundaryFMeasure, dict(workers=-1), 'workers: must be at least 0'),
        (transforms.PhotoMetricDistortion, dict(hue=-1), 'hue: must be at least 0'),
        (transforms.PhotoMetricDistortion, dict(contrast=[1.0]), 'contrast: must have 2 entries'),
    ],
)
def test_values_that_would_fail_in_the_middle_of_a_run(target, values, message):
    with pytest.raises(ValueError, match=message):
        check_arguments(values, accepted_arguments(target), '')
