"""Budgets that people write, and costs as they read them."""

import pytest

from bmtas.resources import UNITS, get_unit, parse_budget, unit_named


@pytest.mark.parametrize(
    'text, quantity, value',
    [
        ('9.1G', 'madds', 9.1e9),
        ('0.12 GMAdds', 'madds', 0.12e9),
        ('120M', 'madds', 120e6),
        (5986295744, 'madds', 5986295744),
        ('1e9', 'madds', 1e9),
        ('4M', 'params', 4e6),
        ('5ms', 'latency', 5000),
        ('0.5s', 'latency', 5e5),
        ('120MB', 'activations', 120e6),
    ],
)
def test_budgets(text, quantity, value):
    assert parse_budget(text, quantity) == pytest.approx(value)


@pytest.mark.parametrize(
    'text, quantity, message',
    [
        (
            '5ms',
            'madds',
            "'5ms': ms is no unit of madds, but of latency; write e.g. 4G for 4 GMAdds of madds",
        ),
        ('120MB', 'params', 'MB is no unit of params, but of activations'),
        ('9G', 'latency', 'G is no unit of latency, but of madds and params; write e.g. 4ms'),
        ('9.1Q', 'madds', 'Q is no unit of madds; write'),
        ('9,1G', 'madds', 'is no number with a unit'),
        ('much', 'madds', 'is no number with a unit'),
        ('-1G', 'madds', 'must be positive'),
        ('nan', 'madds', 'is no number with a unit'),
        ('0', 'params', 'must be positive'),
        ('1e999', 'params', 'must be positive'),
        ('1G', 'joule', "unknown 'joule', choose from"),
    ],
)
def test_wrong_budgets_are_named_in_one_line(text, quantity, message):
    with pytest.raises(ValueError, match=message) as error:
        parse_budget(text, quantity, '--budget')
    assert '\n' not in str(error.value)


def test_readable():
    assert get_unit('madds').readable(5986295744) == '6.0 GMAdds'
    assert get_unit('madds').readable(104906752) == '0.105 GMAdds'
    assert unit_named('bytes').readable(2_500_000) == '2.5 MB'
    assert unit_named('us').exact(1234, 2) == '1.2 ms'
    with pytest.raises(ValueError, match="unknown unit 'mJ'"):
        unit_named('mJ')


def test_every_unit_can_be_written_in_its_own_label():
    for unit in UNITS.values():
        word = unit.label.split()[0]
        assert parse_budget(f'3{word}', unit.quantity) == 3 * unit.scale
