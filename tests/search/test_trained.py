"""Strategies that train trees: by planted losses against all trees, and by real trainings."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.files import read_json, write_json
from bmtas.registry import MODELS, STRATEGIES
from bmtas.sealed import save_state
from bmtas.search import SearchContext, run_search
from bmtas.search import rows as rows_module
from bmtas.search.row import Row, _plain_images, held_out_losses
from bmtas.search.row_start import StartHook, end_state
from bmtas.search.rows import Rows

TASKS = ('semseg', 'sal', 'depth')
EFFECTS = {  # task, other task: log loss that sharing adds at each of the three locations
    ('semseg', 'sal'): (-0.02, 0.01, 0.03),
    ('semseg', 'depth'): (0.01, 0.04, 0.05),
    ('sal', 'semseg'): (0.00, 0.02, 0.02),
    ('sal', 'depth'): (-0.03, -0.02, -0.04),
    ('depth', 'semseg'): (0.02, 0.03, 0.01),
    ('depth', 'sal'): (-0.01, -0.05, 0.02),
}
STARTS = (0, 1, 3)  # first layers of the locations: stages end with layers 0, 2 and 3


def planted(routes, tasks=()):
    """Log losses that follow the additive model exactly."""
    tree = BranchingTree.from_routes(routes, TASKS)
    losses = dict(zip(TASKS, (0.3, -0.5, -1.2)))
    for (task, other), effect in EFFECTS.items():
        row = tree.routes[list(STARTS)]
        shared = row[:, TASKS.index(task)] == row[:, TASKS.index(other)]
        present = not tasks or {task, other} <= set(tasks)
        losses[task] += present * float(np.dot(shared, effect))
    return {name: value for name, value in losses.items() if not tasks or name in tasks}


@pytest.fixture
def fake(monkeypatch):
    """Rows are computed, not trained; the list of folders that were."""
    trained = []

    def train(folder):
        row = read_json(Path(folder) / 'row.json')
        trained.append(Path(folder).name)
        losses = planted(row['routes'], row['tasks'])
        write_json(Path(folder) / 'result.json', dict(losses=losses, seconds=2.0 * row['updates']))

    monkeypatch.setattr(rows_module, 'train_row', train)
    return trained


def gain(tree):
    return -100 * sum(planted(tree.routes.tolist()).values()) / 3


def trees_at_locations(table):
    """All trees that branch at the locations, over layers."""
    for tree in enumerate_trees(3, TASKS):
        yield BranchingTree.from_routes(np.repeat(tree.routes, (1, 2, 1), 0), TASKS, table)


@pytest.mark.parametrize(
    'source', ['train', 'probe', 'pairs', pytest.param('supergraph', marks=pytest.mark.slow)]
)
def test_the_best_tree_for_every_budget(trees_config, fake, source):
    cfg = trees_config()
    cfg.search.update(source=source, count=16)
    context = SearchContext(cfg, Path(cfg.work_dir), lambda text: None)
    table = context.table
    trees = list(trees_at_locations(table.layer_names))
    for part in (0.0, 0.3, 0.6, 1.0):
        budget = table.shared + part * (table.separate - table.shared)
        cfg.budget = budget
        result = STRATEGIES.build(cfg.search).run(
            SearchContext(cfg, context.work_dir, lambda text: None)
        )
        best = max(gain(tree) for tree in trees if tree.cost(table) <= budget)
        assert result.cost <= budget
        # the ridge shrinks the effects a little: the choice may lie that far from the best
        assert gain(result.tree) == pytest.approx(best, abs=0.2), (part, result.tree)
        rank = result.report['left_out_rank']
        assert rank is None if source == 'pairs' else rank > 0.9
    assert len(fake) == len(set(fake))  # no row twice, whatever the budget
    spent = result.report['spent']
    rows = {'train': 16, 'probe': 11, 'pairs': 12, 'supergraph': 17}
    assert spent['trainings'] == len(fake) == rows[source]
    if source == 'train':  # a quarter of 8 updates each
        assert spent['updates'] == 32 and spent['shared_trainings'] == pytest.approx(4)


def test_interrupted_and_earlier_rows_are_used_again(trees_config, fake, monkeypatch):
    cfg = trees_config(budget='12.2M')
    train = rows_module.train_row

    def stop(folder):
        if len(fake) == 5:
            raise KeyboardInterrupt
        train(folder)

    monkeypatch.setattr(rows_module, 'train_row', stop)
    with pytest.raises(KeyboardInterrupt):
        run_search(cfg)
    monkeypatch.setattr(rows_module, 'train_row', train)
    first = run_search(trees_config(budget='12.2M'))
    assert len(fake) == len(set(fake)) == 8
    # a longer design begins with the shorter one
    again = trees_config(budget='12.2M')
    again.search.count = 12
    with pytest.raises(ValueError, match='a finished search with other options'):
        run_search(again)
    (Path(cfg.work_dir) / 'search.json').unlink()
    second = run_search(again)
    assert len(fake) == len(set(fake)) == 12
    assert first.report['rows'] == 8 and second.report['rows'] == 12


def test_rounds_train_likely_trees_and_go_on_where_they_were(trees_config, fake, monkeypatch):
    options, exact = {'search.rounds': 3, 'search.batch': 2}, rows_module.train_row

    def train(folder):
        exact(folder)
        path = Path(folder) / 'result.json'
        content, rng = read_json(path), np.random.default_rng(int(Path(folder).name, 16))
        content['losses'] = {k: v + rng.normal(0, 0.05) for k, v in content['losses'].items()}
        write_json(path, content)

    monkeypatch.setattr(rows_module, 'train_row', train)
    whole = run_search(trees_config('whole', budget='13M', **options))
    wanted = list(fake)
    assert 8 < len(wanted) == len(set(wanted)) <= 8 + 3 * 2
    fake.clear()

    def stop(folder):
        if len(fake) == 9:  # in the middle of the first round
            raise KeyboardInterrupt
        train(folder)

    monkeypatch.setattr(rows_module, 'train_row', stop)
    with pytest.raises(KeyboardInterrupt):
        run_search(trees_config('cut', budget='13M', **options))
    monkeypatch.setattr(rows_module, 'train_row', train)
    again = run_search(trees_config('cut', budget='13M', **options))
    assert sorted(fake) == sorted(wanted)
    assert again.tree == whole.tree and again.report['rows'] == len(wanted)
    folder = trees_config('whole').work_dir
    table = SearchContext(trees_config('whole'), Path(folder), lambda text: None).table
    for trees in read_json(Path(folder) / 'rounds.json')['rounds']:
        for routes in trees:
            tree = BranchingTree.from_routes(np.repeat(routes, (1, 2, 1), 0), TASKS)
            assert tree.cost(table) <= 13e6
    # another budget draws its own trees, and uses all rows
    (Path(folder) / 'search.json').unlink()
    fake.clear()
    dearer = run_search(trees_config('whole', budget='16M', **options))
    assert dearer.report['rows'] == len(wanted) + len(fake) and not set(fake) & set(wanted)


def test_rounds_end_where_nothing_is_uncertain(trees_config, fake):
    run_search(trees_config(budget='13M', **{'search.rounds': 3}))
    assert len(fake) == 8  # losses without noise: every draw finds a tree that is known


def test_rounds_need_trees_from_scratch(trees_config):
    with pytest.raises(ValueError, match="search.rounds: of 'train' alone, search.source is 'pro"):
        run_search(trees_config(budget='12M', **{'search.source': 'probe', 'search.rounds': 1}))


def test_noise_is_told_from_knowledge(trees_config, fake, monkeypatch):
    def noise(folder):
        row = read_json(Path(folder) / 'row.json')
        rng = np.random.default_rng(abs(hash(str(row['routes']))) % 2**32)
        losses = dict(zip(TASKS, rng.normal(0, 0.1, 3).tolist()))
        write_json(Path(folder) / 'result.json', dict(losses=losses, seconds=1.0))

    monkeypatch.setattr(rows_module, 'train_row', noise)
    monkeypatch.setattr('bmtas.search.surrogate_search.left_out_rank', lambda *args: 0.1)
    lines = []
    cfg = trees_config(budget='14M')
    result = STRATEGIES.build(cfg.search).run(SearchContext(cfg, Path(cfg.work_dir), lines.append))
    assert any('it knows nothing' in line for line in lines)
    index = result.front.costs.index(result.cost)
    lost = np.array(result.front.scores) - result.front.scores[result.front.best(14e6)]
    assert (lost[:index] > 0).all()


def test_mistakes(trees_config, fake, monkeypatch):
    with pytest.raises(ValueError, match='budget: missing'):
        run_search(trees_config())
    with pytest.raises(
        ValueError, match='search.count: .* at least 5 trained trees, there would be 3'
    ):
        run_search(trees_config('few', budget='12.2M', **{'search.count': 3}))
    with pytest.raises(ValueError, match='rising indices of layers that end with 3'):
        run_search(trees_config('x', budget='12.2M', **{'search.locations': [0, 2]}))
    for train in (None, dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)):
        with pytest.raises(ValueError, match='train_cfg.max_iters: missing'):
            run_search(trees_config('u', budget='12.2M', train_cfg=train))
    with pytest.raises(ValueError, match="search.elasticities: no task 'edge'"):
        run_search(trees_config('y', budget='12.2M', **{'search.elasticities': dict(edge=1.0)}))
    run_search(trees_config('z', budget='12.2M'))
    other = trees_config('z', budget='12.2M', **{'train_dataloader.batch_size': 4})
    with pytest.raises(
        ValueError, match='of another config .*batch_size was 2, now it is 4.*--work'
    ):
        run_search(other)
    for name in ('search.json', 'run.json'):
        (Path(other.work_dir) / name).unlink()
    with pytest.raises(ValueError, match="rows there are of another config, its 'train_data"):
        run_search(other)

    def constant(folder):
        row = read_json(Path(folder) / 'row.json')
        losses = {**planted(row['routes']), 'sal': 0.5}
        write_json(Path(folder) / 'result.json', dict(losses=losses, seconds=1.0))

    monkeypatch.setattr(rows_module, 'train_row', constant)
    with pytest.raises(ValueError, match="the loss of task 'sal' is the same in all 8 trees"):
        run_search(trees_config('w', budget='12.2M'))

    def full(folder):
        raise OSError(28, f'{folder}: cannot be written: the disk is full')

    monkeypatch.setattr(rows_module, 'train_row', full)
    with pytest.raises(ValueError, match='8 of 8 trainings failed: .*disk is full.*start again'):
        run_search(trees_config('v', budget='12.2M'))


def test_best_of_random(trees_config, fake):
    cfg = trees_config(budget='12.2M')
    cfg.search = dict(type='BestOfRandom', count=5, tolerance=0.2)
    result = run_search(cfg)
    folder = Path(cfg.work_dir) / 'rows'
    drawn = [
        BranchingTree.from_routes(read_json(path)['routes'], TASKS)
        for path in folder.glob('*/row.json')
    ]
    assert len(set(drawn)) == 5 and result.tree in drawn
    assert gain(result.tree) == max(map(gain, drawn))
    assert all(
        0.8 * 12.2e6 <= tree.cost(SearchContext(cfg, folder).table) <= 12.2e6 for tree in drawn
    )
    assert result.report['spent']['updates'] == 5 * 8


def model_of(cfg, routes):
    encoder = dict(cfg.model.encoder, routes=routes)
    return MODELS.build(dict(cfg.model, encoder=encoder, tasks=cfg.tasks)).eval()


def test_a_probe_starts_as_the_shared_network_with_its_moments(trees_config):
    torch.manual_seed(0)
    cfg = trees_config()
    shared = model_of(cfg, 'shared').train()
    optimizer = torch.optim.AdamW(shared.parameters(), 1e-2)
    images = torch.rand(2, 3, 64, 64)
    for _ in range(2):
        optimizer.zero_grad()
        sum(logits.square().mean() for logits in shared(images).values()).backward()
        optimizer.step()
    path = Path(cfg.work_dir) / 'start.pth'
    save_state(path, end_state(shared, optimizer))
    branched = model_of(cfg, [[0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 1, 2]])
    own = torch.optim.AdamW(branched.parameters(), 1e-2)
    runner = type('Runner', (), dict(iter=0, model=branched))
    runner.optim_wrapper = type('Wrapper', (), dict(optimizer=own))
    StartHook(torch.load(path, weights_only=True)).before_train(runner)
    with torch.no_grad():
        found, expected = branched(images), shared.eval()(images)
    for name in TASKS:
        torch.testing.assert_close(found[name], expected[name])
    layers = branched.encoder.layers
    weights = [dict(copy.named_parameters()) for copy in layers[3]]
    names = dict(shared.encoder.layers[3][0].named_parameters())
    for copy in weights:
        for name, parameter in copy.items():
            state, before = own.state[parameter], optimizer.state[names[name]]
            assert state['step'] == 2 and state['exp_avg'].equal(before['exp_avg'])


def test_held_out_losses_are_those_of_all_images_at_once(trees_config):
    cfg = trees_config()
    model = model_of(cfg, 'shared')
    dataset = _plain_images(cfg)
    indices = list(range(16))
    found = held_out_losses(model, dataset, indices)
    batch = dict(
        inputs=[dataset[i]['inputs'] for i in indices],
        data_samples=[dataset[i]['data_samples'] for i in indices],
    )
    with torch.no_grad():
        whole = model(**model.data_preprocessor(batch, False), mode='loss')
    # every pixel has a class
    assert found['semseg'] == pytest.approx(math.log(float(whole['loss_semseg'])), rel=1e-5)


def test_trained_rows_share_their_random_numbers_and_learn_on_the_rest(trees_config, monkeypatch):
    """Two trees of one seed: equal heads at the start, the same images, none held out."""
    cfg, seen = trees_config(), {}
    init = StartHook.before_train

    def spy(self, runner):
        init(self, runner)
        heads = {k: v.clone() for k, v in runner.model.heads.state_dict().items()}
        order = runner.train_loop.dataloader.sampler.order(0)
        seen[runner.work_dir] = heads, order

    monkeypatch.setattr(StartHook, 'before_train', spy)
    cfg.default_hooks.checkpoint = None  # a run that cannot be resumed is a run
    rows = Rows(SearchContext(cfg, Path(cfg.work_dir), lambda text: None))
    trees = [make(4, TASKS) for make in (BranchingTree.shared, BranchingTree.separate)]
    trained = rows.train([Row.of(tree, 2, 0) for tree in trees])
    (heads, order), (others, same) = seen.values()
    assert all(value.equal(others[name]) for name, value in heads.items())
    assert np.array_equal(order, same) and len(order) == 16
    assert all(np.isfinite(item.losses).all() and item.seconds > 0 for item in trained)
    assert (trained[0].losses != trained[1].losses).any()
    again = rows.train([Row.of(trees[1], 2, 0)])[0]
    assert (again.losses == trained[1].losses).all() and len(rows.known()) == 2


def test_affinities_of_gradients_as_a_prior(trees_config):
    """Measured along the Shared training, kept, and handed to the regression."""
    options = {'search.prior': 'gradients', 'train_dataloader.batch_size': 4}
    cfg = trees_config(budget='12.2M', **options)
    result = run_search(cfg)
    content = read_json(Path(cfg.work_dir) / 'affinity.json')
    assert np.array(content['affinity']).shape == (3, 3, 3)
    assert content['locations'] == result.report['locations']
    with pytest.raises(ValueError, match="'gradients' needs a Shared training, pairs has none"):
        trees = dict(cfg.search, source='pairs')
        STRATEGIES.build(trees)


def test_trees_with_inherited_weights(trees_config):
    """The supergraph is trained once, the trees are told apart by its weights."""
    cfg = trees_config(budget='12.2M', **{'search.source': 'supergraph', 'search.count': 6})
    result = run_search(cfg)
    folder = Path(cfg.work_dir) / 'rows'
    rows = [read_json(path) for path in folder.glob('*/row.json')]
    assert sorted(row['source'] for row in rows) == ['supergraph'] * 6 + ['supernet']
    losses = [read_json(path)['losses'] for path in folder.glob('*/result.json')]
    assert len({tuple(loss.values()) for loss in losses if loss}) >= 4  # some trees agree
    assert result.report['rows'] == 6 and len(list(folder.glob('*/pool.json'))) == 1


@pytest.mark.slow
def test_a_search_with_side_by_side_trainings(trees_config):
    """Two processes at a time give what one after the other gives."""
    from bmtas.engine.executors import Processes

    one = run_search(trees_config('one', budget='12.2M'))
    two = run_search(trees_config('two', budget='12.2M'), Processes(2))
    assert one.tree == two.tree and one.front == two.front
