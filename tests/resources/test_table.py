"""The table's arithmetic, its file, and when a stored table is counted again."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from bmtas.models.encoders import STEM, Encoder
from bmtas.registry import MODELS
from bmtas.resources import UNITS, Costs, ResourceTable, Unit, count_table
from bmtas.resources.network import WholeNetwork

TASKS = [
    dict(name=name, kind='classes', num_classes=n) for name, n in (('a', 3), ('b', 5), ('c', 1))
]
HEAD = dict(type='TwoInputHead')


class TwoInputHead(nn.Module):
    """1x1 convolutions of both features."""

    def __init__(self, deep_channels, low_channels, out_channels):
        super().__init__()
        self.deep = nn.Conv2d(deep_channels, out_channels, 1, bias=False)
        self.low = nn.Conv2d(low_channels, out_channels, 1, bias=False)

    def forward(self, deep, low):
        return nn.functional.interpolate(self.deep(deep), low.shape[2:]) + self.low(low)


class ToyEncoder(Encoder):
    """Stem of stride 2 and three layers, the last of stride 2."""

    def __init__(self, tasks, width=4):
        super().__init__(tasks, width, width, ('one', 'two', 'three'))
        self.stem = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        strides = (1, 1, 2)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, s, 1, bias=False) for s in strides)

    def forward(self, images, tasks):
        x = self.layers[0](self.stem(images))
        low = self.layers[1](x)
        return dict.fromkeys(tasks, (self.layers[2](low), low))

    def parts(self):
        layers = [self.part(f'layers.{index}', index, self.tasks) for index in range(3)]
        return [self.part('stem', STEM, self.tasks), *layers]


def model(width=4, tasks=TASKS):
    encoder = dict(type='ToyEncoder', width=width)
    return dict(type='MultiTaskModel', encoder=encoder, head=HEAD, tasks=tasks)


@pytest.fixture(autouse=True)
def registered():
    for module in (TwoInputHead, ToyEncoder):
        MODELS.register_module(module=module, force=True)
    yield
    for module in (TwoInputHead, ToyEncoder):
        MODELS._module_dict.pop(module.__name__)


def test_costs_by_hand():
    table = count_table(model(), (16, 24))
    stem = 8 * 12 * 4 * 27
    layer = 8 * 12 * 4 * 36
    assert (table.stem, table.layers) == (stem, (layer, layer, layer // 4))
    assert table.heads == {name: n * 4 * (8 * 12 + 4 * 6) for name, n in zip('abc', (3, 5, 1))}
    assert table.params == Costs(4 * 27, (144,) * 3, {'a': 24, 'b': 40, 'c': 8})
    assert (table.unit, table.convention, table.input_size) == ('MAdds', 'mac', (16, 24))
    assert table.layer_names == ('one', 'two', 'three')


def test_totals():
    costs = Costs(10, (1, 2, 3), {'a': 100, 'b': 200})
    assert costs.shared == 10 + 6 + 300
    assert costs.separate == 10 + 12 + 300
    assert costs.single == 20 + 12 + 300
    assert costs.total([1, 1, 2]) == 10 + 9 + 300
    with pytest.raises(ValueError, match='2 counts of copies for 3 layers'):
        costs.total([1, 1])


def test_other_quantities():
    memory = count_table(model(), (16, 24), quantity='activations')
    # a layer keeps its output for the next one, the input is the stem's
    assert memory.unit == 'bytes' and memory.layers[0] == 4 * 4 * 8 * 12
    time = count_table(model(), (16, 24), quantity='latency')
    assert time.unit == 'us' and time.convention == 'cpu' and min(time.layers) > 0
    params = count_table(model(), (16, 24), quantity='params')
    assert params.layers == params.params.layers
    with pytest.raises(ValueError, match="unknown 'joule', choose from"):
        count_table(model(), (16, 24), quantity='joule')


def test_a_unit_of_ones_own_is_one_entry(monkeypatch):
    def count(module, inputs, how):
        convolutions = sum(isinstance(m, nn.Conv2d) for m in module.modules())
        return convolutions + 100 * isinstance(inputs[0], torch.Tensor) * (how == 'paper')

    entry = Unit('convs', 'convs', 1.0, 'convolutions', {'': 1.0}, count, 'convention')
    monkeypatch.setitem(UNITS, 'convs', entry)
    table = count_table(model(), (16, 24), quantity='convs')
    assert (table.unit, table.stem, table.layers) == ('convs', 1, (1, 1, 1))
    assert count_table(model(), (16, 24), 'paper', 'convs').layers == (101, 101, 101)
    # a whole network that takes more than its parts: the rest is the stem's
    beside = Unit('convs', 'convs', 1.0, 'convolutions', {}, count, 'convention', additive=False)
    whole = 1 + 3 + 2 * len(TASKS)
    monkeypatch.setitem(UNITS, 'convs', beside)
    assert count_table(model(), (16, 24), quantity='convs').shared == whole
    heavy = dataclasses.replace(
        beside, count=lambda m, inputs, how: count(m, inputs, how) + 7 * isinstance(m, WholeNetwork)
    )
    monkeypatch.setitem(UNITS, 'convs', heavy)
    table = count_table(model(), (16, 24), quantity='convs')
    assert table.shared == whole + 7 and table.stem == 8 and table.layers == (1, 1, 1)


def test_latency_in_onnx_runtime():
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    table = count_table(model(), (16, 24), quantity='latency', device='onnxruntime')
    assert table.convention == 'onnxruntime' and min(table.layers) > 0 and table.stem > 0


def test_file_round_trip(tmp_path):
    table = count_table(model(), (16, 24), path=tmp_path / 'deep' / 'r.json')
    assert ResourceTable.from_file(tmp_path / 'deep' / 'r.json') == table
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['r.json']


@pytest.mark.parametrize(
    'change',
    [
        dict(model=model(width=8)),
        dict(input_size=(32, 24)),
        dict(convention='paper'),
        dict(quantity='params'),
        dict(model=model(tasks=TASKS[:2])),
    ],
)
def test_stored_table_is_used_only_for_the_same_request(tmp_path, change):
    path = tmp_path / 'resources.json'
    request = dict(model=model(), input_size=(16, 24))
    count_table(**request, path=path)
    dataclasses.replace(ResourceTable.from_file(path), stem=1).to_file(path)
    assert count_table(**request, path=path).stem == 1
    fresh = count_table(**{**request, **change}, path=path)
    assert fresh == count_table(**{**request, **change}) and fresh.stem != 1


@pytest.mark.parametrize('value', [-5, 0, 1e9, None, True])
def test_a_cost_that_was_changed_is_not_believed(tmp_path, value):
    path = tmp_path / 'resources.json'
    right = count_table(model(), (16, 24), path=path)
    changed = json.loads(path.read_text())
    changed['layers'][1] = value
    path.write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=r'resources\.json: .*checksum is wrong'):
        ResourceTable.from_file(path)
    with pytest.warns(UserWarning, match='it is counted again'):
        assert count_table(model(), (16, 24), path=path) == right
    assert ResourceTable.from_file(path) == right


@pytest.mark.parametrize(
    'text, message',
    [('{"stem": 3}', "key 'checksum' is missing"), ('[]', 'not a resource'), ('{', 'is not JSON')],
)
def test_broken_file_is_named(tmp_path, text, message):
    path = tmp_path / 'resources.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        ResourceTable.from_file(path)
    assert str(path) in str(error.value)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        ResourceTable.from_file(tmp_path / 'none.json')


def test_identity_is_of_the_structure_not_of_its_print(monkeypatch):
    first = count_table(model(), (16, 24))
    monkeypatch.setattr(nn.Conv2d, 'extra_repr', lambda self: 'of another version')
    assert count_table(model(), (16, 24)) == first
    assert first.backbone == 'f26c721eb4249b4b'


def test_identity_sees_what_costs_nothing_in_madds(monkeypatch):
    first, init = count_table(model(), (16, 24)), ToyEncoder.__init__

    def dilated(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.layers[1].dilation = self.layers[1].padding = (2, 2)

    monkeypatch.setattr(ToyEncoder, '__init__', dilated)
    second = count_table(model(), (16, 24))
    assert second.layers == first.layers and second.backbone != first.backbone


def test_counting_leaves_no_trace_on_the_default_device():
    count_table(model(), (16, 24))
    assert torch.zeros(1).device.type == 'cpu'
