"""Routed networks: the masked network against the one that is cut out of it."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from bmtas.models.backbones import LayeredBackbone, register_architecture
from bmtas.models.heads import DeepLabV3PlusHead, PooledLinearHead
from bmtas.task_routing import CompactEncoder, RoutedEncoder

TASKS = ('a', 'b', 'c', 'd')
# an image-level head whose linear layer reads the pooled map position by position
Pooled = partial(PooledLinearHead, pool_size=2)
ARCHS = ('vgg11', 'vgg11_bn', 'resnet18', 'resnet50', 'mobilenet_v2', 'efficientnet_b0')


def randomise(module):
    """Weights and statistics that no symmetry hides behind."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.is_floating_point() and tensor.dim() <= 2 and 'logits' not in name:
            tensor.data.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return module


def network(arch, *heads, tasks=TASKS, **options):
    """An encoder, and for each kind of head one of them by task."""
    encoder = RoutedEncoder(LayeredBackbone(arch), tasks, **options)
    channels = (encoder.deep_channels, encoder.low_channels, 3)
    made = [nn.ModuleDict({task: head(*channels) for task in tasks}) for head in heads]
    for found in made:
        encoder.init_heads(found)
        randomise(found).eval()
    return randomise(encoder).eval(), *made


@torch.no_grad()
def largest_difference(encoder, tasks, *heads, fold=False, size=64):
    x = torch.randn(2, 3, size, size)
    compact = encoder.compact(tasks, fold).eval()
    masked, small = encoder(x, tasks), compact(x, tasks)
    worst = 0.0
    for by_task in heads:
        for task in tasks:
            wide = by_task[task](*masked[task])
            narrow = compact.slice_head(by_task[task], task)(*small[task])
            worst = max(worst, float((wide - narrow).abs().max() / wide.abs().max()))
    return worst, compact


@pytest.mark.parametrize('arch', ARCHS)
def test_the_compact_network_equals_the_masked_one(arch):
    encoder, dense, pooled = network(arch, DeepLabV3PlusHead, Pooled)
    for tasks in (('b',), ('d', 'a', 'c')):
        difference, _ = largest_difference(encoder, tasks, dense, pooled)
        assert difference <= 1e-5
    difference, folded = largest_difference(encoder, ('b',), dense, pooled, fold=True)
    assert difference <= 1e-5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())


def test_group_norm_is_exact_where_masks_keep_whole_groups():
    options = dict(norm=dict(name='group', group_size=8), keep_ratio=0.5)
    scheme = dict(name='grouped', group_size=8)
    encoder, heads = network('vgg11_bn', Pooled, scheme=scheme, **options)
    difference, compact = largest_difference(encoder, ('a', 'b'), heads)
    assert difference <= 1e-5
    assert any(isinstance(m, nn.GroupNorm) for m in compact.modules())
    with pytest.raises(ValueError, match='fold: .* has no fixed statistics'):
        encoder.compact(('a',), fold=True)
    cut, _ = network('vgg11_bn', Pooled, **options)
    with pytest.raises(
        ValueError, match=r"cuts through a group .*'grouped', group_size=8"
    ) as error:
        cut.compact(('a',))
    assert '\n' not in str(error.value)


class Backbone(LayeredBackbone):
    """ResNet-18 whose first block has another norm."""

    def __init__(self, norm):
        super().__init__('resnet18', output_stride=32, aspp=False)
        self._layers[0].bn1 = norm


def test_layer_norm_is_refused_with_what_would_make_it_exact():
    encoder = RoutedEncoder(Backbone(nn.LayerNorm([64, 16, 16])), TASKS)
    with pytest.raises(ValueError, match=r'bn1 \(LayerNorm\) normalises .*batch norm would make'):
        encoder.compact(('a',))


def test_convolutions_of_groups_need_masks_of_whole_groups():
    backbone = LayeredBackbone('resnext50_32x4d', output_stride=32, aspp=False)
    whole = RoutedEncoder(backbone, TASKS, scheme=dict(name='grouped', group_size=32))
    compact = whole.eval().compact(('a',)).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        masked, small = whole(x, ('a',))['a'][0], compact(x, ('a',))['a'][0]
    kept = whole.plan.spread(whole.masks)[0][whole.plan.features[0].units]
    assert (masked[:, kept] - small).abs().max() <= 1e-5 * masked.abs().max()
    cut = RoutedEncoder(backbone, TASKS)
    with pytest.raises(ValueError, match=r'group of convolution conv2; .*group_size=4'):
        cut.compact(('a',))


def test_a_compact_network_is_built_again_from_its_masks():
    """In another order of the tasks, too; they share the stem and the first layers."""
    encoder, _ = network('mobilenet_v2', Pooled, keep_ratio=0.25, first_layer=4)
    compact = encoder.compact(('c', 'a')).eval()
    again = CompactEncoder(
        ('a', 'c'), LayeredBackbone('mobilenet_v2'), compact.masks.content(), first_layer=4
    ).eval()
    again.load_state_dict(compact.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        one, two = compact(x, ('c',))['c'], again(x, ('c',))['c']
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert sum(p.numel() for p in again.parameters()) < 0.5 * sum(
        p.numel() for p in encoder.parameters()
    )


def test_masks_travel_with_the_weights():
    one = RoutedEncoder(LayeredBackbone('vgg11'), TASKS, seed=1)
    two = RoutedEncoder(LayeredBackbone('vgg11'), TASKS, seed=2)
    assert one.masks.difference(two.masks)
    two.load_state_dict(one.state_dict())
    for name, mask in one.masks.layers.items():
        assert np.array_equal(mask, two.masks.layers[name])


def test_masks_of_a_file_are_taken_and_others_refused(tmp_path):
    one = RoutedEncoder(LayeredBackbone('vgg11'), TASKS, seed=1)
    one.masks.to_file(tmp_path / 'masks.json')
    scheme = dict(name='file', masks=str(tmp_path / 'masks.json'))
    two = RoutedEncoder(LayeredBackbone('vgg11'), TASKS, scheme=scheme)
    assert two.masks.difference(one.masks) == ''
    for backbone, tasks, message in [
        (LayeredBackbone('vgg11'), ('a', 'b'), 'masks.json: masks of the tasks'),
        (LayeredBackbone('vgg11', width=0.5), TASKS, 'masks.json: .*another width'),
        (LayeredBackbone('vgg11', aspp=False), TASKS, 'masks.json: .*another backbone'),
    ]:
        with pytest.raises(ValueError, match=message):
            RoutedEncoder(backbone, tasks, scheme=scheme)


def test_a_tree_counts_layers_without_channels_of_their_own(tmp_path):
    """The last one is an activation."""

    def conv(*sides):
        return nn.Sequential(nn.Conv2d(*sides, 3, padding=1), nn.BatchNorm2d(sides[1]), nn.ReLU())

    parts = dict(stem=conv(3, 8), first=conv(8, 8), second=nn.ReLU())
    register_architecture('three_parts', lambda: nn.ModuleDict(parts))
    backbone = LayeredBackbone(
        'three_parts', 1, stem=['stem'], layers=['first', 'second'], aspp=False
    )
    content = dict(config=[[0, 1], [0, 1]], tasks=['a', 'b'])
    (tmp_path / 'tree.json').write_text(json.dumps(content))
    scheme = dict(name='tree', branching=str(tmp_path / 'tree.json'))
    masks = RoutedEncoder(backbone, ('a', 'b'), scheme=scheme, seed=1).masks.layers
    assert [bool((mask[0] == mask[1]).all()) for mask in masks.values()] == [True, False]
