"""The predictor: ensemble, statistics, scores, and its training by the common tools."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bmtas.engine.build import build_runner
from bmtas.engine.config import load_config
from bmtas.engine.test import run_test
from bmtas.ncp.cost import RECORD_COST
from bmtas.ncp.dataset import NetworkCodeDataset
from bmtas.ncp.metric import CodePredictionMetric, regression_scores
from bmtas.ncp.predictor import CodePredictor, load_predictor
from bmtas.ncp.spaces import MultiResolutionSpace
from bmtas.registry import STRATEGIES

CONFIG = Path(__file__).parents[2] / 'configs' / 'ncp' / 'predictor_seg.py'
HEADS = [dict(names=['mIoU']), dict(names=['flops', 'params'], dropout=0.0)]


@pytest.fixture
def records(tmp_path):
    """A folder with 80 made-up records of the setting seg whose metrics follow the code."""
    codes = MultiResolutionSpace('fine').random(80, np.random.default_rng(0))
    madds, params = RECORD_COST.both(codes)
    score = codes[:, 4] / 8 + codes[:, 26] / 16 + np.log(madds)
    rows = [
        {'mIoU': s, 'mAcc': s + 1, 'aAcc': -s, 'flops': m / 1e9, 'params': p / 1e6,
         'embedding': code.tolist()}
        for code, s, m, p in zip(codes, score.tolist(), madds.tolist(), params.tolist())
    ]  # fmt: skip
    folder = tmp_path / 'records'
    folder.mkdir()
    (folder / 'seg.pkl').write_bytes(pickle.dumps(rows, protocol=3))
    return folder


def options(iters, **extra):
    return {
        'train_cfg.max_iters': iters,
        'train_cfg.val_interval': iters,
        'param_scheduler.0.total_steps': 20,
        'param_scheduler.0.end': 20,
        'default_hooks.checkpoint.interval': 10,
        'train_dataloader.batch_size': 16,
        'model.members': 2,
        'model.hidden': 16,
        'model.head_width': 8,
        **extra,
    }


def train(records, work_dir, iters=20, **extra):
    cfg = load_config(CONFIG, options(iters, **extra), data_root=records, work_dir=work_dir)
    cfg.launcher, cfg.resume = 'none', bool(extra.get('resume'))
    runner = build_runner(cfg, 'train')
    runner.train()
    return runner


def test_every_member_is_a_network_of_its_own():
    torch.manual_seed(0)
    model = CodePredictor('seg', HEADS, members=3, features='cost', hidden=12, head_width=6)
    codes = torch.tensor(MultiResolutionSpace().random(9, np.random.default_rng(0)))
    model.fit_statistics(codes.float(), torch.rand(9, 3))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    model.eval()
    outputs = model(codes.float())
    assert outputs.shape == (9, 3, 3) and not torch.allclose(outputs[:, 0], outputs[:, 1])

    def block(x, part, member):
        size = part.linear.weight.shape[-1]
        x = x @ part.linear.weight[member] + part.linear.bias[member]
        n, cut = part.norm, slice(member * size, (member + 1) * size)
        x = (x - n.running_mean[cut]) / torch.sqrt(n.running_var[cut] + n.eps)
        x = x * n.weight[cut] + n.bias[cut]
        return x * torch.sigmoid(x)

    madds, params = RECORD_COST.both(codes.numpy())
    logs = np.stack([np.log(madds), np.log(params)], 1)
    features = np.concatenate([codes, np.log2(codes), logs], 1)
    x = torch.tensor((features - features.mean(0)) / np.maximum(features.std(0), 1e-9)).float()
    n = model.norm
    x = (x - n.running_mean) / torch.sqrt(n.running_var + n.eps)
    for member in range(3):
        hidden = block(x, model.common, member)
        parts = []
        for head, linear in model.heads:
            y = block(hidden, head, member)
            parts.append(y @ linear.weight[member] + linear.bias[member])
        expected = torch.cat(parts, 1) * model.target_std + model.target_mean
        torch.testing.assert_close(outputs[:, member], expected, rtol=1e-3, atol=1e-4)


def test_loss_dropout_and_modes():
    model = CodePredictor('seg', HEADS, hidden=16, head_width=8)
    codes = torch.tensor(MultiResolutionSpace().random(6, np.random.default_rng(0))).float()
    targets = torch.rand(6, 3)
    model.fit_statistics(codes, targets)
    model.eval()
    wanted = (targets - targets.mean(0)) / targets.std(0, correction=0)
    loss = model(codes, targets, mode='loss')['loss_smooth_l1']
    expected = F.smooth_l1_loss(model.standardised(codes)[:, 0], wanted)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(model.standardised(codes), model.standardised(codes))
    model.train()
    assert not torch.equal(model.standardised(codes), model.standardised(codes))
    with pytest.raises(ValueError, match='choose from loss'):
        model(codes, mode='losses')
    with pytest.raises(ValueError, match="features 'costs'"):
        CodePredictor('seg', HEADS, features='costs')
    with pytest.raises(ValueError, match='distinct'):
        CodePredictor('seg', [*HEADS, *HEADS])


def test_scores_against_definitions():
    generator = np.random.default_rng(0)
    target = generator.integers(0, 9, 40).astype(float)
    predicted = target + generator.normal(size=40)
    predicted[:5] = 2.0
    found = regression_scores(predicted, target)
    pairs = [(i, j) for i in range(40) for j in range(i)]
    signs = [
        (np.sign(predicted[i] - predicted[j]), np.sign(target[i] - target[j])) for i, j in pairs
    ]
    a, b = np.array(signs).T
    assert found['tau'] == pytest.approx((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    assert found['MAE'] == pytest.approx(np.mean(abs(predicted - target)))
    residual = ((predicted - target) ** 2).mean()
    assert found['R2'] == pytest.approx(1 - residual / target.var())
    ranks = [
        np.array([(v < x).sum() + ((v == x).sum() - 1) / 2 for x in v]) for v in (predicted, target)
    ]
    assert found['spearman'] == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert regression_scores(np.ones(3), np.arange(3.0))['tau'] == 0.0


def test_metric_joins_batches_and_judges_the_deviation():
    metric = CodePredictionMetric(['a', 'b'])
    generator = torch.Generator().manual_seed(0)
    mean = torch.rand(30, 2, generator=generator)
    target = mean + 0.1 * torch.randn(30, 2, generator=generator)
    for rows in (slice(0, 20), slice(20, 30)):
        std = torch.full_like(mean[rows], 0.1)
        metric.process(None, [dict(mean=mean[rows], std=std, target=target[rows])])
    scores = metric.evaluate(30)
    assert scores['b/calibration'] == pytest.approx(1, abs=0.3)
    expected = regression_scores(mean[:, 1].numpy(), target[:, 1].numpy())
    assert scores['b/tau'] == expected['tau']


def test_data_set_reads_batches_by_position(records):
    rows = NetworkCodeDataset(records, 'seg', 'train', val_fraction=0.25)
    assert len(rows) == 48 and rows.names == ('mIoU', 'mAcc', 'aAcc', 'flops', 'params')
    batch = rows.__getitems__([1, 48 + 1, 3])
    assert torch.equal(batch['inputs'][0], batch['inputs'][1])
    others = [
        NetworkCodeDataset(records, 'seg', part, val_fraction=0.25) for part in ('val', 'test')
    ]
    assert sorted(np.concatenate([rows.rows, *(o.rows for o in others)])) == list(range(80))
    with pytest.raises(ValueError, match="part 'valid'"):
        NetworkCodeDataset(records, 'seg', 'valid')
    with pytest.raises(ValueError, match="records: part 'val' of 80 records has none; change"):
        NetworkCodeDataset(records, 'seg', 'val', val_fraction=0.0)
    with pytest.raises(ValueError, match="no column 'top1'"):
        NetworkCodeDataset(records, 'seg', outputs=['top1'])
    with pytest.raises(FileNotFoundError, match='3ddet'):
        NetworkCodeDataset(records, '3ddet')


def test_training_testing_and_export_by_the_tools(records, tmp_path):
    runner = train(records, tmp_path / 'run')
    model = runner.model
    rows = NetworkCodeDataset(records, 'seg', 'train')
    torch.testing.assert_close(model.target_mean, rows.targets.mean(0))
    torch.testing.assert_close(model.input_mean[:27], rows.codes.mean(0))
    everything = NetworkCodeDataset(records, 'seg', 'all')
    assert not torch.allclose(model.target_mean, everything.targets.mean(0))
    exported = load_predictor(tmp_path / 'run' / 'predictor.pth')
    codes = everything.codes
    torch.testing.assert_close(exported(codes), model.eval()(codes))
    held = NetworkCodeDataset(records, 'seg', 'val')
    error = (exported(held.codes).mean(1) - held.targets).pow(2).mean(0).sqrt()
    torch.testing.assert_close(exported.noise, error)
    cfg = load_config(CONFIG, options(20), data_root=records, work_dir=tmp_path / 'run')
    results = run_test(cfg, tmp_path / 'run' / 'predictor.pth')
    written = json.loads((tmp_path / 'run' / 'results.json').read_text())
    assert written == results and results['tasks'][0] == 'mIoU'
    tested = NetworkCodeDataset(records, 'seg', 'test')
    by_hand = regression_scores(
        exported(tested.codes).mean(1)[:, 0].numpy(), tested.targets[:, 0].numpy()
    )
    assert results['scores']['mIoU'] == pytest.approx(by_hand['tau'])


def test_a_resumed_training_equals_an_uninterrupted_one(records, tmp_path):
    whole = train(records, tmp_path / 'whole')
    train(records, tmp_path / 'parts', iters=10)
    resumed = train(records, tmp_path / 'parts', iters=20, resume=True)
    assert resumed.iter == whole.iter == 20
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_the_seed_decides_the_weights(records, tmp_path):
    runs = [
        train(records, tmp_path / str(n), 8, **{'randomness.seed': seed}).model.state_dict()
        for n, seed in enumerate((3, 3, 4))
    ]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
    assert not torch.equal(runs[0]['common.linear.weight'], runs[2]['common.linear.weight'])


def test_files_that_are_no_predictors(tmp_path):
    with pytest.raises(FileNotFoundError, match='train it with'):
        load_predictor(tmp_path / 'absent.pth')
    torch.save({'state_dict': {}}, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='no exported predictor'):
        load_predictor(tmp_path / 'x.pth')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work dir of the trained predictor of a setting; trains each once."""
    folders = {}

    def train_once(setting, root):
        if setting not in folders:
            path = CONFIG.with_name(f'predictor_{setting}.py')
            folders[setting] = tmp_path_factory.mktemp(setting)
            cfg = load_config(path, data_root=root, work_dir=folders[setting])
            build_runner(cfg, 'train').train()
        return folders[setting]

    return train_once


@pytest.mark.slow
@pytest.mark.parametrize(
    ('setting', 'floor'),
    [('seg', 0.75), ('cls_50_1000', 0.70), ('video', 0.72), ('nas_bench_201', 0.87)],
)
def test_floors_on_the_published_split(data_root, trained, setting, floor):
    root = data_root / 'nas_bench_mr'
    folder = trained(setting, root)
    path = CONFIG.with_name(f'predictor_{setting}.py')
    cfg = load_config(path, data_root=root, work_dir=folder)
    results = run_test(cfg, folder / 'predictor.pth')
    assert next(iter(results['scores'].values())) >= floor
    costs = [name for name in results['metrics'] if name.lower() == 'flops']
    assert results['metrics'][costs[0]]['R2'] >= 0.98


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_joint_edit_keeps_up_where_single_edits_wreck_the_other_tasks(
    data_root, trained, tmp_path
):
    root = data_root / 'nas_bench_mr'
    names = {'seg': 'seg', 'cls-50-1000': 'cls_50_1000', 'video': 'video'}
    files = {name: str(trained(setting, root) / 'predictor.pth') for name, setting in names.items()}
    models = [load_predictor(path) for path in files.values()]
    mean, std = ([float(getattr(m, f'target_{k}')[0]) for m in models] for k in ('mean', 'std'))

    def edit(**options):
        search = STRATEGIES.build(
            dict(type='CodePropagation', predictors=files, judge=False, picture=False, **options)
        )
        context = SimpleNamespace(cfg={}, work_dir=tmp_path, log=lambda text: None)
        report = search.run(context).report
        codes = (report['trajectory'][0], report['chosen'])
        keys = [key for key in codes[0]['predicted'] if key.split('/')[1] in ('mIoU', 'top1')]
        values = [[code['predicted'][key]['mean'] for key in keys] for code in codes]
        return (np.array(values) - mean) / std

    start, joint = edit()
    worst = edit(combine='worst')[1]
    single = np.stack([edit(goals=[name])[1] for name in files])
    assert (joint > start).all() and (worst > start).all()
    # a single edit lifts its own task; those of seg and video drop below the start elsewhere
    assert (single.diagonal() > start).all() and (single < start).any(1)[[0, 2]].all()
    # each way of joining is best at what it wants
    assert joint.sum() > single.sum(1).max() and worst.min() > single.min(1).max()
