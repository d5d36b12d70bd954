"""Routed networks: the masked network against the one that is cut out of it."""

import pytest
import torch
from torch import nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.heads import DeepLabV3PlusHead
from bmtas.task_routing import RoutedEncoder

TASKS = ('a', 'b', 'c', 'd')
ARCHS = ('vgg11', 'vgg11_bn', 'resnet18', 'resnet50', 'mobilenet_v2', 'efficientnet_b0')


class Pooled(nn.Module):
    """An image-level head whose linear layer reads the pooled map position by position."""

    def __init__(self, deep_channels, low_channels, out_channels, pool_size=2):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(pool_size)
        self.linear = nn.Linear(deep_channels * pool_size**2, out_channels)

    def forward(self, deep, low):
        return self.linear(self.pool(deep).flatten(1))


def randomise(module):
    """Weights and statistics that no symmetry hides behind."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dim() <= 2 and 'linear' not in name:
            tensor.data.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return module


def network(arch, head, tasks=TASKS, size=64, **options):
    encoder = RoutedEncoder(LayeredBackbone(arch), tasks, **options)
    channels = (encoder.deep_channels, encoder.low_channels, 3)
    heads = nn.ModuleDict({task: head(*channels) for task in tasks})
    encoder.init_heads(heads)
    randomise(encoder), randomise(heads)
    return encoder.eval(), heads.eval()


@torch.no_grad()
def largest_difference(encoder, heads, tasks, fold=False, size=64):
    x = torch.randn(2, 3, size, size)
    compact = encoder.compact(tasks, fold).eval()
    masked, small = encoder(x, tasks), compact(x, tasks)
    worst = 0.0
    for task in tasks:
        wide, narrow = (
            heads[task](*masked[task]),
            compact.slice_head(heads[task], task)(*small[task]),
        )
        worst = max(worst, float((wide - narrow).abs().max() / wide.abs().max()))
    return worst, compact


@pytest.mark.parametrize('arch', ARCHS)
def test_the_compact_network_equals_the_masked_one(arch):
    for head in (DeepLabV3PlusHead, Pooled):
        encoder, heads = network(arch, head)
        for tasks in (('b',), ('d', 'a', 'c')):
            difference, compact = largest_difference(encoder, heads, tasks)
            assert difference <= 1e-5
    difference, folded = largest_difference(encoder, heads, ('b',), fold=True)
    assert difference <= 1e-5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
