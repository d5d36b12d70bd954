"""Changed rows and products of the others, compiled and not, against loops in plain Python."""

import math

import pytest
import torch
from sharing_toys import LOW_RANK, encoder, rand_images
from torch import nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.sharing import rows as rows_module
from bmtas.sharing.meter import Meter
from bmtas.sharing.rows import LowRankProduct, changed_rows
from bmtas.sharing.thresholds import Thresholds


def by_loops(new, old, threshold):
    """Rows with an entry that is not nearer than the threshold, one by one."""
    return [
        i
        for i, (row, before) in enumerate(zip(new.tolist(), old.tolist()))
        if any(not abs(a - b) < threshold and a != b for a, b in zip(row, before))
    ]


def rows_and_factors(rank, dtype):
    torch.manual_seed(0)
    old = torch.randn(40, 24, dtype=dtype)
    new = old + 0.5 * torch.randn(40, 24, dtype=dtype) * (torch.rand(40, 1) < 0.7)
    new[3] = old[3]
    new[3, 5], old[3, 5], new[4, 0], old[5, 1] = 1e-30, 0, math.nan, math.inf
    return new, old, torch.randn(rank, 24, dtype=dtype), torch.randn(rank, 10, dtype=dtype)


@pytest.mark.parametrize('numba', [True, False])
@pytest.mark.parametrize('rank', [1, 4, 8, 11])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('threshold', [0.0, 1.0, math.inf])
def test_changed_rows_and_the_product_of_the_others(monkeypatch, numba, rank, dtype, threshold):
    if numba:
        pytest.importorskip('numba')
    monkeypatch.setattr(rows_module, 'have_numba', lambda: numba)
    new, old, a, b = rows_and_factors(rank, dtype)
    bias, y = torch.randn(10, dtype=dtype), torch.randn(40, 10, dtype=dtype)
    expected = by_loops(new, old, threshold)
    assert 0 < len(expected) < 40 and 4 in expected  # NaN is never reused
    assert (3 in expected) == (threshold == 0)
    result = y.clone()
    index, values = LowRankProduct(a, b, bias).changed_rows(new, old, threshold, result)
    assert index.tolist() == expected
    torch.testing.assert_close(values, new[index], rtol=0, atol=0, equal_nan=True)
    exact = y.double() + (old.double() @ a.double().t()) @ b.double() + bias.double()
    same = sorted(set(range(40)) - set(expected) - {5})
    assert torch.allclose(result[same].double(), exact[same], atol=1e-4)
    plain, _ = changed_rows(new, old, threshold)
    assert plain.tolist() == expected


class Narrow(nn.Sequential):
    """Two operators in a row: the second reads what the first wrote, and gives the output."""

    def __init__(self):
        super().__init__(nn.Linear(8, 8), nn.Linear(8, 8))

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1).contiguous()).permute(0, 3, 1, 2)


class Chain(LayeredBackbone):
    """A backbone whose layers end with an operator."""

    def __init__(self):
        torch.manual_seed(0)
        self.arch, self.output_stride = 'chain', 4
        self._stem, self._layers = nn.Conv2d(3, 8, 4, 4), [Narrow(), Narrow(), nn.Identity()]
        self.num_layers, self.layer_names = 3, ['a', 'b', 'map']
        self.stem_channels, self.out_channels = 8, [8] * 3
        self.strides, self.branch_strides = [4] * 3, [0] * 3
        self.stage_ends, self.low_level_index = [0, 1], 0


@torch.no_grad()
def test_a_reference_is_overwritten_only_where_nobody_reads_it_any_more():
    network, images = encoder(Chain(), LOW_RANK, rows=True), rand_images()
    base = network(images, ['base'])['base']
    network.thresholds, network.meter = Thresholds(0.1, True), Meter()
    expected = network(images, network.tasks)  # counted work leaves the references as they are
    counts = [count for (task, *_), count in network.meter.ops.items() if task == 'b']
    assert 0 < sum(count.changed for count in counts) < sum(count.rows for count in counts)
    network.meter = None
    found = network(images, network.tasks)
    for task, pair in found.items():
        for feature, exact in zip(pair, expected[task]):
            assert torch.allclose(feature, exact, atol=1e-5), task
    assert all(torch.equal(feature, exact) for feature, exact in zip(found['base'], base))
