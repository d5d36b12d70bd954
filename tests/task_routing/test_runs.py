"""Trainings of routed networks: draws, gradients, roaming, resume, two processes, extraction."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch import nn

from bmtas.apis import load_model
from bmtas.cli import run
from bmtas.engine.config import load_config
from bmtas.registry import DATASETS, MODELS
from bmtas.resources import count_madds, count_params
from bmtas.task_routing import MaskTable, TaskSamplingLoop
from bmtas.task_routing.extract import extract
from bmtas.task_routing.sampling_loop import _chosen, labelled_tasks


@pytest.fixture(scope='session')
def trained(config, tmp_path_factory):
    """Work dir of an uninterrupted run."""
    folder = tmp_path_factory.mktemp('whole')
    assert run('train', [str(config), '--work-dir', str(folder)]) == 0
    return folder


def batch(cfg, count=8):
    data = DATASETS.build(cfg.train_dataloader.dataset)
    return pseudo_collate([data[index] for index in range(count)])


def build(cfg, seed=0, **encoder):
    torch.manual_seed(seed)
    model = dict(cfg.model, encoder=dict(cfg.model.encoder, **encoder))
    return MODELS.build(model)


def states_equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_gradient_of_a_mixed_batch_is_that_of_separate_runs(config):
    """With fixed statistics; the loss of a task is its part of the mean over images."""
    cfg = load_config(config)
    model = build(cfg, norm='shared').eval()
    data = model.data_preprocessor(batch(cfg), True)
    rows = dict(ball=[0, 5, 6], person=[2], floor_texture=[1, 3, 4, 7])
    mixed = model(**data, mode='loss', tasks=list(rows), rows=rows)
    total = sum(mixed[f'loss_{name}'] * len(own) / 8 for name, own in rows.items())
    total.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    for name, own in rows.items():
        part = dict(inputs=data['inputs'][own], data_samples=[data['data_samples'][i] for i in own])
        alone = model(**part, mode='loss', tasks=[name])[f'loss_{name}']
        assert torch.allclose(alone, mixed[f'loss_{name}'], rtol=1e-5)
        (alone * len(own) / 8).backward()
    for name, p in model.named_parameters():
        if name in found:
            scale = found[name].abs().max()
            assert torch.allclose(p.grad, found[name], atol=float(1e-5 * scale) + 1e-9), name


def test_units_that_a_task_masks_get_no_gradient(config):
    cfg = load_config(config)
    model = build(cfg).train()
    data = model.data_preprocessor(batch(cfg), True)
    model(**data, mode='loss', tasks=['ball'])['loss_ball'].backward()
    encoder, task = model.encoder, 1
    for part, sites in zip(encoder.chain, encoder.plan.sites):
        kept = encoder.plan.spread(encoder.masks)[task]
        for site in sites.values():
            module = part.get_submodule(site.name)
            module = getattr(module, 'inner', module)
            weight = getattr(getattr(module, 'norm', module), 'weight', None)
            assert not weight.grad[~kept[site.outputs]].any()
            assert weight.grad[kept[site.outputs]].any()


def test_prefixes_that_are_equal_run_once(config, tmp_path):
    cfg = load_config(config)
    tree = dict(config=[[0, 0, 0, 0]] * 3 + [[0, 0, 1, 1]] * 2 + [[0, 1, 2, 2]] * 2)
    (tmp_path / 'tree.json').write_text(json.dumps(tree))
    scheme = dict(name='tree', branching=str(tmp_path / 'tree.json'))
    model = build(cfg, scheme=scheme, norm='per_task_stats').eval()
    runs = [0] * 8
    for index, part in enumerate(model.encoder.chain):
        part.register_forward_hook(lambda *_, i=index: runs.__setitem__(i, runs[i] + 1))
    model(torch.zeros(1, 3, 32, 32))
    assert runs == [1, 1, 1, 1, 2, 2, 3, 3]
    layers = model.encoder.masks.layers
    names = list(layers)
    assert (layers[names[4]][0] == layers[names[4]][1]).all()
    assert not (layers[names[4]][0] == layers[names[4]][2]).all()


@pytest.mark.parametrize('norm', ['shared', 'per_task_stats', 'per_task', 'batch_stats', 'group'])
def test_every_norm_trains_and_evaluates(config, norm):
    cfg = load_config(config)
    model = build(cfg, norm=norm)
    data = model.data_preprocessor(batch(cfg), True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for name in ('ball', 'person', 'ball'):
        model.train()
        optimizer.zero_grad()
        model(**data, mode='loss', tasks=[name])[f'loss_{name}'].backward()
        optimizer.step()
    with torch.no_grad():
        logits = model.eval()(data['inputs'])
    assert all(torch.isfinite(value).all() for value in logits.values())
    if norm == 'per_task_stats':
        first = model.encoder.stem.get_submodule('features_1').inner
        moved = (first.running_mean != 0).any(1).tolist()
        assert moved == [True, True, False, False]


def test_statistics_of_one_task_are_those_of_a_plain_batch_norm(config):
    cfg = load_config(config)
    model = build(cfg).train()
    x = torch.randn(8, 3, 32, 32)
    layer = model.encoder.stem.get_submodule('features_1').inner
    conv, plain = model.encoder.stem.get_submodule('features_0'), nn.BatchNorm2d(8)
    for _ in range(3):
        model.encoder(x, ['floor_texture'])
        expected = plain(conv(x))
    assert torch.allclose(layer.running_mean[2], plain.running_mean)
    assert torch.allclose(layer.running_var[2], plain.running_var)
    layer.task = 2
    assert torch.allclose(layer(conv(x)), expected, atol=1e-6)


def test_roaming_keeps_its_invariants(config, trained):
    begun = load_masks(config, trained / 'iter_4.pth')
    ended = load_masks(config, trained / 'iter_8.pth')
    state = torch.load(trained / 'iter_8.pth', weights_only=True)['roaming']
    for name, mask in ended.items():
        assert (mask.sum(1) == begun[name].sum(1)).all()
        seen = state['seen'][name].numpy()
        limit = round(0.5 * (~begun[name]).sum(1).min())
        assert state['moves'][name] == min(4, limit)
        # each move brings one unit that was never used before
        assert (seen.sum(1) == mask.sum(1) + state['moves'][name]).all()
        assert not (mask & ~seen).any()
    written = MaskTable.from_file(trained / 'masks.json')
    assert all((written.layers[name] == mask).all() for name, mask in ended.items())
    assert (trained / 'masks.png').stat().st_size > 5000


def load_masks(config, checkpoint):
    return load_model(config, checkpoint, device='cpu')[1].encoder.masks.layers


def test_a_run_that_is_cut_and_resumed_equals_the_whole_one(config, trained, tmp_path):
    for name in ('iter_4.pth', 'masks.json', *(p.name for p in trained.glob('*.json'))):
        shutil.copy(trained / name, tmp_path / name)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    assert run('train', [str(config), '--work-dir', str(tmp_path), '--resume']) == 0
    whole, resumed = (
        torch.load(folder / 'iter_8.pth', weights_only=True) for folder in (trained, tmp_path)
    )
    assert states_equal(whole['state_dict'], resumed['state_dict'])
    assert states_equal(whole['roaming']['seen'], resumed['roaming']['seen'])


@pytest.mark.parametrize('option', ['model.encoder.scheme=ordered', 'model.encoder.seed=3'])
def test_a_resume_with_other_masks_is_refused(config, trained, tmp_path, capsys, option):
    shutil.copytree(trained, tmp_path / 'run')
    (tmp_path / 'run' / 'iter_8.pth').unlink()
    words = [str(config), '--work-dir', str(tmp_path / 'run'), '--resume', '--cfg-options', option]
    assert run('train', words) == 2
    assert capsys.readouterr().err.strip().count('\n') == 0


@pytest.mark.parametrize('draw', [pytest.param('batch', marks=pytest.mark.slow), 'sample'])
def test_two_processes_equal_one(config, tmp_path, draw):
    """Tasks drawn, losses and weights; with statistics that do not depend on the batch."""
    options = [
        f'train_cfg.draw={draw}',
        'model.encoder.norm=group',
        'tasks.depth=None',
        'train_cfg.max_iters=4',
        'val_cfg=None',
        'val_dataloader=None',
        'val_evaluator=None',
        'optim_wrapper.optimizer.type=SGD',
        'optim_wrapper.optimizer.lr=0.1',
    ]
    states = []
    for world in (1, 2):
        folder, size = tmp_path / str(world), 8 // world
        words = [str(config), '--work-dir', str(folder), '--cfg-options', *options]
        words.append(f'train_dataloader.batch_size={size}')
        launch = [sys.executable]
        if world == 2:
            launch += ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
            words += ['--launcher', 'pytorch']
        done = subprocess.run(
            [*launch, 'tools/train.py', *words], capture_output=True, text=True, timeout=280,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        states.append(torch.load(folder / 'iter_4.pth', weights_only=True)['state_dict'])
    one, two = states
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.allclose(value.float(), two[key].float(), atol=2e-5), key


@pytest.mark.parametrize('fold', [False, True])
def test_extracted_networks_predict_what_the_routed_one_does(config, trained, tmp_path, fold):
    tasks = ['depth', 'ball']
    found = extract(config, trained / 'iter_8.pth', tasks, tmp_path, fold)
    _, routed = load_model(config, trained / 'iter_8.pth', device='cpu')
    cfg, small = load_model(tmp_path / 'config.py', tmp_path / 'model.pth', device='cpu')
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        wide, narrow = routed(x, tasks=tasks), small(x)
    assert list(narrow) == ['ball', 'depth']  # in the order of the task table
    for task in tasks:
        assert (wide[task] - narrow[task]).abs().max() <= 1e-5 * wide[task].abs().max()
    assert found['after']['madds'] < 0.5 * found['before']['madds']
    assert found['after']['params'] == count_params(small)
    words = [str(tmp_path / 'config.py'), str(tmp_path / 'model.pth'), '--work-dir', str(tmp_path)]
    assert run('test', words) == 0
    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['tasks'] == ['ball', 'depth'] and results['madds'] == found['after']['madds']
    Image.new('RGB', (32, 32)).save(tmp_path / 'picture.png')
    picture = [str(tmp_path / 'picture.png'), '--out-dir', str(tmp_path / 'out')]
    assert run('infer', [*words[:2], *picture]) == 0
    assert (tmp_path / 'out' / 'categories.csv').is_file()
    out = tmp_path / 'network.onnx'
    assert run('export', [*words[:2], '--format', 'onnx', '--out', str(out)]) == 0
    assert run('resources', words[:1]) == 0


def by_fvcore(compact, heads, x):
    """Multiply-adds of convolutions and linear layers of a network of one task."""
    (task,) = heads

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.compact, self.head = compact, heads[task]

        def forward(self, x):
            return self.head(*self.compact(x, (task,))[task])

    found = FlopCountAnalysis(Whole().eval(), x).by_operator()
    return found['conv'] + found['linear']


def test_costs_are_the_counters_integers_on_the_compact_network(config, trained):
    cfg, model = load_model(config, trained / 'iter_8.pth', device='cpu')
    said = model.encoder.costs(model.heads, (32, 32), 'mac')
    assert said['keep_ratio'] == 0.5
    x = torch.zeros(1, 3, 32, 32)
    for tasks in (['ball'], ['depth'], list(model.encoder.tasks)):
        compact = model.encoder.compact(tasks).eval()
        heads = {task: compact.slice_head(model.heads[task], task).eval() for task in tasks}
        madds = count_madds(compact, x, tasks=tasks)
        features = compact(x, tasks)
        madds += sum(count_madds(heads[task], *features[task]) for task in tasks)
        if len(tasks) == 1:
            assert said['madds_by_task'][tasks[0]] == madds == by_fvcore(compact, heads, x)
            params = count_params(compact) + count_params(heads[tasks[0]])
            assert said['params_by_task'][tasks[0]] == params
        else:
            assert said['madds'] == madds


def test_costs_in_another_convention_are_counted_on_the_compact_network(config):
    model = build(load_config(config))
    mac, paper = (model.encoder.costs(model.heads, (32, 32), c) for c in ('mac', 'paper'))
    # half a unit less for each output element without bias, pooling on top: near, not equal
    assert paper['madds'] != mac['madds']
    assert paper['madds'] == pytest.approx(mac['madds'], rel=0.05)
    by_task = paper['madds_by_task']
    assert by_task['depth'] == pytest.approx(mac['madds_by_task']['depth'], rel=0.05)
    assert paper['params_by_task'] == mac['params_by_task']


def loop_of(model, **options):
    """A loop without a runner's data."""
    warnings = []
    loop = object.__new__(TaskSamplingLoop)
    loop._runner = SimpleNamespace(
        model=model, logger=SimpleNamespace(warning=warnings.append), rank=0
    )
    loop.draw, loop.tasks_per_step = options['draw'], options.get('tasks_per_step', 1)
    return loop, warnings


def test_pooled_statistics_with_whole_batches_are_a_warning(config):
    cfg = load_config(config)
    for draw, norm, keep_ratio, warned in [
        ('batch', 'shared', 0.5, True),
        ('batch', 'per_task_stats', 0.5, False),
        ('batch', 'shared', 1.0, False),
        ('sample', 'shared', 0.5, False),
    ]:
        loop, warnings = loop_of(build(cfg, norm=norm, keep_ratio=keep_ratio), draw=draw)
        loop._check_encoder()
        assert bool(warnings) == warned
        assert all('majority class' in text for text in warnings)


def test_tasks_without_a_label_are_not_drawn(config):
    cfg = load_config(config)
    model = build(cfg, norm='shared')
    samples = batch(cfg, 6)['data_samples']
    for index, sample in enumerate(samples):
        if index % 2:
            del sample.labels['person']
        sample.labels['ball'] = torch.tensor(-1)
        sample.labels['depth'] = torch.zeros(32, 32)
    labelled = labelled_tasks(model.tasks, samples)
    assert labelled[:, [1, 3]].any().item() is False
    assert labelled[:, 0].tolist() == [True, False] * 3
    loop, _ = loop_of(model, draw='sample')
    for seed in range(20):
        rows, shares = loop._draw_rows(model, labelled, np.random.default_rng(seed))
        assert set(rows) <= {'person', 'floor_texture'} and sum(shares.values()) == 1
        assert not set(rows.get('person', [])) & {1, 3, 5}
        assert sorted(sum(rows.values(), [])) == list(range(6))


def _file(folder):
    return ('model.encoder.scheme.name=file', f'model.encoder.scheme.masks={folder}/masks.json')


def test_schemes_and_norms_with_options_are_taken_from_configs(config, trained, capsys):
    resources = [str(config), '--cfg-options']
    grouped = ('model.encoder.scheme.name=grouped', 'model.encoder.scheme.group_size=8')
    norm = ('model.encoder.norm.name=group', 'model.encoder.norm.group_size=8')
    assert run('resources', [*resources, *grouped, *norm]) == 0
    assert run('resources', [*resources, *_file(trained)]) == 0
    shown = capsys.readouterr().out
    assert all(key in shown for key in ('madds_by_task', 'madds_masked', 'madds_shared'))


def test_bad_input_is_one_line(config, trained, tmp_path, capsys):
    routed = [str(config), str(trained / 'iter_8.pth')]
    shared = tmp_path / 'shared.py'
    shared.write_text(
        f"_base_ = '{config}'\ncustom_hooks = []\nmodel = dict(encoder=dict(_delete_=True, "
        "type='BranchedEncoder', routes='shared', backbone=dict(type='LayeredBackbone', "
        "arch='vgg11_bn', output_stride=32, aspp=False, width=0.125)))\n"
    )
    hooked = tmp_path / 'hooked.py'
    hooked.write_text(f"_base_ = '{shared}'\ncustom_hooks = [dict(type='MaskFileHook')]\n")
    work = ['--work-dir', str(tmp_path / 'w')]
    train = [str(config), *work, '--cfg-options']
    cases = [
        ([*train, 'model.encoder.keep_ratio=1.5'], 'keep_ratio'),
        ([*train, 'model.encoder.scheme=rondom'], 'scheme'),
        ([*train, 'train_cfg.tasks_per_step=9'], 'tasks_per_step: must be 1 ... 4'),
        ([*train, 'train_cfg.draw=sample'], "norm: 'per_task_stats' needs batches of one task"),
        ([str(shared), *work, '--cfg-options', 'train_cfg.draw=sample'], 'takes task ids'),
        ([*train, 'optim_wrapper.accumulative_counts=2'], 'accumulative_counts: must be 1'),
        ([str(hooked), *work], 'masks are those of a RoutedEncoder, not of BranchedEncoder'),
        ([*train, 'model.encoder.scheme.name=file'], "scheme 'file' needs masks=FILE"),
        ([*train, *_file(trained), 'model.encoder.backbone.width=0.25'], 'another width'),
        ([*train, *_file(trained), 'model.encoder.backbone.arch=vgg11'], 'another backbone'),
    ]
    for words, message in cases:
        assert run('train', words) == 2
        error = capsys.readouterr().err
        assert message in error and error.strip().count('\n') == 0, error
    from bmtas.cli.base import run_tool
    from bmtas.task_routing.extract_cli import main

    out = ['--out', str(tmp_path / 'o')]
    assert run_tool(main, [*routed, '--tasks', 'bull', *out]) == 2
    assert "unknown task 'bull'" in capsys.readouterr().err
    run('train', [str(shared), *work, '--cfg-options', 'train_cfg.max_iters=1', 'val_cfg=None',
                  'val_dataloader=None', 'val_evaluator=None'])  # fmt: skip
    capsys.readouterr()
    checkpoint = tmp_path / 'w' / 'iter_1.pth'
    assert run_tool(main, [str(shared), str(checkpoint), '--tasks', 'ball', *out]) == 2
    assert 'BranchedEncoder is not routed' in capsys.readouterr().err


def test_draws_are_uniform_over_labelled_tasks_and_a_function_of_position():
    rng = np.random.default_rng(0)
    found = np.bincount([_chosen([1, 4, 7], u) for u in rng.random(30000)], minlength=8)
    assert found[[1, 4, 7]] == pytest.approx(10000, abs=400) and found.sum() == 30000
    assert _chosen([], 0.5) is None
