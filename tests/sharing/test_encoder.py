"""Shared execution against merged networks and against the formulas, written out."""

import copy
import math

import pytest
import torch
from sharing_toys import LOW_RANK, SPARSE, encoder, mobilenet, rand_images, vit
from torch import nn

from bmtas.models.encoders import BranchedEncoder
from bmtas.sharing import DeltaEncoder
from bmtas.sharing.encoder import STAGES
from bmtas.sharing.merge import merged_encoder
from bmtas.sharing.ops import SharedOp

ALL = ('base', 'a', 'b')


@pytest.fixture
def images():
    return rand_images()


def run(network, images, tasks=ALL, **routing):
    with torch.no_grad():
        return {t: deep for t, (deep, _) in network(images, tasks, **routing).items()}


def difference(first, second):
    return max(float((first[t] - second[t]).abs().max()) for t in first)


def with_thresholds(network, value, **options):
    changed = copy.deepcopy(network).eval()
    changed.thresholds = DeltaEncoder(vit(), ['base'], 'base', SPARSE, thresholds=value).thresholds
    for key, option in options.items():
        setattr(changed, key, option)
    return changed.eval()


BACKBONES = [vit, mobilenet]
DELTAS = [SPARSE, LOW_RANK]


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('delta', DELTAS)
@pytest.mark.parametrize('rows', [False, True])
@pytest.mark.parametrize('on', ['input', 'output'])
def test_without_a_threshold_it_is_the_merged_network(images, backbone, delta, rows, on):
    network = encoder(backbone(), delta, tasks=ALL)
    expected = run(network, images)
    assert difference(run(network, images, ['a']), dict(a=expected['a'])) == 0
    shared = with_thresholds(network, 0.0, rows=rows, threshold_on=on)
    assert difference(run(shared, images), expected) < 1e-5
    for task in ('a', 'b'):
        merged = merged_encoder(network, task).eval()
        assert difference(run(merged, images, [task]), {task: expected[task]}) < 1e-5
        assert float((expected[task] - expected['base']).abs().max()) > 1e-3


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('rows', [False, True])
def test_infinite_threshold_and_no_delta_is_the_base_exactly(images, backbone, rows):
    network = encoder(backbone(), scale=0)
    shared = with_thresholds(network, math.inf, rows=rows)
    features = run(shared, images)
    assert torch.equal(features['a'], features['base'])


def test_the_base_is_an_ordinary_network(images):
    network = encoder()
    plain = BranchedEncoder(vit(), ['base'], 'shared').eval()
    assert torch.equal(run(network, images)['base'], run(plain, images, ['base'])['base'])


def spec_formula(op, task_weight, task_bias, x, x0, y0, tau):
    """y_0 + W_0 T(x - x_0) + dW x~ + dc, term by term, in float64."""
    d = x - x0
    d = d * (d.abs() >= tau)
    weight, bias = op.weight.double(), op.bias.double()
    return y0 + d @ weight.t() + (x0 + d) @ (task_weight - weight).t() + (task_bias - bias)


@pytest.mark.parametrize('delta', DELTAS)
@pytest.mark.parametrize('tau', [0.05, 0.5])
def test_input_mode_is_the_formula_of_the_spec(delta, tau):
    network = encoder(vit(), delta).double()
    op = network.layers[1].mlp.fc1
    tree = network.deltas['a'].layers.get_submodule('1.mlp.fc1')
    weight, bias = tree.weight(op.weight), tree.bias(op.bias)
    merged = nn.Linear(16, 64).double()
    merged.load_state_dict(dict(weight=weight, bias=bias))
    torch.manual_seed(2)
    x0, x = torch.randn(2, 5, 16).double(), torch.randn(2, 5, 16).double()
    y0 = op(x0)
    _, y = SharedOp(tau, product=tree.weight.product())(merged, x, (x0, y0))
    assert torch.allclose(y, spec_formula(op, weight, bias, x, x0, y0, tau), atol=1e-12)


@pytest.mark.parametrize('delta', DELTAS)
def test_row_mode_is_the_formula_by_rows(delta):
    network = encoder(vit(), delta).double()
    op = network.layers[1].mlp.fc1
    tree = network.deltas['a'].layers.get_submodule('1.mlp.fc1')
    weight, bias = tree.weight(op.weight), tree.bias(op.bias)
    merged = nn.Linear(16, 64).double()
    merged.load_state_dict(dict(weight=weight, bias=bias))
    torch.manual_seed(2)
    x0 = torch.randn(2, 5, 16).double()
    x = x0 + torch.linspace(0, 1, 10).view(2, 5, 1) * torch.randn(2, 5, 16).double()
    y0 = op(x0)
    shared = SharedOp(0.8, rows=True, product=tree.weight.product(bias - op.bias))
    used, y = shared(merged, x, (x0, y0))
    for image in range(2):
        for token in range(5):
            row, old = x[image, token], x0[image, token]
            changed = bool((row - old).abs().max() >= 0.8)
            expected = row if changed else old
            assert torch.equal(used[image, token], expected)
            assert torch.allclose(y[image, token], weight @ expected + bias, atol=1e-12)
    assert 0 < int((used != x0).any(-1).sum()) < 10


def reference_network(network, task, images, tau):
    """The public code's rule, transcribed: outputs of the four operators of each block."""
    block_base, block_task = network.layers, merged_encoder(network, task).eval().layers
    x0, x = network.stem(images), merged_encoder(network, task).eval().stem(images)
    x = x0 + (x - x0) * ((x - x0).abs() >= tau)

    def cut(y, y0):
        d = (y - y0).clone()
        d[d.abs() < tau] = 0
        return y0 + d

    t0, t = (v.flatten(2).transpose(1, 2) for v in (x0, x))
    for b0, b in zip(list(block_base)[:-1], [copies[0] for copies in block_task][:-1]):
        q0 = b0.attn.qkv(b0.norm1(t0))
        q = cut(b.attn.qkv(b.norm1(t)), q0)
        a0, a = (attention(v, b0.attn.heads) for v in (q0, q))
        p0 = b0.attn.proj(a0)
        t, t0 = t + cut(b.attn.proj(a), p0), t0 + p0
        f0 = b0.mlp.fc1(b0.norm2(t0))
        f = cut(b.mlp.fc1(b.norm2(t)), f0)
        g0 = b0.mlp.fc2(b0.mlp.act(f0))
        t, t0 = t + cut(b.mlp.fc2(b.mlp.act(f)), g0), t0 + g0
    return t


def attention(qkv, heads):
    batch, tokens, width = qkv.shape
    q, k, v = qkv.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) / (width // 3 // heads) ** 0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(batch, tokens, width // 3)


def test_output_mode_is_the_public_code(images):
    network = encoder(vit()).double()
    images = images.double()
    shared = with_thresholds(network, 0.05, threshold_on='output')
    with torch.no_grad():
        expected = reference_network(network, 'a', images, 0.05)
    found = run(shared, images, ['a'])['a'].flatten(2).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-10)
    assert not torch.allclose(run(network, images, ['a'])['a'].flatten(2).transpose(1, 2), expected)


def test_a_shared_prefix_runs_once_and_has_no_delta(images):
    network = encoder(vit(), from_layer=2)
    runs = []
    network.layers[0].register_forward_hook(lambda *_: runs.append(0))
    network.layers[2].register_forward_hook(lambda *_: runs.append(2))
    features = run(network, images)
    assert runs == [0, 2, 2, 2]
    assert not any(name.startswith('layers.1') for name in network.deltas['a'].state_dict())
    # exact: bit for bit a network of its own, of which the first layers are the base's
    merged = merged_encoder(network, 'a').eval()
    assert torch.equal(run(merged, images, ['a'])['a'], features['a'])
    base, own = (dict(part.named_parameters()) for part in (network.layers[:2], merged.layers[:2]))
    assert all(torch.equal(a, b) for a, b in zip(base.values(), own.values(), strict=True))
    assert float((features['a'] - features['base']).abs().max()) > 1e-3


def test_only_what_is_asked_for_runs(images):
    network, runs = encoder(vit()), []
    network.layers[0].register_forward_hook(lambda *_: runs.append(0))
    run(network, images, ['a'])
    run(network, images, ['base'])
    assert runs == [0, 0]
    run(with_thresholds(network, 0.1), images, ['a'])
    assert len(runs) == 2 + 1 + 1 or len(runs) == 2 + 2


def trained(stage, tasks=('a',), **options):
    network = DeltaEncoder(vit(), tasks, 'base', SPARSE, stage=stage, **options)
    network.generator_seed = 3
    return network.train()


@pytest.mark.parametrize('stage', STAGES)
def test_a_stage_trains_its_own_parameters_only(images, stage):
    own = ('base',) if stage in ('base', 'temporal') else ('a',)
    weights = dict(gate_weight=1e-3, align_weight=1.0)
    network = trained(stage, own, temporal_weight=float(stage != 'base'), **weights)
    frames = torch.stack([images + 0.1, images - 0.1], 1)
    features = network(images, own, frames=frames)
    losses = network.extra_losses()
    expected = dict(gates={'gates'}, align={'align', 'temporal'}, temporal={'temporal'})
    assert set(losses) == expected.get(stage, set())
    (features[own[0]][0].square().mean() + sum(losses.values())).backward()
    for name, parameter in network.named_parameters():
        moves = name.startswith('deltas.') if own == ('a',) else True
        assert (parameter.grad is not None) == moves, name


def test_align_penalty_is_the_mean_difference_of_the_operators_inputs(images):
    network = trained('align', align_weight=2.0)
    randomised = encoder(vit(), tasks=('a',))
    network.load_state_dict(randomised.state_dict())
    network(images, ['a'])
    inputs = {}
    for name, blocks in (('base', network), ('a', merged_encoder(randomised, 'a'))):
        found = inputs.setdefault(name, [])
        hooks = [
            m.register_forward_hook(lambda m, x, y, found=found: found.append(x[0]))
            for m in blocks.modules()
            if type(m) in (nn.Linear, nn.Conv2d)
        ]
        x = blocks.stem(images)
        for layer in blocks.layers:
            x = (layer[0] if isinstance(layer, nn.ModuleList) else layer)(x)
        [hook.remove() for hook in hooks]
    pairs = list(zip(inputs['base'], inputs['a']))
    total = sum(float((x - y).detach().abs().sum()) for x, y in pairs)
    expected = 2.0 * total / sum(x.numel() for x, _ in pairs)
    assert network.extra_losses()['align'].item() == pytest.approx(expected, rel=1e-5)


def test_output_side_has_the_six_points_of_the_public_code():
    from bmtas.sharing.penalty import penalised

    names = {name for name, _ in penalised(vit().copy_layer(0), 'output')}
    assert names == {'norm1', 'attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.act', 'mlp.fc2'}


def test_penalties_do_not_depend_on_the_batch(images):
    network = trained('align', align_weight=1.0)
    network.load_state_dict(encoder(vit(), tasks=('a',)).state_dict())
    network(images, ['a'])
    once = network.extra_losses()['align'].item()
    network(torch.cat([images, images]), ['a'])
    assert network.extra_losses()['align'].item() == pytest.approx(once, rel=1e-5)


def test_neighbour_frame_follows_from_the_seed(images):
    frames = torch.stack([images + 0.5, images * 2, images - 1], 1)
    losses = []
    for seed in (0, 0, 1, 2, 3, 4):
        network = trained('temporal', ('base',), temporal_weight=1.0)
        network.generator_seed = seed
        network(images, ['base'], frames=frames)
        losses.append(network.extra_losses()['temporal'].item())
    assert losses[0] == losses[1] and len(set(losses)) == 3


def test_batch_norms_of_a_task_keep_their_own_statistics(images):
    network = DeltaEncoder(mobilenet(), ['a'], 'base', SPARSE, stage='support').train()
    before = copy.deepcopy(network.state_dict())
    network(images, ['a'])
    moved = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all(name.startswith('deltas.a.') for name in moved)


def test_base_is_taken_from_its_checkpoint(tmp_path):
    source = encoder(vit(), tasks=('base',))
    with torch.no_grad():
        source.layers[0].attn.qkv.weight.add_(1)
    state = {f'encoder.{k}': v for k, v in source.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'base.pth')
    network = DeltaEncoder(vit(), ['a'], 'base', SPARSE, base=str(tmp_path / 'base.pth'))
    assert torch.equal(network.layers[0].attn.qkv.weight, source.layers[0].attn.qkv.weight)
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth has no encoder.stem.*base task'):
        DeltaEncoder(vit(), ['a'], 'base', SPARSE, base=str(tmp_path / 'other.pth'))


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(from_layer=9), 'from_layer: 9 must be 0 to 3'),
        (dict(thresholds=-1.0), '-1.0 is no threshold'),
        (dict(threshold_on='middle'), "threshold_on: 'middle', choose"),
        (dict(stage='last'), "stage: 'last', choose"),
        (dict(delta=dict(type='LowRankDelta', rank=40)), 'rank: 40 must be 1 to 16'),
        (dict(video=dict(interval=0)), 'interval must be at least 1'),
    ],
)
def test_faulty_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        DeltaEncoder(
            **{**dict(backbone=vit(), tasks=['a'], base_task='base', delta=SPARSE), **options}
        )


def test_training_without_a_stage_is_refused(images):
    network = encoder(vit()).train()
    with pytest.raises(ValueError, match='trained in stages'):
        network(images, ['a'])


def test_merged_weights_follow_a_training_and_a_checkpoint(images):
    network = encoder()
    state = copy.deepcopy(network.state_dict())
    first = run(network, images)
    network.train()
    with torch.no_grad():
        network.deltas['a'].get_submodule('layers.0.mlp.fc1.weight').delta.add_(0.1)
    second = run(network.eval(), images)
    assert difference(dict(a=first['a']), second) > 1e-3
    assert difference(second, run(copy.deepcopy(network).eval(), images)) == 0
    network.load_state_dict(state)
    assert difference(first, run(network, images)) == 0
