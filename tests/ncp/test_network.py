"""The network and the closed form of its cost, against each other and against published counts."""

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch.nn import functional as F

from bmtas.ncp.codes import NetworkCode
from bmtas.ncp.cost import RECORD_COST, CostModel, branch_sizes
from bmtas.ncp.network import MultiResolutionNetwork, build_network
from bmtas.ncp.spaces import MultiResolutionSpace
from bmtas.registry import MODELS

SMALLEST = [8, 8, 1, 1, 8, 1, 1, 1, 8, 8, 1, 1, 1, 1, 8, 8, 8, 1, 1, 1, 1, 1, 8, 8, 8, 8, 8]
START = [64, 64, 2, 2, 64, 2, 2, 2, 64, 64, 2, 2, 2, 2, 64, 64, 64, 2, 2, 2, 2, 2]
START += [64] * 5
EXAMPLE = [16, 64, 1, 3, 128, 3, 3, 3, 32, 48, 2, 2, 3, 2, 16, 32, 16, 1, 2, 4, 1, 1]
EXAMPLE += [96, 112, 48, 80, 112]
EDITED = [56, 48, 1, 2, 88, 1, 2, 4, 64, 8, 1, 4, 2, 1, 40, 40, 24, 4, 2, 1, 1, 4, 8, 96, 128, 128]
EDITED += [8]
WIDEST = '128_128-2_1_4_128-2_2_4_4_128_128-2_3_4_4_4_128_128_128-2_4_4_4_4_4_128_128_128_128-128'
BEST = '96_128-1_1_1_48-1_2_1_1_128_8-1_3_1_1_1_128_128_120-4_4_4_4_4_4_128_128_128_128-64'
ODD = '32_16-1_1_1_32-3_2_2_3_16_32-1_3_1_1_1_112_48_32-2_4_4_3_4_2_32_64_32_112-128'
# parameters (segmentation 19, classification 50), then multiply-adds by the counter thop of
# segmentation at 128 and 224 pixels, classification at 128 and 224 pixels
PUBLISHED = {
    'smallest': (SMALLEST, 21_043, 21_322, 11647488, 35670432, 11201936, 34305104),
    'start': (START, 4_126_739, 4_128_754, 1985482752, 6080540928, 1967467648, 6025363072),
    'widest': (WIDEST, 28286995, 28290994, 13822402560, 42331107840, 13753342208, 42119597312),
    'best': (BEST, 24969555, 24971570, 8683784192, 26594089088, 8649254016, 26488333824),
    'example': (EXAMPLE, 3_419_027, 3_422_530, 2061605888, 6313668032, 2021047776, 6189447264),
    'odd': (ODD, 2_717_843, 2_721_842, 805819392, 2467821888, 771853568, 2363788352),
    'edited': (EDITED, 9_701_699, 9_701_978, 1233975296, 3779049344, 1230884752, 3769583728),
}
HEADS = [('segmentation', 19), ('classification', 50)]


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_counts(name):
    code, *expected = PUBLISHED[name]
    code = NetworkCode.parse(code)
    found = [CostModel(head=head, classes=classes).params(code) for head, classes in HEADS]
    for head, classes in HEADS:
        for side in (128, 224):
            found.append(CostModel((side, side), head, classes, 'thop').madds(code))
    assert found == expected
    with torch.device('meta'):
        built = [build_network(code, head, classes) for head, classes in HEADS]
    assert [sum(p.numel() for p in network.parameters()) for network in built] == expected[:2]


def test_cost_of_the_code_that_the_public_tool_names_for_segmentation():
    code = [40, 40, 1, 4, 8, 1, 1, 2, 104, 64, 1, 3, 1, 1, 56, 32, 88, 3, 1, 1, 3, 3]
    madds, params = RECORD_COST.both([*code, 8, 64, 128, 128, 16])
    assert (round(madds / 1e9, 3), round(params / 1e6, 2)) == (0.909, 7.96)


@pytest.mark.parametrize(('head', 'classes'), HEADS)
@pytest.mark.parametrize('size', [(128, 128), (100, 100), (72, 56)])
def test_closed_form_counts_the_built_network(monkeypatch, head, classes, size):
    code = MultiResolutionSpace('full').random(1, np.random.default_rng(sum(size)))[0]
    code = np.minimum(code, 32)
    network = build_network(code, head, classes).eval()
    cost = CostModel(size, head, classes)
    flops = FlopCountAnalysis(network, torch.zeros(1, 3, *size))
    flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert flops.by_operator()['conv'] == cost.madds(code)
    assert sum(p.numel() for p in network.parameters()) == cost.params(code)
    elements = []
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, args: elements.append(args[0].numel()))
    upsampled = []
    plain = F.interpolate

    def interpolate(x, *args, **kwargs):
        out = plain(x, *args, **kwargs)
        if kwargs.get('scale_factor') == 2:
            upsampled.append(out.numel())
        return out

    monkeypatch.setattr(F, 'interpolate', interpolate)
    network(torch.zeros(1, 3, *size))
    tally = cost.tally(code)
    assert (sum(elements), sum(upsampled)) == (tally['norm'], tally['upsample'])
    whole = cost.madds(code) + 4 * sum(elements) + sum(upsampled)
    assert CostModel(size, head, classes, 'thop').madds(code) == whole


@pytest.mark.parametrize('stride', [1, 2, 4])
def test_input_strides(stride):
    code, size = SMALLEST, (32, 32)
    network = MultiResolutionNetwork(code, input_stride=stride).eval()
    branches = network(torch.zeros(1, 3, *size))
    assert [b.shape[-1] for b in branches] == [32 // stride // 2**i for i in range(4)]
    model = build_network(code, input_stride=stride).eval()
    flops = FlopCountAnalysis(model, torch.zeros(1, 3, *size))
    flops.unsupported_ops_warnings(False)
    assert flops.by_operator()['conv'] == CostModel(
        size, 'segmentation', 19, input_stride=stride
    ).madds(code)
    with pytest.raises(ValueError, match='input_stride 3'):
        MultiResolutionNetwork(code, input_stride=3)


def test_batches_tensors_and_gradients_of_the_cost():
    codes = MultiResolutionSpace('full').random(20, np.random.default_rng(0))
    cost = CostModel((100, 75), 'segmentation', 7, 'thop')
    madds = cost.madds(codes)
    assert madds.dtype == np.int64 and madds.tolist() == [cost.madds(code) for code in codes]
    points = torch.tensor(codes, dtype=torch.float64, requires_grad=True)
    assert cost.madds(points).tolist() == madds.tolist()
    assert torch.autograd.gradcheck(cost.madds, points[:2].detach().requires_grad_(), rtol=1e-4)
    with pytest.raises(ValueError, match='27'):
        cost.madds(codes[:, :26])
    with pytest.raises(ValueError, match='convention'):
        CostModel(convention='flops')
    with pytest.raises(ValueError, match='head'):
        CostModel(head='seg')


class Functional:
    """The same network from its description: functional calls, weights taken in order."""

    def __init__(self, code, weights):
        self.code, self.weights = list(code), dict(weights)

    def conv(self, x, name, stride=1, act=True):
        w = self.weights
        y = F.conv2d(
            x, w[f'{name}.0.weight'], stride=stride, padding=w[f'{name}.0.weight'].shape[-1] // 2
        )
        return self.norm(y, f'{name}.1', act)  # fmt: skip

    def norm(self, y, name, act=True):
        w = self.weights
        mean, var = w[f'{name}.running_mean'], w[f'{name}.running_var']
        y = (y - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
        y = y * w[f'{name}.weight'][:, None, None] + w[f'{name}.bias'][:, None, None]
        return y.clamp(min=0) if act else y

    def unit(self, x, name):
        w = self.weights
        y = self.norm(F.conv2d(x, w[f'{name}.conv1.weight'], padding=1), f'{name}.bn1')
        y = self.norm(F.conv2d(y, w[f'{name}.conv2.weight'], padding=1), f'{name}.bn2', False)
        return (x + y).clamp(min=0)

    def __call__(self, image):
        entries, position = [], 2
        for stage in range(1, 5):
            block = self.code[position : position + 1 + 2 * stage]
            entries += block[0] * [block[1 : 1 + stage]]
            position += 1 + 2 * stage
        x = [self.conv(self.conv(image, 'stem.0', 2), 'stem.1', 2)]
        for number, units in enumerate(entries):
            name, out = f'body.{number}', []
            for i in range(len(x)):
                terms = []
                if i > 0:
                    terms.append(self.conv(x[i - 1], f'{name}.0.down.{i - 1}', 2))
                terms.append(self.conv(x[i], f'{name}.0.keep.{i}'))
                if i + 1 < len(x):
                    up = self.conv(x[i + 1], f'{name}.0.up.{i}')
                    terms.append(up.repeat_interleave(2, -1).repeat_interleave(2, -2))
                total = terms[0]
                for term in terms[1:]:
                    total = total + F.interpolate(
                        term, total.shape[-2:], mode='bilinear', align_corners=False
                    )
                out.append(total.clamp(min=0))
            if len(units) > len(x):
                out.append(self.conv(out[-1], f'{name}.0.grow', 2))
            for i, n in enumerate(units):
                for unit in range(n):
                    out[i] = self.unit(out[i], f'{name}.1.branches.{i}.{unit}')
            x = out
        return x


@pytest.mark.parametrize('size', [(64, 64), (100, 100), (37, 90)])
def test_forward_follows_the_description(size):
    generator = torch.Generator().manual_seed(0)
    network = MultiResolutionNetwork(np.minimum(EXAMPLE, 24)).double().eval()
    for name, buffer in network.state_dict().items():
        if name.endswith(('running_mean', 'running_var', 'bias', '1.weight')):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
        if name.endswith('running_var'):
            buffer.mul_(150)  # values below 200 instead of 1e38, where 1e-10 means something
    image = torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        found = network(image)
        expected = Functional(network.code, network.state_dict())(image)
    assert [tuple(b.shape[-2:]) for b in found] == branch_sizes(size)[3:]
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_heads_fuse_at_their_resolution():
    image = torch.rand(2, 3, 100, 100)
    for (head, classes), shape in zip(HEADS, [(2, 19, 25, 25), (2, 50, 1, 1)]):
        model = build_network(SMALLEST, head, classes).eval()
        with torch.no_grad():
            branches = model[0](image)
            size = branches[0 if head == 'segmentation' else 3].shape[-2:]
            resized = [F.interpolate(b, size, mode='bilinear') for b in branches]
            fused = model[1].fuse(torch.cat(resized, 1))
            if head == 'classification':
                fused = fused.mean((2, 3), keepdim=True)
            torch.testing.assert_close(model(image), model[1].classify(fused))
            assert model(image).shape == shape
    with pytest.raises(ValueError, match='choose from'):
        build_network(SMALLEST, 'video')


def test_initial_weights_and_registry():
    network = MODELS.build(dict(type='MultiResolutionNetwork', code=START))
    weight = network.body[0][1].branches[0][0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert network.out_channels == (64, 64, 64, 64)


def test_every_recorded_cost_is_reproduced(data_root):
    from bmtas.ncp.data import load_records

    table = load_records(data_root / 'nas_bench_mr', 'video')
    madds, params = RECORD_COST.both(table.codes)
    assert np.abs(madds - table['flops'] * 1e9).max() < 1e-4
    assert np.abs(params - table['params'] * 1e6).max() < 1e-4


@pytest.mark.slow
def test_every_record_can_be_built(data_root):
    from bmtas.ncp.data import load_records

    table = load_records(data_root / 'nas_bench_mr', 'seg')
    rows = np.random.default_rng(0).choice(len(table), 60, replace=False)
    for code in table.codes[rows]:
        with torch.device('meta'):
            network = build_network(code, 'classification', 50)
        assert sum(p.numel() for p in network.parameters()) == RECORD_COST.params(code)
