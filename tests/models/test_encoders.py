"""Encoders against each other: the same weights give the same function."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from bmtas.branching import BranchingTree
from bmtas.models.backbones import LayeredBackbone, last_norm_name
from bmtas.models.encoders import (
    BranchedEncoder,
    SingleTaskEncoder,
    SupergraphEncoder,
    load_candidates,
)
from bmtas.registry import MODELS

TASKS = ('a', 'b', 'c')


def weight_parameters(encoder):
    return [p for p in encoder.parameters() if p is not encoder.alpha]


@pytest.fixture(scope='module')
def backbone():
    return small_backbone(dropout=0.0)


def small_backbone(dropout):
    """The first five layers of MobileNetV2 and a small R-ASPP, tap at layer 2."""
    torch.manual_seed(0)
    return LayeredBackbone(
        'mobilenet_v2',
        output_stride=8,
        stem=['features.0'],
        layers=[f'features.{index}' for index in range(1, 6)],
        aspp=dict(type='RASPP', channels=8, dropout=dropout),
    )


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def randomise(module, seed=0):
    """Different weights and statistics everywhere, so that mix-ups show."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(module.state_dict().items()):
        if name != 'alpha' and tensor.is_floating_point():
            tensor.mul_(1 + 0.2 * torch.rand(tensor.shape, generator=generator))
    return module


def count_runs(encoder):
    """Count forward calls by name of the copy or candidate, e.g. ``layers.2.0``."""
    runs = {}
    for index, copies in enumerate(encoder.layers):
        for name, module in copies.named_children():
            key = f'layers.{index}.{name}'
            module.register_forward_hook(
                lambda *_, key=key: runs.__setitem__(key, runs.get(key, 0) + 1)
            )
    return runs


def assert_equal(first, second, tasks=TASKS):
    for task in tasks:
        for x, y in zip(first[task], second[task]):
            assert torch.equal(x, y)


def one_hot(routes, k=3):
    return nn.functional.one_hot(torch.tensor(routes), k).float()


def draw_routes(seed, k=3):
    return np.random.default_rng(seed).integers(0, k, (6, 3)).tolist()


def test_one_group_is_the_plain_encoder(backbone, images):
    encoder = randomise(BranchedEncoder(backbone, TASKS, 'shared')).eval()
    x = encoder.stem(images)
    for index, copies in enumerate(encoder.layers):
        x = copies[0](x)
        if index == 2:
            low = x
    features = encoder(images, TASKS)
    assert_equal(features, dict.fromkeys(TASKS, (x, low)))
    assert features['a'][0] is features['b'][0]


def test_equal_constants_are_the_shared_network(backbone, images):
    shared = randomise(BranchedEncoder(backbone, TASKS, 'shared'))
    table = BranchedEncoder(backbone, TASKS, [[2, 2, 2]] * 6)
    table.load_state_dict(shared.state_dict())
    assert_equal(table(images, TASKS), shared(images, TASKS))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('training', [True, False])
def test_supergraph_at_one_hot_routes_is_the_branched_network(backbone, images, seed, training):
    supergraph = randomise(SupergraphEncoder(backbone, TASKS, num_candidates=4), seed)
    routes = draw_routes(seed, 4)
    branched = BranchedEncoder(backbone, TASKS, routes)
    load_candidates(branched, supergraph, routes)
    supergraph.train(training)
    branched.train(training)
    weights = one_hot(routes, 4)
    assert_equal(supergraph(images, TASKS, weights=weights), branched(images, TASKS))


def test_largest_logits_are_the_default_routes(backbone, images):
    encoder = randomise(SupergraphEncoder(backbone, TASKS)).eval()
    weights = one_hot(draw_routes(0))
    encoder.alpha.data.copy_(weights)
    assert np.array_equal(encoder.routes(), draw_routes(0))
    assert_equal(encoder(images, TASKS), encoder(images, TASKS, weights=weights))


@pytest.mark.parametrize('split', range(6))
def test_tap_follows_the_group_of_its_layer(backbone, images, split):
    routes = [[0, 0, 0]] * split + [[0, 1, 0]] * (6 - split)
    encoder = randomise(BranchedEncoder(backbone, TASKS, routes)).eval()
    features = encoder(images, TASKS)
    assert torch.equal(features['a'][1], features['b'][1]) == (split > 2)
    assert torch.equal(features['a'][1], features['c'][1])
    assert not torch.equal(features['a'][0], features['b'][0])


def test_tasks_that_split_stay_apart(backbone):
    encoder = BranchedEncoder(backbone, TASKS, [[0, 0, 1]] + [[0, 0, 0]] * 5)
    assert encoder.tree.num_groups == (2,) * 6
    tasks = {part.name: part.tasks for part in encoder.parts()}
    assert tasks['layers.5.0'] == ('a', 'b') and tasks['stem'] == TASKS
    assert encoder.checkpoint_state()['routes']['config'] == [[0, 0, 1]] * 6


@pytest.mark.parametrize('tasks', [('a',), ('a', 'b'), ('c', 'a'), TASKS])
def test_a_node_runs_once_and_only_if_needed(backbone, images, tasks):
    routes = [[0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    encoder = BranchedEncoder(backbone, TASKS, routes)
    runs = count_runs(encoder)
    features = encoder(images, tasks)
    assert tuple(features) == tasks
    tree = BranchingTree.from_routes(routes, TASKS)
    expected = {
        f'layers.{index}.{k}': 1
        for index, groups in enumerate(tree.groups)
        for k, group in enumerate(groups)
        if set(group) & set(tasks)
    }
    assert runs == expected


def test_single_tasks_share_nothing(backbone, images):
    encoder = SingleTaskEncoder(backbone, TASKS)
    features = encoder(images, TASKS)
    assert_equal(features, dict.fromkeys(TASKS, features['a']))
    features['a'][0].sum().backward()
    touched = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert touched == {n for n, _ in encoder.named_parameters() if '.a.' in n}
    assert {len(part.tasks) for part in encoder.parts()} == {1}


@pytest.mark.parametrize('seed', range(3))
def test_soft_mixture_is_the_weighted_sum(backbone, images, seed):
    encoder = randomise(SupergraphEncoder(backbone, TASKS)).eval()
    weights = encoder.sample_weights(1.0, torch.Generator().manual_seed(seed)).detach()
    features = encoder(images, TASKS, weights=weights)
    for t, task in enumerate(TASKS):
        x = encoder.stem(images)
        for index, candidates in enumerate(encoder.layers):
            x = sum(w * candidate(x) for w, candidate in zip(weights[index, t], candidates))
            if index == 2:
                assert torch.allclose(features[task][1], x, atol=1e-5)
        assert torch.allclose(features[task][0], x, atol=1e-5)


def test_soft_gradients_are_those_of_plain_autograd(backbone, images):
    encoder = randomise(SupergraphEncoder(backbone, TASKS)).double().eval()
    images = images.double()
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(encoder.alpha.shape, generator=generator).double().requires_grad_()

    def plain(row):
        x = encoder.stem(images)
        for index, candidates in enumerate(encoder.layers):
            x = sum(w * c(x) for w, c in zip(weights[index, row], candidates))
        return x

    found = encoder(images, TASKS, weights=weights)
    inputs = [weights, *weight_parameters(encoder)]
    first = torch.autograd.grad(
        sum((t + 1) * found[k][0].sum() for t, k in enumerate(TASKS)), inputs
    )
    second = torch.autograd.grad(sum((t + 1) * plain(t).sum() for t in range(3)), inputs)
    for x, y in zip(first, second):
        assert torch.allclose(x, y, rtol=1e-8, atol=1e-10)


def test_only_needed_candidates_run(backbone, images):
    encoder = SupergraphEncoder(backbone, TASKS, num_candidates=4)
    runs = count_runs(encoder)
    encoder(images, ['b'], weights=encoder.warmup_weights())
    assert runs == {f'layers.{index}.1': 1 for index in range(6)}
    runs.clear()
    # b and c part in layer 2 and meet on candidate 3 in layer 4: their inputs differ by then
    routes = [[0, 1, 1], [0, 1, 1], [0, 1, 2], [0, 1, 2], [0, 3, 3], [0, 3, 3]]
    encoder(images, TASKS, weights=one_hot(routes, 4))
    expected = {f'layers.{index}.0': 1 for index in range(6)}
    expected.update({f'layers.{index}.1': 1 for index in range(4)})
    expected.update({'layers.2.2': 1, 'layers.3.2': 1, 'layers.4.3': 2, 'layers.5.3': 2})
    assert runs == expected
    runs.clear()
    # soft: all tasks bring the stem's output to layer 0, from then on each brings its own
    encoder(images, TASKS, weights=encoder.sample_weights(1.0))
    assert set(runs.values()) == {1, 3} and len(runs) == 24
    assert all((count == 1) == key.startswith('layers.0.') for key, count in runs.items())


def test_statistics_of_other_candidates_stay(backbone, images):
    encoder = SupergraphEncoder(backbone, TASKS)
    before = copy.deepcopy(encoder.state_dict())
    encoder(images, ['b'], weights=encoder.warmup_weights())
    changed = {k for k, v in encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith('stem') or k.split('.')[2] == '1' for k in changed)


@pytest.mark.parametrize('hard', [False, True])
def test_gradients_reach_the_logits_of_the_tasks_that_ran(backbone, images, hard):
    encoder = randomise(SupergraphEncoder(backbone, TASKS))
    weights = encoder.sample_weights(0.5, torch.Generator().manual_seed(0), hard)
    features = encoder(images, ['a', 'c'], weights=weights)
    sum(deep.square().mean() for deep, _ in features.values()).backward()
    grad = encoder.alpha.grad
    assert torch.isfinite(grad).all()
    assert (grad[:, [0, 2]].abs().sum((1, 2)) > 0).all() and not grad[:, 1].any()
    for parameter in weight_parameters(encoder):
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_straight_through_gradient_by_hand():
    from bmtas.models.encoders.routing import gumbel_softmax

    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    draws = [gumbel_softmax(logits, 0.7, torch.Generator().manual_seed(5), h) for h in (0, 1)]
    soft, hard = draws
    assert torch.equal(hard, one_hot(soft.argmax(-1).tolist(), 4))
    factors = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    grads = [torch.autograd.grad((d * factors).sum(), logits)[0] for d in draws]
    assert torch.equal(*grads)


def test_floor_leaves_the_softmax_of_the_rest():
    from bmtas.models.encoders.routing import gumbel_softmax

    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    full, cut = (
        gumbel_softmax(logits, 0.5, torch.Generator().manual_seed(1), floor=f) for f in (0.0, 0.1)
    )
    dropped = full < 0.1
    assert 0 < dropped.float().mean() < 0.75 and torch.equal(cut == 0, dropped)
    rest = full * ~dropped
    torch.testing.assert_close(cut, rest / rest.sum(-1, keepdim=True))
    factors = torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
    grad = torch.autograd.grad((cut * factors).sum(), logits)[0]
    # the derivative of a softmax: w_k (f_k - sum_j w_j f_j) / temperature
    expected = cut * (factors - (cut * factors).sum(-1, keepdim=True)) / 0.5
    torch.testing.assert_close(grad, expected)
    with pytest.raises(ValueError, match='below 1 / 4 candidates, got 0.25'):
        gumbel_softmax(logits, 0.5, floor=0.25)


def test_top_k_draws_candidates_without_replacement():
    from bmtas.models.encoders.routing import gumbel_softmax

    logits = torch.tensor([1.0, 0.0, -0.5, 0.3]).requires_grad_()
    rows = gumbel_softmax(
        logits.expand(40_000, 4), 0.7, torch.Generator().manual_seed(0), floor=0.01, top_k=2
    )
    assert set((rows > 0).sum(-1).tolist()) == {1, 2}  # the floor still acts
    rows = gumbel_softmax(logits.expand(40_000, 4), 0.7, torch.Generator().manual_seed(0), top_k=2)
    assert torch.equal((rows > 0).sum(-1), torch.full((40_000,), 2))
    torch.testing.assert_close(rows.sum(-1), torch.ones(40_000))
    # Plackett-Luce: i first with p_i, then j with p_j / (1 - p_i), in either order
    p = logits.detach().softmax(-1)
    for i, j in itertools.combinations(range(4), 2):
        share = ((rows[:, i] > 0) & (rows[:, j] > 0)).float().mean()
        expected = p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        assert share.item() == pytest.approx(expected.item(), abs=0.01)  # four deviations
    equal = gumbel_softmax(torch.zeros(9, 4), 1e9, torch.Generator().manual_seed(0), top_k=3)
    assert torch.equal((equal > 0).sum(-1), torch.full((9,), 3))  # ties are broken


@pytest.mark.parametrize('skip', [dict(floor=0.1), dict(top_k=1)])
def test_skipped_candidates_do_not_run(backbone, images, skip):
    encoder = SupergraphEncoder(backbone, TASKS)
    runs = count_runs(encoder)
    weights = encoder.sample_weights(0.3, torch.Generator().manual_seed(0), **skip)
    encoder(images, ['b'], weights=weights)
    wanted = {f'layers.{n}.{k}' for n, k in (weights[:, 1] > 0).nonzero().tolist()}
    assert set(runs) == wanted and len(wanted) < weights[:, 1].numel()


def test_same_images_run_the_stem_and_the_first_layer_once(backbone, images):
    encoder = randomise(SupergraphEncoder(backbone, TASKS))
    weights = encoder.sample_weights(1.0, torch.Generator().manual_seed(0)).detach()
    for parameter in weight_parameters(encoder):
        parameter.requires_grad_(False)

    def gradient():
        mixing = weights.clone().requires_grad_()
        for task in TASKS:
            deep, low = encoder(images, [task], weights=mixing)[task]
            (deep.square().mean() + low.sum()).backward()
        return mixing.grad

    expected = gradient()
    runs = count_runs(encoder)
    with encoder.same_images():
        found = gradient()
    assert torch.equal(found, expected)
    assert {runs[f'layers.0.{k}'] for k in range(3)} == {1}
    assert {runs[f'layers.1.{k}'] for k in range(3)} == {3}
    # other images afterwards are encoded anew
    again = encoder(images + 1, ['a'], weights=weights)['a'][0]
    assert not torch.equal(again, encoder(images, ['a'], weights=weights)['a'][0])


def test_weights_that_change_in_place_are_read_again(backbone, images):
    encoder = randomise(SupergraphEncoder(backbone, TASKS)).eval()
    weights = one_hot(draw_routes(0))
    with torch.no_grad():
        encoder(images, TASKS, weights=weights)
        weights.copy_(one_hot(draw_routes(1)))
        found = encoder(images, TASKS, weights=weights)
        assert_equal(found, encoder(images, TASKS, weights=weights.clone()))


def test_work_is_what_the_named_tasks_run(backbone):
    encoder = SupergraphEncoder(backbone, TASKS)
    soft, hard = torch.full((encoder.num_layers, 3, 3), 1 / 3), encoder.warmup_weights()
    assert encoder.work(['a']) is None
    ((name, needed),) = encoder.work(['b'], weights=hard)
    assert name == 'needed' and needed == (((), (1,), ()),) * encoder.num_layers
    ((_, needed),) = encoder.work(['a', 'c'], weights=soft)
    assert needed == (((0, 1, 2), (), (0, 1, 2)),) * encoder.num_layers


def test_gumbel_softmax_frequencies():
    from bmtas.models.encoders.routing import gumbel_softmax

    logits = torch.tensor([0.2, 0.3, 0.5]).log().expand(20_000, 3)
    draws = gumbel_softmax(logits, 3.0, torch.Generator().manual_seed(0), hard=True)
    assert torch.allclose(draws.mean(0), torch.tensor([0.2, 0.3, 0.5]), atol=0.015)
    cold = gumbel_softmax(logits[:100], 1e-3, torch.Generator().manual_seed(0))
    assert cold.max(-1).values.mean() > 0.99


def test_sample_repeats_with_its_generator(backbone):
    encoder = SupergraphEncoder(backbone, TASKS, num_candidates=2)
    first, second = (encoder.sample_weights(1.0, torch.Generator().manual_seed(3)) for _ in '12')
    assert torch.equal(first, second) and first.shape == (6, 3, 2)
    assert torch.allclose(first.sum(-1), torch.ones(6, 3))


def test_candidates_start_equal_without_affine_and_dropout():
    encoder = SupergraphEncoder(small_backbone(dropout=0.1), TASKS)
    for candidates in encoder.layers:
        for first, second in itertools.pairwise(candidates):
            for x, y in zip(first.parameters(), second.parameters()):
                assert torch.equal(x, y)
        assert not first.get_submodule(last_norm_name(first)).affine
    dropouts = [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)]
    assert dropouts == [0.0] * 3
    assert sum(p.numel() for p in encoder.arch_parameters()) == 6 * 3 * 3


def test_equal_logits_decode_to_the_shared_tree(backbone):
    encoder = SupergraphEncoder(backbone, TASKS)
    assert not encoder.routes().any()


@pytest.mark.parametrize(
    'routes, message',
    [
        (None, 'routes are missing'),
        ([[0, 0, 0]] * 5, '5 rows, the encoder 6 layers'),
        ([[0, 0]] * 6, '2 columns'),
        ([[0, 0, 0]] * 5 + [[0, 0]], 'row 5'),
        ([[0, 0, -1]] * 6, 'row 0, column 2'),
    ],
)
def test_faulty_routes(backbone, routes, message):
    with pytest.raises(ValueError, match=message):
        BranchedEncoder(backbone, TASKS, routes)


def test_routes_from_a_file(backbone, tmp_path):
    tree = BranchingTree.from_routes(draw_routes(0), TASKS)
    tree.to_file(tmp_path / 'tree.json')
    # columns are found by their names
    encoder = BranchedEncoder(backbone, ('c', 'a', 'b'), str(tmp_path / 'tree.json'))
    assert encoder.tree == tree
    with pytest.raises(ValueError, match="unknown task 'c'"):
        BranchedEncoder(backbone, ('a', 'b', 'd'), str(tmp_path / 'tree.json'))
    with pytest.raises(FileNotFoundError, match='none.json'):
        BranchedEncoder(backbone, TASKS, str(tmp_path / 'none.json'))


def test_faulty_arguments(backbone, images):
    encoder = SupergraphEncoder(backbone, TASKS)
    with pytest.raises(ValueError, match='unknown task'):
        encoder(images, ['d'])
    with pytest.raises(ValueError, match='weights are'):
        encoder(images, ['a'], weights=torch.ones(5, 3, 3))
    with pytest.raises(ValueError, match='no candidate with a weight'):
        encoder(images, ['a'], weights=torch.zeros(6, 3, 3))
    with pytest.raises(ValueError, match='temperature'):
        encoder.sample_weights(0.0)
    with pytest.raises(ValueError, match='distinct'):
        SupergraphEncoder(backbone, ('a', 'a'))
    with pytest.raises(ValueError, match='num_candidates'):
        SupergraphEncoder(backbone, TASKS, num_candidates=0)


def test_one_candidate_leaves_nothing_to_choose():
    cfg = dict(
        type='SupergraphEncoder',
        backbone=dict(
            type='LayeredBackbone',
            arch='resnet18',
            output_stride=8,
            stem=['conv1', 'bn1', 'relu', 'maxpool'],
            layers=['layer1', 'layer2'],
        ),
        num_candidates=1,
    )
    with pytest.warns(UserWarning, match='num_candidates: 1 leaves nothing to choose'):
        MODELS.build(dict(cfg, tasks=['a', 'b']))
