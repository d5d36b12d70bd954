"""Configs: every shipped one is complete, every mistake is one line with a hint."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from bmtas.engine.build import build_runner, use_autocast
from bmtas.engine.config import load_config
from bmtas.engine.train import run_training
from bmtas.registry import MODELS
from bmtas.resources import without_weights

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path
    for path in (ROOT / 'configs').glob('*/*.py')
    if not path.name.startswith('_') and path.parent.name != '_base_'
)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_config_is_complete(path, tmp_path, monkeypatch):
    cfg = load_config(path)
    assert cfg.work_dir == f'work_dirs/{path.parent.name}/{path.stem}'
    assert cfg.default_scope == 'bmtas'
    assert cfg.randomness.seed is not None
    if 'tasks' in cfg:
        assert cfg.model.tasks == cfg.tasks
        assert [metric['task'] for metric in cfg.val_evaluator] == list(cfg.tasks)
    # the copy that a run keeps says the same, and takes no second to write
    monkeypatch.setattr('mmengine.config.config.FormatCode', None, raising=False)
    cfg.dump(str(tmp_path / 'kept.py'))
    assert Config.fromfile(tmp_path / 'kept.py').to_dict() == cfg.to_dict()


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_config_builds_its_model(path):
    cfg = load_config(path)
    if 'model' not in cfg:
        pytest.skip('a strategy that needs no network')
    if cfg.model.get('encoder', {}).get('type') == 'BranchedEncoder':
        cfg.model.encoder.routes = cfg.model.encoder.get('routes') or 'separate'
    model = MODELS.build(without_weights(cfg.model))
    assert sum(p.numel() for p in model.parameters()) > 0


def write(tmp_path, text):
    path = tmp_path / 'c.py'
    path.write_text(text)
    return path


GOOD = f"_base_ = ['{ROOT}/configs/shared/mobilenetv2_shapescenes.py']\n"


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'default_scope': 'bmta'}, "default_scope: .* 'bmta'; did you mean 'bmtas'"),
        ({'optim_wraper.type': 'SGD'}, "optim_wraper: .* did you mean 'optim_wrapper'"),
        ({'model.encoder.routs': 'shared'}, "model.encoder.routs: BranchedEncoder .* 'routes'"),
        ({'model.head.withd': 64}, "model.head.withd: DeepLabV3PlusHead .* 'width'"),
        ({'model.encoder.type': 'BranchEncoder'}, "model.encoder.type: .* 'BranchedEncoder'"),
        ({'tasks.semseg.weigth': 2}, "'semseg': .*no option 'weigth'; did you mean 'weight'"),
        (
            {'tasks.semseg.loss.type': 'CrossEntropy'},
            "tasks.semseg.loss.type: .* 'CrossEntropyLoss'",
        ),
        ({'tasks.semseg.kind': 'class'}, "unknown kind 'class'"),
        ({'tasks.semsg.weight': 2}, "'semsg' has no kind.* did you mean 'semseg'"),
        ({'train_cfg.max_iter': 2}, "train_cfg.max_iter: .* 'max_iters'"),
        ({'train_dataloader.batchsize': 2}, "train_dataloader.batchsize: .* 'batch_size'"),
        ({'train_dataloader.sampler.sed': 2}, "sampler.sed: PositionSampler .* 'seed'"),
        ({'train_dataloader.dataset.pipeline.0.p': 2}, 'pipeline.0.p: RandomHorizontalFlip'),
        ({'param_scheduler.0.powr': 2}, "param_scheduler.0.powr: PolyLR .* 'power'"),
        ({'default_hooks.checkpoint.intervall': 2}, "intervall: CheckpointHook .* 'interval'"),
        ({'default_hooks.checkpoint.max_keep_ckpts': 1}, 'take 2 or more'),
        ({'randomness.sead': 2}, "randomness.sead: .* 'seed'"),
        ({'optim_wrapper.optimizer.momentun': 0.5}, "momentun: SGD .* 'momentum'"),
        ({'env_cfg.cudnn_bench': True}, "'cudnn_benchmark'"),
        ({'randomness': 3}, 'randomness: must be a dict'),
        ({'input_size': [180]}, 'input_size: must have 2 entries'),
        ({'input_size': [180, 0]}, 'input_size.1: must be at least 1'),
        ({'train_cfg.val_interval': 0}, 'train_cfg.val_interval: must be at least 1, got 0'),
        ({'train_cfg.max_iters': 'many'}, 'train_cfg.max_iters: must be a whole number'),
        ({'train_cfg.max_iters': 4e3}, 'train_cfg.max_iters: must be a whole number'),
        ({'train_dataloader.batch_size': 0}, 'train_dataloader.batch_size: must be at least 1'),
        ({'train_dataloader.num_workers': 'two'}, 'num_workers: must be a whole number'),
        ({'optim_wrapper.optimizer.lr': 'high'}, 'optimizer.lr: must be a number'),
        ({'optim_wrapper': 'dict(type=SGD)'}, 'give its entries one by one'),
        ({'model.encoder': 3}, 'model.encoder: must be a dict'),
        ({'model.encoder.backbone.type': 3}, 'backbone.type: must be the name of a model'),
        ({'model.type': 'os.system'}, "model.type: there is no model 'os.system'"),
        ({'default_hooks.loger.interval': 3}, "default_hooks.loger: did you mean 'logger'"),
        ({'resources.convention': 'macs'}, "resources.convention: 'macs' is none of"),
        ({'work_dir': 3}, 'work_dir: must be a text'),
        ({'optim_wrapper.accumulative_counts': 7}, 'must be a multiple of .*counts=7'),
        ({'optim_wrapper.accumulative_counts': 0}, 'accumulative_counts: must be at least 1'),
        ({'optim_wrapper.clip_grad.max_nrm': 1}, "clip_grad.max_nrm: .* 'max_norm'"),
        ({'optim_wrapper.clip_grad.max_norm': 0}, 'clip_grad.max_norm: must be greater than 0'),
        ({'optim_wrapper.paramwise_cfg': 3}, 'optim_wrapper.paramwise_cfg: must be a dict'),
        ({'optim_wrapper.optimizer.lr': -0.1}, 'optimizer.lr: must be at least 0'),
        ({'optim_wrapper.optimizer.weight_decay': -1}, 'weight_decay: must be at least 0'),
        ({'default_hooks.checkpoint.interval': 1.5}, 'checkpoint.interval: must be a whole'),
        ({'default_hooks.checkpoint.interval': -2}, 'checkpoint.interval: must be at least -1'),
        ({'default_hooks.checkpoint.save_best': 3}, 'checkpoint.save_best: must be a text'),
        ({'default_hooks.checkpoint.rule': 'bigger'}, "rule: 'bigger' is none of 'greater'"),
        ({'default_hooks.checkpoint.save_best': 'semseg/miou'}, "no score 'semseg/miou'; .*mIoU"),
        ({'default_hooks.checkpoint.save_best': ['semseg/mIoU', 'x']}, "no score 'x'"),
        ({'default_hooks.checkpoint.filename_tmpl': 'x_{}.pth'}, 'filename_tmpl: must be None'),
        ({'default_hooks.checkpoint.out_dir': '/x'}, 'checkpoint.out_dir: must be None'),
        ({'randomness.seed': 'abc'}, 'randomness.seed: must be a whole number'),
        ({'randomness.seed': 2**32}, 'randomness.seed: must lie in 0 to 4.29'),
        ({'log_processor.window_size': 'x'}, 'log_processor.window_size: must be a whole'),
        ({'log_level': 'LOUD'}, "log_level: 'LOUD' is none of 'DEBUG'"),
        ({'launcher': 'mpirun'}, "launcher: 'mpirun' is none of 'none', 'pytorch'"),
        ({'sync_bn': 'yes'}, "sync_bn: 'yes' is none of 'torch'"),
        ({'resources.quantity': 'watts'}, "resources.quantity: unknown 'watts'"),
        ({'model.head.low_proj': 0}, 'model.head.low_proj: must be at least 1'),
        ({'custom_imports': 'no_module'}, '--cfg-options custom_imports: .*no_module'),
        ({'model.cuda_graphs': True, 'compile': True}, 'model.cuda_graphs: .* with compile'),
        ({'model.cuda_graphs': 'yes'}, 'model.cuda_graphs: must be True or False'),
        ({'train_dataloader.dataset.pipeline.0': 5}, 'pipeline.0 must be a dict, got 5'),
        ({'train_dataloader.dataset.pipeline.x.p': 5}, 'pipeline is a list of .*, give the number'),
    ],
)
def test_mistakes_are_one_line_with_a_hint(tmp_path, options, message):
    with pytest.raises(ValueError, match=message) as error:
        load_config(write(tmp_path, GOOD), options)
    assert '\n' not in str(error.value)


def test_the_best_checkpoint_has_the_direction_of_its_score(tmp_path):
    def rule(best, given=None):
        options = {'default_hooks.checkpoint.save_best': best}
        if given:
            options['default_hooks.checkpoint.rule'] = given
        return load_config(write(tmp_path, GOOD), options).default_hooks.checkpoint.get('rule')

    assert rule('semseg/mIoU') == 'greater' and rule('depth/rmse') == 'less'
    assert rule(['depth/rmse', 'semseg/mIoU']) == ['less', 'greater']
    assert rule('semseg/mIoU', 'greater') == 'greater' and rule('auto') is None
    with pytest.raises(
        ValueError, match="rule: 'greater', but depth/rmse is better when it is lower"
    ):
        rule('depth/rmse', 'greater')


def test_tasks_of_a_list_go_by_name_or_number(tmp_path):
    listed = [dict(name=name, kind='depth') for name in ('near', 'far')]
    text = GOOD + f'tasks = dict(_delete_=True)\ntasks = {listed}\n'
    options = {'tasks.far.weight': 3.0, 'tasks.0.weight': 2.0}
    cfg = load_config(write(tmp_path, text), options)
    assert [cfg.tasks[name].weight for name in ('near', 'far')] == [2.0, 3.0]
    with pytest.raises(ValueError, match='tasks.fur.weight: tasks is a list of 2, give the number'):
        load_config(write(tmp_path, text), {'tasks.fur.weight': 3.0})


def test_options_reach_every_key(tmp_path):
    cfg = load_config(
        write(tmp_path, GOOD),
        {'tasks.semseg.weight': 3.0, 'randomness.seed': 7},
        work_dir='elsewhere',
    )
    assert cfg.model.tasks.semseg.weight == 3.0
    assert cfg.train_dataloader.dataset.augmentation_seed == 7
    assert cfg.work_dir == 'elsewhere'
    assert set(cfg.train_dataloader.dataset.labels) == set(cfg.tasks)


def test_data_root_reaches_data_sets_that_take_one(tmp_path):
    cfg = load_config(ROOT / 'configs/shared/mobilenetv2_tabletop.py', data_root='/data/here')
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        assert cfg[key].dataset.data_root == '/data/here'
    rendered = load_config(write(tmp_path, GOOD), data_root='/data/here')
    assert 'data_root' not in rendered.train_dataloader.dataset


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a = (\n', r'c.py:1: .*never closed'),
        ("_base_ = './none.py'\n", r'c.py: .*none.py'),
        ('a = 1 / 0\n', 'c.py: ZeroDivisionError'),
        ('tasks = []\n', 'tasks: the table is empty'),
    ],
)
def test_unreadable_configs(tmp_path, text, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_config(write(tmp_path, text))


def test_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.py does not exist'):
        load_config(tmp_path / 'none.py')


def test_helper_variables_are_allowed(tmp_path):
    assert load_config(write(tmp_path, GOOD + '_size = 3\n'))._size == 3


def test_yaml_and_json_are_data(tmp_path):
    base = ROOT / 'configs/shared/mobilenetv2_shapescenes.py'
    good = tmp_path / 'good.yaml'
    good.write_text(f'_base_: {base}\ntrain_cfg: {{max_iters: 7}}\n')
    assert load_config(good).train_cfg.max_iters == 7
    as_json = tmp_path / 'good.json'
    as_json.write_text('{"_base_": "good.yaml", "method": "mine"}')
    assert load_config(as_json).train_cfg.max_iters == 7
    (tmp_path / 'code.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")\n')
    run = f'!!python/object/apply:os.mkdir ["{tmp_path / "ran"}"]'
    for text in (
        f'a: {run}',
        '_base_: code.py',
        'custom_imports: {imports: [antigravity]}',
        'custom_imports: antigravity',
        'custom_imports: {imports: [[antigravity]]}',
        f'_base_: {base}\nmodel: {{type: os.mkdir, path: {tmp_path / "ran"}}}',
        '- 3',
        'a: [',
        '[' * 5000,
    ):
        bad = tmp_path / 'bad.yaml'
        bad.write_text(text)
        with pytest.raises(ValueError, match='bad.yaml') as error:
            load_config(bad)
        assert '\n' not in str(error.value)
        assert not (tmp_path / 'ran').exists()


def test_the_data_below_a_python_config_is_data(tmp_path):
    run = f'!!python/object/apply:os.mkdir ["{tmp_path / "ran"}"]'
    (tmp_path / 'base.yaml').write_text(f'method: {run}\n')
    with pytest.raises(ValueError, match='c.py: .*could not determine a constructor'):
        load_config(write(tmp_path, "_base_ = './base.yaml'\n"))
    assert not (tmp_path / 'ran').exists()


def test_no_workers_need_no_persistence(tmp_path):
    cfg = load_config(write(tmp_path, GOOD), {'train_dataloader.num_workers': 0})
    assert 'persistent_workers' not in cfg.train_dataloader
    assert load_config(write(tmp_path, GOOD)).train_dataloader.persistent_workers


def test_amp_replaces_no_other_wrapper(tmp_path):
    cfg = load_config(write(tmp_path, GOOD))
    use_autocast(cfg)
    assert cfg.optim_wrapper.type == 'AutocastOptimWrapper'
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    with pytest.raises(ValueError, match='--amp: would replace optim_wrapper.type=AmpOptimW'):
        use_autocast(cfg)


def test_threads_of_a_run(tmp_path):
    before = torch.get_num_threads()
    cfg = load_config('shared/conv4_shapescenes', {'env_cfg.num_threads': 3}, None, tmp_path)
    try:
        build_runner(cfg, 'train')
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_training_refuses_the_config_of_a_search():
    with pytest.raises(ValueError, match='conv4_shapescenes.py: is the config of a search'):
        run_training(load_config(ROOT / 'configs/bmtas/conv4_shapescenes.py'))
