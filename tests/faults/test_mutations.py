"""Every reader against damaged files: it reads what is right, or one line says which file is not.

A traceback of another kind, a message without the file's name and a wrong acceptance are failures.
"""

import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from mutations import WEIRD, mutated
from PIL import Image
from tiny import write_config

from bmtas.apis.sweep import Point
from bmtas.branching import BranchingTree
from bmtas.datasets.files import read_array, read_split
from bmtas.engine.checkpoint import find_resumable
from bmtas.engine.config import load_config
from bmtas.engine.identity import identity_of, pack
from bmtas.engine.train import run_training
from bmtas.engine.work_dir import VERSION, WorkDir
from bmtas.evaluation import load_results
from bmtas.files import write_json
from bmtas.ncp.codes import NetworkCode, read_code
from bmtas.ncp.data import RecordTable
from bmtas.resources import Costs, ResourceTable
from bmtas.sealed import load_state, save_state
from bmtas.search.affinity_file import read_affinity
from bmtas.search.front import Front
from bmtas.search.gradient import append_history, read_history
from bmtas.search.row import Row
from bmtas.search.tree_table import TreeTable
from bmtas.sharing.delta_file import read_delta, write_delta
from bmtas.sharing.thresholds import Thresholds, load_thresholds
from bmtas.task_routing.mask_table import MaskTable

USER_ERRORS = (ValueError, FileNotFoundError, OSError)
TABLE = ResourceTable(
    stem=5,
    layers=(10, 20),
    heads={'a': 3, 'b': 4},
    layer_names=('one', 'two'),
    unit='MAdds',
    convention='mac',
    input_size=(8, 8),
    backbone='abc',
    params=Costs(1, (2, 3), {'a': 1, 'b': 1}),
)
TREE = BranchingTree.from_routes([[0, 0], [0, 1]], ['a', 'b'], ['one', 'two'])
CODE = [16, 64, 1, 3, 128, 3, 3, 3, 32, 48, 2, 2, 3, 2, 16, 32, 16, 1, 2, 4, 1, 1]
CODE += [96, 112, 48, 80, 112]
IMAGES = ['2008_000002', 'ä/b']
STATE = {'meta': {'iter': 3}, 'state_dict': {'w': torch.arange(40.0)}}


def branching(path):
    TREE.to_file(path, TABLE)


def check_branching(path):
    tree = BranchingTree.from_file(path, ['a', 'b'], 2)
    assert tree.routes.shape == (2, 2) and tree.routes.min() >= 0
    assert list(tree.tasks) == ['a', 'b']


def table(path):
    TABLE.to_file(path)


def check_table(path):
    assert ResourceTable.from_file(path) == TABLE


def results(path):
    names = dict.fromkeys('ab', 'mIoU')
    scores = dict(a=50.0, b=60.0)
    write_json(
        path, dict(scores=scores, score_names=names, higher_is_better=dict.fromkeys('ab', True))
    )


def check_results(path):
    content = load_results(path)
    for task, score in content['scores'].items():
        assert isinstance(score, (int, float)) and math.isfinite(score)
        assert not isinstance(score, bool)
        assert isinstance(content['score_names'][task], str)
        assert isinstance(content['higher_is_better'][task], bool)


def history(path):
    for update in range(3):
        append_history(path, dict(update=update, losses=dict(loss_a=1.0)))


def check_history(path):
    assert all(isinstance(row['update'], int) for row in read_history(path))


def checkpoint(path):
    save_state(path, STATE)


def check_checkpoint(path):
    state = load_state(path)
    assert torch.equal(state['state_dict']['w'], STATE['state_dict']['w'])


def foreign_checkpoint(path):
    torch.save(STATE, path)


def check_resumable(path):
    newest = path.with_name('iter_7.pth')
    newest.write_bytes(path.read_bytes())
    save_state(path.with_name('iter_5.pth'), STATE)
    found, notes = find_resumable(path.parent)
    assert found.name in ('iter_5.pth', 'iter_7.pth')
    if found.name == 'iter_5.pth':
        assert len(notes) == 1 and 'iter_7.pth' in notes[0] and '\n' not in notes[0]
    newest.unlink()


def split(path):
    path.write_text('img_1\nimg_2\nimg_3\n')


def check_split(path):
    ids = read_split(path)
    assert ids and len(set(ids)) == len(ids)
    for name in ids:
        assert '..' not in name.split('/') and not name.startswith('/') and '\0' not in name


def label_npy(path):
    with open(path, 'wb') as stream:
        np.save(stream, np.arange(12.0).reshape(3, 4))


def label_png(path):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path, format='png')


def check_label(path):
    array = read_array(path)
    assert array.dtype.kind in 'buif' and 0 < array.size < 10**9


def code(path):
    write_json(path, {'chosen': {'code': CODE}})


def check_code(path):
    assert all(isinstance(value, int) for value in read_code(path, NetworkCode.parse))


def records(path):
    columns = {'madds_g': np.array([1.0, 2.0]), 'mIoU': np.array([50.0, 60.0])}
    RecordTable(np.array([[1, 2], [3, 4]]), columns).to_json(path)


def check_records(path):
    found = RecordTable.from_file(path)
    assert found.codes.ndim == 2
    assert all(len(column) == len(found.codes) for column in found.columns.values())


def affinity(path):
    write_json(
        path, dict(version=1, tasks=['a', 'b'], locations=['x'], affinity=[[[1, 0], [0, 1]]])
    )


def check_affinity(path):
    found = read_affinity(path, ['a', 'b'])
    assert found.shape[1:] == (2, 2) and np.isfinite(found).all()


def identity(path):
    cfg = {'model': {'type': 'A', 'width': 3}, 'tasks': ['a']}
    images = {'train_dataloader.dataset': pack(IMAGES)}
    write_json(path, dict(version=VERSION, run='r', identity=identity_of(cfg), images=images))
    (path.parent / 'iter_1.pth').touch()  # a run that has work to lose


def check_identity(path):
    claim = WorkDir(path.parent)
    try:
        claim.claim(
            {'model': {'type': 'A', 'width': 3}, 'tasks': ['a']},
            resume=True,
            images={'train_dataloader.dataset': IMAGES},
        )
        assert isinstance(claim.run, str)
    finally:
        claim.release()


def config_file(path):
    write_json(path, dict(method='mine', train_cfg=dict(type='PositionTrainLoop', max_iters=3)))


def check_config_file(path):
    load_config(path)


def front(path):
    Front((TREE.shared(2, 'ab', TABLE.layer_names), TREE), (42, 62), (0.5, 0.25), 's').to_file(
        path, TABLE
    )


def check_front(path):
    found = Front.from_file(path, TABLE)
    assert [tree.cost(TABLE) for tree in found.trees] == list(found.costs)
    assert all(isinstance(score, (int, float)) for score in found.scores)


def masks(path):
    rows = np.array([[True, False, True, True], [False, False, True, False]])
    MaskTable(('a', 'b'), {'one': rows}, 'random', 0, 0.5).to_file(path)


def check_masks(path):
    found = MaskTable.from_file(path)
    assert all(mask.shape[0] == len(found.tasks) for mask in found.layers.values())
    assert isinstance(found.seed, int) and isinstance(found.keep_ratio, float)


def thresholds(path):
    Thresholds({'task': {'a': {'layers.0': 0.5}}}, False, 'abc').save(path)


def check_thresholds(path):
    found = load_thresholds(str(path))
    assert isinstance(found.rows, bool) and isinstance(found.network, str)


DELTA = {'encoder.deltas.a.w.delta': torch.tensor([0, 1.5, 0, 2]), 'heads.a.b': torch.ones(2, 3)}
DELTA['encoder.deltas.a.w.support'] = DELTA['encoder.deltas.a.w.delta'] > 0


def delta(path):
    write_delta(path, DELTA, 'a', 'abc', dict(delta='sparse'))


def check_delta_file(path):
    header, state = read_delta(path)
    assert header['task'] == 'a' and header['base'] == 'abc'
    assert state.keys() == DELTA.keys()
    assert all(torch.equal(DELTA[name], value) for name, value in state.items())


def tree_table(path):
    routes = np.array([[[0, 0], [0, 0]], [[0, 0], [0, 1]]])
    losses = np.zeros((2, 1, 1, 2), np.float32)
    costs, names = np.array([10.0, 20.0]), ('a', 'b')
    TreeTable(names, routes, costs, 5.0, np.ones(1), losses, losses[:, :, 0]).save(path)


def check_tree_table(path):
    found = TreeTable.load(path)
    assert found.routes.shape == (2, 2, 2) and found.fixed_cost == 5


def point(path):
    Point('a=1', str(path.parent), 'mine', None, 'c.py', ('a=1',), (), (), None).to_file()


def check_point(path):
    assert isinstance(Point.from_folder(path.parent).train, str)


def row(path):
    Row(((0, 0), (0, 1)), 5, 0).to_file(path)


def check_row(path):
    found = Row.from_file(path)
    assert isinstance(found.updates, int) and isinstance(found.seed, int)


READERS = {
    'branching.json': (branching, check_branching),
    'resources.json': (table, check_table),
    'results.json': (results, check_results),
    'history.jsonl': (history, check_history),
    'own.pth': (checkpoint, check_checkpoint),
    'foreign.pth': (foreign_checkpoint, check_checkpoint),
    'resumed.pth': (checkpoint, check_resumable),
    'split.txt': (split, check_split),
    'label.npy': (label_npy, check_label),
    'label.png': (label_png, check_label),
    'code.json': (code, check_code),
    'records.json': (records, check_records),
    'affinity.json': (affinity, check_affinity),
    'run.json': (identity, check_identity),
    'config.json': (config_file, check_config_file),
    'front.json': (front, check_front),
    'masks.json': (masks, check_masks),
    'thresholds.json': (thresholds, check_thresholds),
    'a.delta': (delta, check_delta_file),
    'trees.npz': (tree_table, check_tree_table),
    'point.json': (point, check_point),
    'row.json': (row, check_row),
}


def assert_one_line(error, name):
    text = str(error)
    assert name in text, f'the message does not name {name}: {text}'
    assert '\n' not in text, text


def run_mutations(name, tmp_path_factory, examples):
    folder = tmp_path_factory.mktemp('mutations')
    path = folder / name
    make, check = READERS[name]
    make(path)
    check(path)
    good = path.read_bytes()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(good))
    def attack(content):
        path.write_bytes(content)
        try:
            check(path)
        except USER_ERRORS as error:
            assert_one_line(error, name)

    attack()


@pytest.mark.parametrize('name', READERS)
def test_some_mutations(name, tmp_path_factory):
    run_mutations(name, tmp_path_factory, 8)


@pytest.mark.slow
@pytest.mark.parametrize('name', READERS)
def test_many_mutations(name, tmp_path_factory):
    run_mutations(name, tmp_path_factory, 80)


OF_TWO_UPDATES = 'train_cfg = dict(max_iters=2)\nval_cfg = None\n'
OPTIONS = [
    *('tasks', 'tasks.semseg', 'tasks.semseg.kind', 'tasks.semseg.weight', 'tasks.semseg.loss'),
    *('tasks.semseg.loss.type', 'tasks.semseg.metric', 'input_size', 'model', 'model.type'),
    *('model.encoder', 'model.encoder.type', 'model.encoder.backbone', 'model.head.width'),
    *('model.encoder.backbone.arch', 'model.encoder.backbone.output_stride', 'model.head'),
    *('train_dataloader', 'train_dataloader.batch_size', 'train_dataloader.num_workers'),
    *('train_dataloader.dataset', 'train_dataloader.dataset.type', 'train_dataloader.sampler'),
    *('train_dataloader.dataset.pipeline', 'train_dataloader.dataset.pipeline.0'),
    *('train_cfg', 'train_cfg.type', 'train_cfg.max_iters', 'train_cfg.val_interval'),
    *('train_cfg.order', 'val_cfg', 'optim_wrapper', 'optim_wrapper.optimizer'),
    *('optim_wrapper.optimizer.lr', 'optim_wrapper.clip_grad', 'optim_wrapper.constructor'),
    *('param_scheduler', 'param_scheduler.0', 'param_scheduler.0.power', 'default_hooks'),
    *('default_hooks.checkpoint', 'default_hooks.checkpoint.interval', 'custom_hooks'),
    *('default_hooks.checkpoint.max_keep_ckpts', 'randomness', 'randomness.seed', 'env_cfg'),
    *('log_processor', 'visualizer', 'work_dir', 'load_from', 'resume', 'launcher', 'search'),
    *('search.type', 'resources', 'resources.quantity', 'sync_bn', 'custom_imports', 'method'),
    *('a.b.c', '', '.', 'tasks.9', 'default_scope', 'data_root', 'compile', 'compile.mode'),
    *('optim_wrapper.clip_grad.max_norm', 'optim_wrapper.clip_grad.norm', 'model.head.low_proj'),
    *('optim_wrapper.accumulative_counts', 'optim_wrapper.paramwise_cfg', 'log_level'),
    *('optim_wrapper.optimizer.weight_decay', 'optim_wrapper.optimizer.momentum'),
    *('default_hooks.checkpoint.save_best', 'default_hooks.checkpoint.rule', 'env_cfg.mp_cfg'),
    *('default_hooks.logger.interval', 'log_processor.window_size', 'activation_checkpointing'),
    *('train_dataloader.dataset.size', 'train_dataloader.dataset.length', 'param_scheduler.0.end'),
    *('train_dataloader.dataset.seed', 'train_dataloader.dataset.split', 'visualizer.name'),
    *('model.encoder.backbone.aspp.channels', 'model.encoder.backbone.layers', 'experiment_name'),
]


VALUES = [*WEIRD, -0.5, 'high', 1.5, 'dict(a=1)', float('nan'), [180], ['a', 'b'], 'none', 1, 2]


def started(config, work_dir):
    """Run a config for a few updates: an option that is found wrong only then is wrong, too."""
    for singleton in (MMLogger, MessageHub, Visualizer, DefaultScope):
        singleton._instance_dict.clear()
    config.work_dir, config.overwrite = str(work_dir), True
    run_training(config)


def run_options(examples, tmp_path):
    config = write_config(tmp_path / 'tiny.py', 'shared', 'retrain_short', OF_TWO_UPDATES)

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(OPTIONS), st.sampled_from(VALUES))
    def attack(key, value):
        note(f'--cfg-options {key}={value!r}')
        try:
            started(load_config(config, {key: value}), tmp_path / 'run')
        except USER_ERRORS as error:
            text = str(error)
            assert '\n' not in text, text
            assert re.search(r'tiny\.py|--cfg-options|^update \d', text), text

    attack()


def test_some_options(tmp_path):
    run_options(15, tmp_path)


@pytest.mark.slow
def test_many_options(tmp_path):
    run_options(120, tmp_path)


def test_json_that_is_deep_is_one_line(tmp_path):
    (tmp_path / 'iter_1.pth').touch()
    for name in ('branching.json', 'results.json', 'run.json', 'config.json', 'code.json'):
        path = tmp_path / name
        path.write_text('[' * 100_000)
        with pytest.raises(ValueError, match=name) as caught:
            READERS[name][1](path)
        assert_one_line(caught.value, name)
        assert json.dumps(str(caught.value))
        path.unlink()
