"""The two counters against each other, against plain fvcore and hand-computed formulas."""

import copy

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from bmtas.resources import (
    count_madds,
    count_params,
    count_saved_bytes,
    measure_latency,
    usable_device,
)


class Net(nn.Module):
    """Every kind of operator that is counted or must not be."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.logits = nn.Conv2d(8, 5, 1)
        self.linear = nn.Linear(5, 4)

    def forward(self, x):
        x = self.bn(self.conv(x)).relu()
        x = self.logits(self.depthwise(x))
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)
        up = nn.functional.interpolate(pooled, size=x.shape[2:], mode='bilinear')
        return self.linear(torch.cat([x, up]).mean((2, 3))), x


class Attention(nn.Module):
    """Pixels as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 6, 1, bias=False)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.attention(x, x, x, need_weights=False)[0]


def test_mac_equals_second_counter():
    net, image = Net().eval(), torch.zeros(1, 3, 31, 40)
    second = FlopCountAnalysis(net, image).unsupported_ops_warnings(False)
    expected = second.by_operator()
    assert count_madds(net, image) == expected['conv'] + expected['linear']


def test_meta_equals_cpu():
    net, image = Net(), torch.zeros(1, 3, 31, 40)
    on_cpu = count_madds(net, image)
    assert count_madds(net.to('meta'), image.to('meta')) == on_cpu
    assert net.training


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('groups', [1, 4])
def test_paper_convolution(bias, groups):
    conv = nn.Conv2d(8, 12, 3, padding=1, bias=bias, groups=groups)
    taps, outputs = 9 * 8 // groups, 12 * 6 * 7
    counted = count_madds(conv, torch.zeros(1, 8, 6, 7), convention='paper')
    assert counted == outputs * (2 * taps - 1 + bias) / 2


def test_paper_counts_pools_only_beside_convolutions():
    x = torch.zeros(1, 4, 16, 16)
    assert count_madds(nn.MaxPool2d(3, 2, 1), x, convention='paper') == 9 * 4 * 64 // 2
    assert count_madds(nn.AdaptiveAvgPool2d(1), x, convention='paper') == 4 * 256 // 2
    assert count_madds(nn.AdaptiveAvgPool2d(2), x, convention='paper') == 4 * 256 // 2
    free = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU6(), nn.Upsample(scale_factor=2), nn.Sigmoid())
    assert count_madds(free, x, convention='paper') == 0
    assert count_madds(nn.MaxPool2d(3, 2, 1), x, convention='mac') == 0


@pytest.mark.parametrize('convention', ['mac', 'paper'])
@pytest.mark.parametrize(
    'module',
    [
        Net(),
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)),
        nn.ConvTranspose2d(3, 5, 4, stride=2, bias=False),
        nn.ConvTranspose2d(3, 6, 3),
        Attention(),
    ],
    ids=['net', 'pools', 'transposed', 'transposed_bias', 'attention'],
)
def test_the_two_counters_agree(module, convention):
    image = torch.zeros(1, 3, 31, 40)
    expected = count_madds(
        copy.deepcopy(module).to('meta'), image.to('meta'), convention=convention
    )
    assert count_madds(module, image, convention=convention) == expected > 0


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_attention_by_hand(device):
    """Queries, keys, values, both products and the output for 1240 tokens of 6 channels."""
    tokens, image = 31 * 40, torch.zeros(1, 3, 31, 40, device=device)
    linear, products = tokens * (6 * 3 + 4 * 6 * 6), 2 * tokens * tokens * 6
    net = Attention().to(device)
    assert count_madds(net, image) == linear + products
    # functional calls are free, biased linear layers cost a full multiply-add
    assert count_madds(net, image, convention='paper') == linear - tokens * 3


def test_unknown_convention_names_the_choice():
    with pytest.raises(ValueError, match="unknown convention 'flops', choose from"):
        count_madds(nn.ReLU(), torch.zeros(1), convention='flops')


def test_params_count_shared_weights_once_and_frozen_never():
    conv = nn.Conv2d(2, 2, 1)
    net = nn.Sequential(conv, nn.BatchNorm2d(2), conv, nn.Conv2d(2, 2, 1).requires_grad_(False))
    assert count_params(net) == 6 + 4


def test_saved_bytes_are_what_autograd_keeps():
    """x -> conv -> bn (keeps its input, two statistics) -> relu (keeps its output) -> output."""
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    kept = 4 * (8 * 100 + 8 * 100 + 2 * 100) + 4 * 2 * 8 // 2
    for device in ('cpu', 'meta'):
        found = count_saved_bytes(net.to(device), torch.zeros(1, 3, 10, 10, device=device))
        assert abs(found - kept) <= 64, device
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)).eval()
    count_saved_bytes(net, torch.rand(1, 3, 10, 10))
    assert not net.training and net[1].num_batches_tracked == 0 and net[1].running_mean.eq(0).all()


def test_latency_grows_with_the_work():
    x = torch.zeros(1, 16, 64, 64)
    small, large = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 128, 3)
    assert measure_latency(small, x, min_run_time=0.02) < measure_latency(
        large, x, min_run_time=0.02
    )


@pytest.mark.parametrize('name', ['qpu', 'cuda:99', ''])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(ValueError, match=f'^device {name!r} cannot be used: [^\\n]+$'):
        usable_device(name)
