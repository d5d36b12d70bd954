"""Imported networks against the public network's own arithmetic, written down from its names."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18, resnet50

from bmtas.apis.importing import convert_backbone, convert_bmtas
from bmtas.cli.base import run_tool
from bmtas.cli.convert import main
from bmtas.engine import load_model
from bmtas.engine.config import load_config
from bmtas.models.backbones import LayeredBackbone

TASKS = ['semseg', 'sal', 'edge', 'normals', 'human_parts']  # another order than the config's
OUTPUTS = dict(semseg=21, human_parts=7, sal=1, normals=3, edge=1)
# width, stride, dilation of the depth-wise convolution, by layer
BLOCKS = [(16, 1, 1), (24, 2, 1), (24, 1, 1), (32, 2, 1), (32, 1, 1), (32, 1, 1), (64, 2, 1)]
BLOCKS += [(64, 1, 1)] * 3 + [(96, 1, 1)] * 3 + [(160, 1, 1), (160, 1, 2), (160, 1, 2), (320, 1, 2)]
ROUTES = [[0] * 5] * 2 + [[3, 3, 0, 3, 0]] * 4 + [[3, 1, 2, 3, 0]] * 6 + [[0, 1, 2, 4, 2]] * 6


class Public:
    """The public network as functions of its state dict, which is made as it is first needed."""

    def __init__(self):
        self.state = {}
        self.draw = torch.Generator().manual_seed(0)

    def conv(self, name, x, out, kernel=1, stride=1, dilation=1, groups=1, act=True):
        weight = self.tensor(f'{name}.op.0.weight', (out, x.shape[1] // groups, kernel, kernel))
        x = F.conv2d(x, weight, None, stride, dilation * (kernel // 2), dilation, groups)
        mean, var, scale, shift = (
            self.tensor(f'{name}.op.1.{key}', (out,), low)
            for key, low in (('running_mean', 0), ('running_var', 1), ('weight', 1), ('bias', 0))
        )
        self.state.setdefault(f'{name}.op.1.num_batches_tracked', torch.tensor(3))
        x = F.batch_norm(x, mean, var, scale, shift)
        return F.relu6(x) if act else x

    def tensor(self, key, shape, low=None):
        if key not in self.state:
            noise = torch.randn(shape, generator=self.draw)
            self.state[key] = 0.1 * noise + (low if low is not None else 0)
            if low is None:
                self.state[key] = noise / (noise[0].numel()) ** 0.5
        return self.state[key]

    def block(self, layer, copy, x):
        name, (out, stride, dilation) = f'encoder.{layer}.path.{copy}.chain', BLOCKS[layer]
        wide, chain = x, 0
        if layer:
            wide = self.conv(f'{name}.0', x, 6 * x.shape[1])
            chain = 1
        hidden = wide.shape[1]
        wide = self.conv(f'{name}.{chain}', wide, hidden, 3, stride, dilation, hidden)
        y = self.conv(f'{name}.{chain + 1}', wide, out, act=False)
        return x + y if x.shape == y.shape else y

    def context(self, copy, x):
        name = f'encoder.17.path.{copy}'
        one = self.conv(f'{name}.aspp_branch_1', x, 128)
        pooled = self.conv(f'{name}.aspp_branch_2.1', x.mean((2, 3), keepdim=True), 128)
        return self.conv(f'{name}.aspp_projection', torch.cat([one, pooled.expand_as(one)], 1), 128)

    def head(self, task, deep, low, size):
        name = f'decoder.{task}'
        low = self.conv(f'{name}.low_level_reduce', low, 48)
        x = torch.cat([low, F.interpolate(deep, size=low.shape[-2:], mode='bilinear')], 1)
        for conv in ('conv_1', 'conv_2'):
            x = self.conv(f'{name}.{conv}.0', x, x.shape[1], 3, groups=x.shape[1])
            x = self.conv(f'{name}.{conv}.1', x, 128)
        weight = self.tensor(f'{name}.conv_logits.weight', (OUTPUTS[task], 128, 1, 1))
        x = F.conv2d(x, weight, self.tensor(f'{name}.conv_logits.bias', (OUTPUTS[task],), 0))
        return F.interpolate(x, size=size, mode='bilinear')

    def __call__(self, images):
        x = self.conv('stem', images, 32, 3, 2)
        groups, out = [set(range(5))], [x]
        for layer, row in enumerate(ROUTES):
            parts = [{t for t in range(5) if row[t] == k} for k in range(5)]
            pairs = [(p & g, i) for p in parts for i, g in enumerate(groups) if p & g]
            run = self.context if layer == 17 else lambda copy, x: self.block(layer, copy, x)  # noqa: B023
            out = [run(copy, out[i]) for copy, (_, i) in enumerate(pairs)]
            groups = [group for group, _ in pairs]
            if layer == 2:
                low = {t: out[i] for i, g in enumerate(groups) for t in g}
        deep = {t: out[i] for i, g in enumerate(groups) for t in g}
        size = images.shape[-2:]
        return {name: self.head(name, deep[t], low[t], size) for t, name in enumerate(TASKS)}


@pytest.fixture(scope='module')
def public(tmp_path_factory):
    """The network, an image, its outputs, and a checkpoint as the public code writes it."""
    network, image = Public(), torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    outputs = network(2 * image - 1)
    path = tmp_path_factory.mktemp('public') / 'checkpoint.pth'
    state = {f'module.{key}': value for key, value in network.state.items()}
    content = dict(state_dict=state, tasks=TASKS, branch_config=torch.tensor(ROUTES).tolist())
    torch.save(content, path)
    return image, outputs, path


def test_the_imported_network_computes_the_same(public, tmp_path):
    image, expected, path = public
    out = tmp_path / 'ours.pth'
    assert run_tool(main, ['bmtas', str(path), '--out', str(out)]) == 0
    _, model = load_model('branched/mobilenetv2_pascal', out, device='cpu')
    with torch.no_grad():
        found = model(2 * image - 1, mode='tensor')
    for task in TASKS:
        assert expected[task].abs().max() > 0.01
        torch.testing.assert_close(found[task], expected[task], rtol=1e-4, atol=1e-5)
    assert tuple(model.encoder.tree.num_groups) == (1, 1, *[2] * 4, *[4] * 6, *[5] * 6)
    assert (tmp_path / 'ours.pth.json').is_file()


def test_what_does_not_fit_is_named(public, tmp_path):
    content = torch.load(public[2])
    cfg = 'branched/mobilenetv2_pascal'
    for key, change, message in (
        ('tasks', TASKS[:4], 'its tasks are'),
        ('state_dict', {'module.encoder.99.path.0.chain.0.op.0.weight': torch.zeros(1)}, 'is no'),
        ('state_dict', {}, 'lacks 1095 tensors'),
    ):
        torch.save({**content, key: change}, tmp_path / 'bad.pth')
        with pytest.raises(ValueError, match=message):
            convert_bmtas(tmp_path / 'bad.pth', load_config(cfg), tmp_path / 'out.pth')
    for bad, message in (
        (dict(state_dict={}), "bad.pth: key 'tasks' is missing"),
        ({**content, 'tasks': 3}, "bad.pth: 'int' object is not iterable"),
        ({**content, 'state_dict': 3}, "bad.pth: 'int' object is not iterable"),
    ):
        torch.save(bad, tmp_path / 'bad.pth')
        with pytest.raises(ValueError, match=message):
            convert_bmtas(tmp_path / 'bad.pth', load_config(cfg), tmp_path / 'out.pth')
    torch.save(dict(state_dict=3), tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth holds no state dict'):
        convert_backbone(tmp_path / 'bad.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: dict(state_dict=s, meta={})])
def test_deeplab_backbones(wrap, tmp_path):
    trunk = resnet18()
    state = {f'backbone.{k}': v for k, v in trunk.state_dict().items() if not k.startswith('fc')}
    torch.save(wrap({**state, 'classifier.0.weight': torch.zeros(1)}), tmp_path / 'deeplab.pth')
    out = tmp_path / 'resnet.pth'
    assert convert_backbone(tmp_path / 'deeplab.pth', out) == len(state)
    backbone = LayeredBackbone(arch='resnet18', weights=str(out))
    torch.testing.assert_close(backbone.copy_stem()[0].weight, trunk.conv1.weight)


def deep_stem():
    """mmsegmentation's ResNetV1c before its first layer: three convolutions of 3x3."""
    sides = ((3, 32, 2), (32, 32, 1), (32, 64, 1))
    parts = [
        part
        for inside, outside, stride in sides
        for part in (
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
        )
    ]
    return nn.Sequential(*parts)


@torch.no_grad()
def test_deep_stems_of_mmsegmentation_become_those_of_timm(tmp_path):
    pytest.importorskip('timm')
    trunk, stem = resnet50(), deep_stem()
    for norm in (m for part in (trunk, stem) for m in part.modules()):
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
    state = {f'backbone.{key}': v for key, v in trunk.state_dict().items() if key[:5] == 'layer'}
    state |= {f'backbone.stem.{key}': v for key, v in stem.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'deeplab.pth')
    out = tmp_path / 'resnet.pth'
    assert convert_backbone(tmp_path / 'deeplab.pth', out) == len(state)
    backbone = LayeredBackbone(arch='timm/resnet50c', output_stride=32, weights=str(out))
    x = torch.rand(1, 3, 64, 64)
    expected = trunk.layer1.eval()(trunk.maxpool(stem.eval()(x)))
    found = x
    for module in (backbone.copy_stem(), backbone.copy_layer(0)):
        found = module.eval()(found)
    torch.testing.assert_close(found, expected)
    with pytest.raises(ValueError, match='lack'):
        LayeredBackbone(arch='resnet50', weights=str(out))
