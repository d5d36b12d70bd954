"""Counts against brute force, delta files bit for bit, thresholds that hit their share."""

import copy
import math

import numpy as np
import pytest
import torch
from sharing_toys import LOW_RANK, SPARSE, encoder, mobilenet, rand_images, vit
from torch import nn

from bmtas.sharing.accounting import densities, place_costs, stored_bytes, total_madds
from bmtas.sharing.calibrate import bisect, quantile, thresholds_for
from bmtas.sharing.delta_file import base_hash, check_delta, read_delta, sizes, write_delta
from bmtas.sharing.meter import Meter
from bmtas.sharing.ops import OpCount, products_of
from bmtas.sharing.thresholds import Thresholds, load_thresholds


def measured(network, images, tau, rows=False):
    network.thresholds, network.rows, network.meter = Thresholds(tau, rows), rows, Meter()
    with torch.no_grad():
        network.train().eval()(images, network.tasks)
    meter, network.meter = network.meter, None
    return meter


def loop_products(x, x0, weight, delta, tau):
    """Multiplications of a linear operator that skips zeros, one by one; and those of dW."""
    count = 0
    for row, old in zip(x.reshape(-1, x.shape[-1]), x0.reshape(-1, x.shape[-1])):
        for a, b in zip(row.tolist(), old.tolist()):
            if abs(np.float32(a) - np.float32(b)) >= tau and a != b:
                count += weight.shape[0]
    places = x.numel() // x.shape[-1]
    return count, places * int((delta != 0).sum())


def test_effective_products_equal_counting_by_loops():
    network = encoder(vit(depth=1, dim=8, heads=2), tasks=('base', 'a'))
    images, seen = rand_images(1, 16, 16), {}
    op = network.layers[0].mlp.fc1
    meter = Meter()
    network.thresholds, network.meter = Thresholds(0.05), meter
    calls = []

    def spy(module, x, y):
        calls.append(x[0].clone())

    network.layers[0].norm2.register_forward_hook(lambda m, x, y: calls.append(y.clone()))
    with torch.no_grad():
        network.train().eval()(images, ['base', 'a'])
    base, task = calls
    seen = network.deltas['a'].layers.get_submodule('0.mlp.fc1.weight').dense()
    expected = loop_products(task, base, op.weight, seen, 0.05)
    count = meter.ops['a', 'layers.0', 'mlp.fc1']
    assert count.effective == sum(expected)
    assert 0 < count.nonzero * op.weight.shape[0] == expected[0] < count.dense
    assert count.executed == count.dense == task.numel() * op.weight.shape[0]


def test_effective_total_of_a_toy_network_equals_counting_by_loops():
    """Every operator by loops over rows and entries, scaled dot products by the closed form."""
    network = encoder(vit(depth=2, dim=8, heads=2, patch=8), tasks=('base', 'a'))
    images, tau, inputs = rand_images(1, 16, 24), 0.05, {}
    costs = place_costs(network, images.shape[-2:])
    network.thresholds, network.meter = Thresholds(tau), Meter()

    def spy(key):
        return lambda module, args: inputs.setdefault(key, args[0].detach().clone())

    with torch.no_grad():
        network.train().eval()
        for place in network.places():
            for task, parts in (('base', place), ('a', network.task_place(place, 'a'))):
                for name, op in parts.ops:
                    op.register_forward_pre_hook(spy((task, place.full_name(name))))
        network(images, network.tasks)
    tokens, dim, depth = 6, 8, 2
    attention = 2 * tokens**2 * dim * depth
    total = 12 * dim**2 * tokens * depth + 3 * 8**2 * dim * tokens + 2 * attention  # the base's
    for place in network.places():
        for name, op in place.ops:
            full = place.full_name(name)
            delta = network.deltas['a'].get_submodule(f'{full}.weight')
            stored = sum(bool(kept) for kept in delta.support.flatten().tolist())
            x0, x = inputs['base', full], inputs['a', full]
            if place.name == 'stem':  # both networks see one image
                assert torch.equal(x, x0)
                total += tokens * stored
            else:
                total += loop_products(x, x0, op.weight, delta.dense(), tau)[0] + tokens * stored
    heads = dict.fromkeys(network.tasks, 0)
    assert total_madds(network, network.meter, heads, costs)['effective'] == total


@pytest.mark.parametrize('stride, padding, groups', [(1, 1, 1), (2, 1, 1), (1, 0, 2), (2, 2, 4)])
def test_products_of_a_convolution_equal_loops(stride, padding, groups):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 8, 3, stride, padding, groups=groups)
    nonzero = torch.rand(2, 4, 6, 7) < 0.3
    count, (height, width) = 0, conv(nonzero.float()).shape[-2:]
    for image in nonzero:
        for out in range(8):
            for c in range(4 // groups):
                channel = image[out // (8 // groups) * (4 // groups) + c]
                for y in range(height):
                    for x in range(width):
                        for dy in range(3):
                            for dx in range(3):
                                a, b = y * stride + dy - padding, x * stride + dx - padding
                                if 0 <= a < 6 and 0 <= b < 7 and channel[a, b]:
                                    count += 1
    assert products_of(conv, nonzero) == count


@pytest.mark.parametrize('backbone', [vit, mobilenet])
def test_without_thresholds_all_three_costs_agree(backbone):
    network, images = encoder(backbone()), rand_images()
    network.meter = Meter()
    with torch.no_grad():
        network(images, network.tasks)
    heads = dict.fromkeys(network.tasks, 1000)
    totals = total_madds(network, network.meter, heads, place_costs(network, images.shape[-2:]))
    ops, rest = place_costs(network, images.shape[-2:])
    one = sum(map(sum, (found.values() for found in ops.values()))) + sum(rest.values())
    assert totals == dict.fromkeys(totals, 3 * (one + 1000))


def test_costs_of_a_prefix_and_of_rows():
    images = rand_images()
    ops, rest = place_costs(encoder(vit()), images.shape[-2:])
    whole = {place: sum(found.values()) + rest[place] for place, found in ops.items()}
    heads = dict.fromkeys(('base', 'a'), 0)
    network = encoder(vit(), LOW_RANK, ('base', 'a'), from_layer=2)
    network.meter = Meter()
    with torch.no_grad():
        network(images, network.tasks)
    totals = total_madds(network, network.meter, heads, place_costs(network, images.shape[-2:]))
    assert totals['executed'] == sum(whole.values()) + whole['layers.2']
    assert totals['dense'] == 2 * sum(whole.values())
    network = encoder(vit(), LOW_RANK, ('base', 'a'))
    meter = measured(network, images, 0.3, rows=True)
    rows = sum(
        count.changed * place[name] // 24 // 2 * 2
        + 48 * network.deltas['a'].get_submodule(f'{where}.{name}'.rstrip('.') + '.weight').cost()
        for (task, where, name), count in meter.ops.items()
        if task == 'a'
        for place in [{n: v * 1 for n, v in ops[where].items()}]
    )
    executed = sum(c.executed for (task, *_), c in meter.ops.items() if task == 'a')
    dense = sum(c.dense for (task, *_), c in meter.ops.items() if task == 'a')
    assert executed == rows < dense


def test_meters_of_two_processes_add_up():
    network, images = encoder(vit()), rand_images(4)
    whole = measured(network, images, 0.1)
    first, second = (measured(network, part, 0.1) for part in images.split(2))
    first.merge(second)
    assert first.ops == whole.ops and first.runs == whole.runs and first.images == 4


def test_one_block_of_references_is_alive():
    meter = measured(encoder(vit(depth=6)), rand_images(), 0.1)
    assert meter.cache_bytes * 5 < meter.all_bytes


def test_densities_are_shares():
    network = encoder(vit(), tasks=('base', 'a'))
    meter = measured(network, rand_images(), 0.1)
    found = densities(network, meter)['a']
    deltas = [d for _, d in network.deltas['a'].deltas()]
    kept, total = sum(d.nonzero() for d in deltas), sum(d.delta.numel() for d in deltas)
    assert found['weights'] == kept / total
    assert found['by_place']['stem']['elements'] == 0  # both networks see one image
    assert 0 < found['elements'] < 1 and found['rows'] >= found['elements']


@pytest.mark.parametrize('share', [0.0, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize('rows', [False, True])
def test_calibration_reuses_the_share_that_was_asked_for(share, rows):
    network, images = encoder(vit()), rand_images(4)
    network.rows = rows
    found, meter = thresholds_for(network, [images], dict.fromkeys(network.tasks, share))
    for (task, place, _), count in meter.ops.items():
        if task != 'base' and place != 'stem':
            got = count.changed / count.rows if rows else count.nonzero / count.elements
            assert got == pytest.approx(1 - share, abs=1.5 / count.rows)
    again = measured(network, images, found.values, rows)
    assert again.ops == meter.ops


def test_quantile_and_bisection():
    size = torch.tensor([0.0, 1, 2, 3])
    assert [quantile(size, s) for s in (0, 0.25, 0.5)] == [0, 1, 2]
    assert quantile(size, 1.0) > 3
    assert bisect(lambda share: share <= 0.3) == pytest.approx(0.3, abs=1 / 128)


def state_of(network):
    state = {f'encoder.{k}': v for k, v in network.state_dict().items()}
    return state | {'heads.a.weight': torch.randn(3, 4), 'heads.b.weight': torch.randn(3, 4)}


@pytest.mark.parametrize('delta', [SPARSE, LOW_RANK])
@pytest.mark.parametrize('density', [0.01, 0.3, 1.0])
def test_delta_file_returns_every_bit(tmp_path, delta, density):
    network = encoder(mobilenet(), delta)
    for name, tensor in network.deltas.state_dict().items():
        if name.endswith('.support'):
            tensor.copy_(torch.rand(tensor.shape) < density)
    state, path = state_of(network), tmp_path / 'a.delta'
    write_delta(path, state, 'a', base_hash(state), network.checkpoint_state())
    header, found = read_delta(path)
    own = {k: v for k, v in state.items() if k.startswith(('encoder.deltas.a.', 'heads.a.'))}
    assert set(found) == set(own)
    for name, value in own.items():
        if name.endswith('.delta') and delta is SPARSE:
            value = value * own[name.removesuffix('.delta') + '.support']
        assert torch.equal(found[name], value), name
    assert header['base'] == base_hash(state) and header['task'] == 'a'
    check_delta(path, header, base_hash(state), ['a'])


def test_half_precision_halves_the_values(tmp_path):
    state = state_of(encoder(vit(), LOW_RANK))
    full, half = (
        write_delta(tmp_path / 'a.delta', state, 'a', '', {}, half=half) for half in (False, True)
    )
    assert half < 0.65 * full
    for name, value in read_delta(tmp_path / 'a.delta')[1].items():
        assert torch.allclose(value, state[name], atol=1e-3)


def test_half_precision_leaves_what_is_beyond_its_range(tmp_path):
    """A running variance of 100 000 would come back as infinity."""
    values = torch.tensor([1e5, 0.1])
    write_delta(tmp_path / 'a.delta', {'heads.a.running_var': values}, 'a', '', {}, half=True)
    assert torch.equal(read_delta(tmp_path / 'a.delta')[1]['heads.a.running_var'], values)


def test_sizes_are_the_formulas():
    n = 85_645_056  # of a ViT-B
    for kept, bitmap, index in ((0.1, 45.0, 68.5), (0.05, 27.8, 34.3), (0.01, 14.1, 6.9)):
        found = sizes(n, round(kept * n))
        assert found['bitmap'] / 1e6 == pytest.approx(bitmap, abs=0.1)
        assert found['index'] / 1e6 == pytest.approx(index, abs=0.1)
    assert min(sizes(n, round(0.05 * n)).values()) / (4 * n) <= 0.085


def test_stored_bytes_are_those_of_the_file(tmp_path):
    network = encoder(vit(), tasks=('base', 'a'))
    state = {f'encoder.{k}': v for k, v in network.state_dict().items()}
    size = write_delta(tmp_path / 'a.delta', state, 'a', '', {})
    header = int.from_bytes((tmp_path / 'a.delta').read_bytes()[8:16], 'little')
    assert size - header - 16 == stored_bytes(network)['a']


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda b: b[:-5], 'truncated or edited, its checksum differs'),
        (lambda b: b[:-5] + b'x' + b[-4:], 'truncated or edited'),
        (lambda b: b[:40], 'its header is damaged'),
        (lambda b: b'PK' + b, 'not written by bmtas share'),
        (lambda b: b.replace(b'"version": 1', b'"version": 2'), 'version 2 is newer'),
    ],
)
def test_damaged_delta_files(tmp_path, damage, message):
    path, state = tmp_path / 'a.delta', state_of(encoder(vit()))
    write_delta(path, state, 'a', '', {})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f'a.delta: .*{message}'):
        read_delta(path)


def test_delta_of_another_base_or_task():
    with pytest.raises(ValueError, match='made for base abc, this base is xyz'):
        check_delta('f', dict(base='abc', task='a'), 'xyz', ['a'])
    with pytest.raises(ValueError, match=r"of task 'a', the task table has \['b'\]"):
        check_delta('f', dict(base='x', task='a'), 'x', ['b'])


def test_hash_sees_every_base_tensor():
    network = encoder(vit())
    state = {f'encoder.{k}': v.clone() for k, v in network.state_dict().items()}
    first = base_hash(state)
    state['encoder.deltas.a.layers.0.norm1.bias.delta'] += 1
    assert base_hash(state) == first
    state['encoder.layers.2.mlp.fc2.bias'][3] += 1
    assert base_hash(state) != first


def test_thresholds_file(tmp_path):
    network, path = encoder(vit()), tmp_path / 't.json'
    found, _ = thresholds_for(network, [rand_images()], dict.fromkeys(network.tasks, 0.5))
    found.network = 'abc'
    found.save(path, goal='elements')
    again = load_thresholds(str(path))
    assert again.values == found.values and again.network == 'abc' and again.rows is False
    again.check_network('abc')
    with pytest.raises(ValueError, match='t.json: made for network abc, this one is xyz'):
        again.check_network('xyz')
    with pytest.raises(ValueError, match='t.json: made for elements, the encoder thresholds rows'):
        encoder(vit(), thresholds=str(path), rows=True)
    with pytest.raises(ValueError, match="t.json: no task threshold for operator 'layers.3.*calib"):
        encoder(vit(depth=4), thresholds=str(path))
    with pytest.raises(FileNotFoundError, match='none.json'):
        encoder(vit(), thresholds=str(tmp_path / 'none.json'))
    text = path.read_text()
    path.write_text(text.replace('"version": 1', '"version": 9'))
    with pytest.raises(ValueError, match='t.json: version: 9 is unknown'):
        load_thresholds(str(path))
    values = copy.deepcopy(found.values)
    values['task']['a']['layers.0.attn.qkv'] = -0.1
    with pytest.raises(ValueError, match='layers.0.attn.qkv: -0.1 is no threshold'):
        Thresholds(values)


def test_infinity_drops_everything():
    assert load_thresholds(math.inf).tau('task', 'a', 'x') == math.inf
    total = OpCount(elements=3)
    total.add(OpCount(elements=2, nonzero=1))
    assert (total.elements, total.nonzero) == (5, 1)
