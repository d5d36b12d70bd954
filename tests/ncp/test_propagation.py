"""Propagation, baselines and the strategies that the tool runs."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bmtas.ncp.baselines import evolutionary_search, local_search, random_search
from bmtas.ncp.code_search import REFERENCE_START
from bmtas.ncp.codes import IS_COUNT, POSITIONS, NetworkCode
from bmtas.ncp.cost import RECORD_COST
from bmtas.ncp.nasbench201 import CellSpace
from bmtas.ncp.objective import Goal, Objective
from bmtas.ncp.predictor import CodePredictor, load_predictor
from bmtas.ncp.propagation import REFERENCE, Steps, propagate
from bmtas.ncp.spaces import Budget, MultiResolutionSpace
from bmtas.registry import STRATEGIES
from bmtas.typed import accepted_arguments, check_arguments


def predictor(setting='seg', seed=0, members=1, features='code', dimension=27, metric='mIoU'):
    """A predictor with random weights: smooth, not flat, and unlike any other seed's."""
    torch.manual_seed(seed)
    heads = [dict(names=[metric]), dict(names=['flops', 'params'], dropout=0.0)]
    model = CodePredictor(
        setting, heads, members, features, dimension=dimension, hidden=24, head_width=12
    )
    space = MultiResolutionSpace() if dimension == 27 else CellSpace()
    codes = torch.tensor(space.random(200, np.random.default_rng(1))).float()
    model.fit_statistics(codes, torch.rand(200, 3) * 10)
    for name, part in model.named_parameters():
        if name.endswith('linear.weight') or name.endswith('1.weight'):
            part.data.mul_(3)
    return model.eval().requires_grad_(False)


def objective(space=None, predictors=None, goals=None, **kwargs):
    predictors = predictors or {'seg': predictor()}
    goals = goals or [Goal(name) for name in predictors]
    return Objective(space or MultiResolutionSpace(), predictors, goals, **kwargs)


def test_reference_mode_walks_the_path_of_the_public_loop():
    """The loop as the public tool has it: L1 to targets 0.1 away, predicted flops, SGD on the
    standardised code, clamped in its own units, rounded for the report only."""
    model = predictor(seed=3)
    mean, std = model.input_mean[:27], model.input_std[:27]
    lower = torch.tensor([1.0 if count else 8.0 for count in IS_COUNT])
    upper = torch.tensor([4.0 if count else 128.0 for count in IS_COUNT])
    unit = torch.tensor([1.0 if count else 8.0 for count in IS_COUNT])
    code = torch.nn.Parameter((torch.tensor(REFERENCE_START).float() - mean) / std)
    sgd = torch.optim.SGD([code], lr=3.0)
    expected = []
    for _ in range(71):
        raw = code.detach() * std + mean
        expected.append(((raw / unit + 0.5).floor() * unit).maximum(lower).int().tolist())
        out = model.standardised((code * std + mean)[None])[0, 0]
        accuracy, flops = out[0], out[-2]
        l1 = torch.nn.L1Loss()
        loss = l1(accuracy, (accuracy + 0.1).detach()) + 0.5 * l1(flops, (flops - 0.1).detach())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        with torch.no_grad():
            code.copy_(((code * std + mean).clamp(lower, upper) - mean) / std)
    aim = objective(MultiResolutionSpace('full'), {'seg': model}, cost_source='predicted')
    path = propagate(aim, np.array(REFERENCE_START)[None], REFERENCE)
    found = [evaluation.codes[0].tolist() for evaluation in path.evaluations]
    assert found == expected
    assert len({tuple(code) for code in found}) > 5


@pytest.mark.parametrize('mode', ['continuous', 'greedy'])
def test_the_domain_is_never_left(mode):
    space = MultiResolutionSpace('recorded', {'stage4.channels': (16, 64)}, ['stage2', 'last'])
    starts = space.random(6, np.random.default_rng(0))
    aim = objective(space, budget=Budget(madds=1.5, params=3.0), cost_weight=0.1)
    path = propagate(aim, starts, Steps(number=25, mode=mode, lr=20.0))
    frozen = ~space.free
    for evaluation, points in zip(path.evaluations, path.points):
        assert space.contains(evaluation.codes).all() and np.isfinite(evaluation.value).all()
        assert (evaluation.codes[:, frozen] == starts[:, frozen]).all()
        assert (points[:, space.free] >= space.lower[space.free] - 1e-4).all()
        assert (points[:, space.free] <= space.upper[space.free] + 1e-4).all()
        assert (evaluation.madds <= 1.5).all() and (evaluation.params <= 3.0).all()
        for code in evaluation.codes:
            NetworkCode(tuple(code.tolist()))
    if mode == 'greedy':
        free = propagate(objective(space), starts, Steps(number=10, mode=mode)).evaluations
        for before, after in zip(free, free[1:]):
            assert ((before.codes != after.codes).sum(1) <= 1).all()


def test_starts_in_one_batch_are_independent():
    starts = MultiResolutionSpace().random(3, np.random.default_rng(5))
    aim = objective(predictors={'seg': predictor(members=3, features='cost')}, pessimism=1.0)
    together = propagate(aim, starts, Steps(number=15))
    for row in range(3):
        alone = propagate(aim, starts[row : row + 1], Steps(number=15))
        for one, all_of_them in zip(alone.evaluations, together.evaluations):
            assert np.array_equal(one.codes[0], all_of_them.codes[row])


def test_step_sizes_act_under_smooth_l1_only():
    start = np.array(REFERENCE_START)[None]
    paths = {}
    for criterion in ('smooth_l1', 'l1'):
        for increase in (0.05, 0.5):
            steps = Steps(number=6, criterion=criterion, increase=increase, decrease=0.05)
            paths[criterion, increase] = np.stack(propagate(objective(), start, steps).points)
    assert np.array_equal(paths['l1', 0.05], paths['l1', 0.5])
    moved = {key: np.abs(p[1] - p[0]).max() for key, p in paths.items()}
    assert moved['smooth_l1', 0.5] > 2 * moved['smooth_l1', 0.05]


def test_objectives_by_hand():
    models = {'seg': predictor(seed=1, members=4), 'video': predictor('video', 2, 4, metric='top1')}
    codes = MultiResolutionSpace().random(5, np.random.default_rng(0))
    with torch.no_grad():
        outs = [
            m.standardised(torch.tensor(codes).float())[..., 0].numpy() for m in models.values()
        ]
    mean, std = (np.stack([getattr(o, kind)(1) for o in outs], 1) for kind in ('mean', 'std'))
    cost = RECORD_COST.madds(codes) / 1e9
    space = MultiResolutionSpace(cost=RECORD_COST)
    sample = MultiResolutionSpace().random(512, np.random.default_rng(0))
    sample = RECORD_COST.madds(sample) / 1e9
    cost = (cost - sample.mean()) / sample.std()
    goals = [Goal('seg', 'mIoU', 3.0), Goal('video', 'top1', 1.0)]
    cases = [
        (dict(combine='sum'), mean.sum(1)),
        (dict(combine='mean', pessimism=2.0), (mean - 2 * std).mean(1)),
        (dict(combine='weighted', goals=goals), mean @ [0.75, 0.25]),
        (dict(combine='worst'), mean.min(1)),
    ]
    for options, expected in cases:
        aim = objective(space, models, cost_weight=0.3, **options)
        np.testing.assert_allclose(aim.evaluate(codes).value, expected - 0.3 * cost, atol=1e-4)
    tight = objective(space, models, budget=Budget(madds=float(np.median(sample))))
    fits = RECORD_COST.madds(codes) / 1e9 <= np.median(sample)
    assert np.array_equal(np.isfinite(tight.evaluate(codes).value), fits)
    with pytest.raises(ValueError, match='several members'):
        objective(pessimism=1.0)
    few = CodePredictor('seg', [dict(names=['mIoU', 'mAcc'])]).eval()
    with pytest.raises(ValueError, match="cost: source 'predicted' needs 'params', 'seg' predicts"):
        objective(predictors={'seg': few}, cost='params', cost_source='predicted')
    with pytest.raises(ValueError, match='no predictor for'):
        objective(goals=[Goal('cls')])


def test_best_iterate_and_early_stop():
    aim = objective(cost_weight=0.0)
    path = propagate(aim, np.array(REFERENCE_START)[None], Steps(number=60, lr=30.0, patience=5))
    values = path.values()
    step, start = path.best()
    assert values[step, start] == values.max()
    assert len(values) == min(61, int(np.argmax(values[:, 0])) + 6)
    assert path.calls[-1] == 2 * len(values)


@pytest.mark.parametrize('search', [random_search, local_search, evolutionary_search])
@pytest.mark.parametrize('cells', [False, True])
def test_baselines_spend_their_calls_and_improve(search, cells):
    dimension = 30 if cells else 27
    space = CellSpace() if cells else MultiResolutionSpace()
    models = {'seg': predictor(dimension=dimension)}
    budget = Budget(madds=0.1 if cells else 1.0)
    aim = objective(space, models, cost_weight=0.0, budget=budget)
    start = space.random(1, np.random.default_rng(0))[0]
    path = search(aim, start, 200, np.random.default_rng(1))
    assert aim.calls == 200 == path.calls[-1]
    for evaluation in path.evaluations:
        assert (evaluation.madds <= budget.madds).all() and space.contains(evaluation.codes).all()
    assert path.values().max() > path.values()[0].max()


def test_cells_stay_one_hot():
    space = CellSpace(exclude=['none'])
    aim = objective(space, {'seg': predictor(dimension=30)}, cost_weight=0.2)
    starts = space.random(4, np.random.default_rng(0))
    for mode in ('continuous', 'greedy'):
        path = propagate(aim, starts, Steps(number=12, mode=mode, lr=0.5))
        assert all(space.contains(e.codes).all() for e in path.evaluations)
        assert path.values().max() > path.values()[0].max()


@pytest.fixture
def files(tmp_path):
    """Records of two settings and a predictor of each."""
    codes = MultiResolutionSpace('fine').random(60, np.random.default_rng(0))
    madds, params = RECORD_COST.both(codes)
    found = {}
    for seed, (setting, metric) in enumerate((('seg', 'mIoU'), ('video', 'top1'))):
        model = predictor(setting, seed, members=2, features='cost', metric=metric)
        model.export(tmp_path / f'{setting}.pth')
        found[setting] = str(tmp_path / f'{setting}.pth')
        score = np.random.default_rng(seed).random(60)
        rows = [
            dict(embedding=code.tolist(), flops=m / 1e9, params=p / 1e6, **{metric: s})
            for code, m, p, s in zip(codes, madds.tolist(), params.tolist(), score.tolist())
        ]
        (tmp_path / f'{setting}.pkl').write_bytes(pickle.dumps(rows))
    return tmp_path, found


NAMES = ('seg/mIoU', 'video/top1')


def standardised(files, name, value):
    """A predicted main metric in deviations of its training rows."""
    model = load_predictor(files[1][name.split('/')[0]])
    return (value - float(model.target_mean[0])) / float(model.target_std[0])


def run(files, kind='CodePropagation', data=True, **options):
    folder, found = files
    lines = []
    cfg = dict(randomness=dict(seed=4), data_root=str(folder) if data else None)
    check_arguments(options, accepted_arguments(STRATEGIES.get(kind)), 'search')
    strategy = STRATEGIES.build(dict(type=kind, predictors=found, **options))
    context = SimpleNamespace(cfg=cfg, work_dir=folder / 'run', log=lines.append)
    return strategy.run(context).report, '\n'.join(lines), folder / 'run'


def test_report_and_picture_of_a_joint_search(files):
    report, text, work_dir = run(
        files, steps=dict(number=8), start='random', starts=3, budget=dict(madds=0.9), pessimism=0.5
    )
    written = json.loads((work_dir / 'ncp.json').read_text())
    assert written == json.loads(json.dumps(report))
    assert (work_dir / 'vis' / 'ncp.png').stat().st_size > 10_000
    chosen = written['chosen']
    assert chosen['madds_g'] <= 0.9 and chosen['objective'] == max(
        start['objective'] for start in written['starts']
    )
    assert set(chosen['predicted']) >= {'seg/mIoU', 'video/top1'}
    assert set(chosen['judged']) == {'seg/mIoU', 'video/top1'}
    best = written['records_within_budget'][0]
    assert best['madds_g'] <= 0.9 and set(best['measured']) == {'seg/mIoU', 'video/top1'}
    assert NetworkCode.parse(str(work_dir / 'ncp.json')).text == chosen['text']
    codes = [tuple(code['code']) for code in written['front']]
    assert len(set(codes)) == len(codes)
    costs = [code['madds_g'] for code in written['front']]
    means = [
        sum(standardised(files, name, code['predicted'][name]['mean']) for name in NAMES)
        for code in written['front']
    ]
    assert costs == sorted(costs) and means == sorted(means) and max(costs) <= 0.9
    # no code met beats one of the front
    for step in written['trajectory']:
        score = sum(standardised(files, n, step['predicted'][n]['mean']) for n in NAMES)
        assert any(c <= step['madds_g'] and m >= score - 1e-5 for c, m in zip(costs, means))
    assert len(written['trajectory']) == 9 and 'best record within' in text
    assert written['predictor_calls'] == 9 * 3 * 2


def test_cross_task_start_seeds_and_missing_records(files):
    first, _, work_dir = run(files, steps=dict(number=3), goals=[dict(setting='video')])
    again, _, _ = run(files, steps=dict(number=3), goals=[dict(setting='video')])
    assert first['trajectory'] == again['trajectory']
    text = first['chosen']['text']
    second, log, _ = run(
        files, data=False, steps=dict(number=3), start=str(work_dir / 'ncp.json'), picture=False
    )
    assert second['trajectory'][0]['text'] == text
    assert second['records_within_budget'] is None and 'no records' in log
    best, _, _ = run(files, steps=dict(number=1), start='records', starts=2, judge=False)
    assert len(best['starts']) == 2 and 'judged' not in best['chosen']


def test_a_recorded_cost_can_be_a_goal(files):
    goals = ['video', dict(setting='seg', metric='params', weight=-2.0)]
    report, text, _ = run(files, combine='weighted', goals=goals, start='records', starts=2)
    best = report['records_within_budget'][0]
    assert best['measured']['seg/params'] == pytest.approx(best['params_m'], abs=0.01)
    assert 'seg/params: predicted' in text and 'seg/params' in report['chosen']['judged']


def test_cells_start_from_any_form_of_one_or_of_several(tmp_path):
    predictor(dimension=30).export(tmp_path / 'seg.pth')
    files = tmp_path, {'seg': str(tmp_path / 'seg.pth')}
    six = ['skip_connect'] * 5 + ['none']
    options = dict(data=False, steps=dict(number=1), picture=False)
    first, _, work_dir = run(files, start=six, **options)
    step = first['trajectory'][0]
    assert step['code'] == CellSpace().parse(six).tolist() and len(first['starts']) == 1
    for start in (step['code'], step['text'], [[2] * 5 + [1]]):
        assert run(files, start=start, **options)[0]['trajectory'][0]['text'] == step['text']
    several = run(files, start=[step['text'], ['none'] * 6], **options)[0]
    assert len(several['starts']) == 2
    chosen = run(files, start=str(work_dir / 'ncp.json'), **options)[0]
    assert chosen['trajectory'][0]['text'] == several['chosen']['text']
    with pytest.raises(FileNotFoundError, match='network code .*no.json does not exist'):
        run(files, start=str(tmp_path / 'no.json'), **options)


@pytest.mark.parametrize('kind', ['CodeRandomSearch', 'CodeLocalSearch', 'CodeEvolution'])
def test_baselines_write_the_same_report(files, kind):
    report, _, _ = run(files, kind, calls=70, picture=False, judge=False)
    assert report['predictor_calls'] == 70 and report['method'] == kind
    assert {'chosen', 'starts', 'trajectory', 'records_within_budget'} <= set(report)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(budget=dict(madds=0.0001)), 'smallest code'),
        (dict(cost=dict(wieght=1.0)), "search.cost.wieght: unknown key; did you mean 'weight'"),
        (dict(cost=dict(weight='abc')), "search.cost.weight: must be a number, got 'abc'"),
        (dict(count=dict(clases=3)), "search.count.clases: unknown key; did you mean 'classes'"),
        (dict(budget=dict(madd=1.0)), "search.budget.madd: unknown key; did you mean 'madds'"),
        (dict(budget=dict(madds=0.0)), 'search.budget.madds: must be greater than 0'),
        (dict(budget=1.0), 'search.budget: must be a dict'),
        (dict(steps=dict(nummber=3)), 'search.steps.nummber: unknown key'),
        (dict(steps=dict(number=0)), 'search.steps.number: must be at least 1'),
        (dict(combine='max'), "search.combine: 'max' is none of"),
        (dict(start=5), 'search.start: must be a text or a list or a dict, got 5'),
        (dict(goals=[dict(settng='seg')]), 'search.goals.0.settng: unknown key'),
        (dict(goals='seg/top1'), "'seg' predicts .* not 'top1'"),
        (dict(bounds={'stem': 3}), 'search.bounds.stem: must be a list of 2 entries'),
        (dict(bounds={'stem': (32, 8)}), r"bounds: 'stem' \[32, 8\] leaves no grid value"),
        (dict(starts=0, start='random'), 'search.starts: must be at least 1'),
        (dict(pessimism=-1), 'search.pessimism: must be at least 0'),
        (dict(steps=dict(mode='wta')), "search.steps.mode: 'wta' is none of"),
        (dict(freeze=['stage7']), "'stage7' matches nothing"),
        (dict(reference=True), 'one predictor'),
        (dict(start='8,8'), 'have 27 numbers'),
        (dict(exclude=['none']), 'only nas-bench-201'),
    ],
)
def test_mistakes_are_named(files, options, message):
    with pytest.raises(ValueError, match=message):
        run(files, **options)


def test_positions_of_the_reference_start():
    assert len(REFERENCE_START) == len(POSITIONS)
    assert {v for v, count in zip(REFERENCE_START, IS_COUNT) if count} == {2}
