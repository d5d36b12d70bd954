"""The experiments of the paper, key by key: section 4 and appendix A of BMTAS (BMVC 2020)."""

from pathlib import Path

import pytest

from bmtas.engine.config import load_config
from bmtas.registry import STRATEGIES
from bmtas.search.gradient import ResourceLoss, SearchSchedule, split_indices
from bmtas.tasks import build_tasks

ROOT = Path(__file__).resolve().parents[2]
ARCHS = {
    # batch size, torchvision's name, width of the decoder, separable convolutions in it
    'mobilenetv2': (16, 'mobilenet_v2', 128, True),
    'resnet50': (8, 'resnet50', 256, False),
}
DATA = {
    # evaluation size, training crop, crop of the search, factor of the search, updates
    'pascal': ((512, 512), 512, 256, 1 / 2, 40000),
    'nyud': ((425, 560), (425, 560), (280, 376), 2 / 3, 20000),
}
TASKS = {
    # channels, weight, loss, score, is higher better
    'pascal': {
        'semseg': (21, 1, 'CrossEntropyLoss', 'mIoU', True),
        'human_parts': (7, 2, 'CrossEntropyLoss', 'mIoU', True),
        'sal': (1, 5, 'BalancedBCELoss', 'maxIoU', True),
        'normals': (3, 10, 'NormalsL1Loss', 'mean', False),
        'edge': (1, 50, 'WeightedBCELoss', 'odsF', True),
    },
    'nyud': {
        'semseg': (40, 1, 'CrossEntropyLoss', 'mIoU', True),
        'depth': (1, 1, 'DepthL1Loss', 'rmse', False),
        'normals': (3, 10, 'NormalsL1Loss', 'mean', False),
        'edge': (1, 50, 'WeightedBCELoss', 'odsF', True),
    },
}
EDGE = {'pascal': (0.95, 0.0075), 'nyud': (0.8, 0.011)}
ENCODERS = dict(
    bmtas='SupergraphEncoder',
    branched='BranchedEncoder',
    single='SingleTaskEncoder',
    shared='BranchedEncoder',
)
SGD = dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4)
POLY = [dict(type='PolyLR', power=0.9, by_epoch=False)]


def load(kind, arch, data):
    return load_config(ROOT / 'configs' / kind / f'{arch}_{data}.py')


def steps(cfg):
    return {step.type: step for step in cfg.train_dataloader.dataset.pipeline}


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('kind', ENCODERS)
def test_what_all_experiments_share(kind, arch, data):
    cfg = load(kind, arch, data)
    batch, name, width, separable = ARCHS[arch]
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.model.encoder.type == ENCODERS[kind]
    backbone, head = cfg.model.encoder.backbone, cfg.model.head
    assert (backbone.arch, backbone.output_stride, backbone.weights) == (name, 16, 'imagenet')
    assert (head.width, head.low_proj, head.separable) == (width, 48, separable)
    assert cfg.model.data_preprocessor.normalize == 'unit'  # intensities in [-1, 1]
    found = {
        task.name: (
            task.channels,
            task.weight,
            task.loss['type'],
            task.score,
            task.higher_is_better,
        )
        for task in build_tasks(cfg.tasks)
    }
    assert found == TASKS[data] and list(found) == list(TASKS[data])
    edge = cfg.tasks.edge
    assert (edge.loss.pos_weight, edge.metric.tolerance) == EDGE[data]
    assert tuple(cfg.input_size) == DATA[data][0] and cfg.resources.convention == 'paper'
    assert steps(cfg)['RandomScale'].scales == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert steps(cfg)['RandomHorizontalFlip'] == dict(type='RandomHorizontalFlip')


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('arch', ARCHS)
@pytest.mark.parametrize('kind', ['branched', 'single', 'shared'])
def test_training(kind, arch, data):
    cfg = load(kind, arch, data)
    assert cfg.train_cfg.type == 'PositionTrainLoop'
    assert cfg.train_cfg.max_iters == DATA[data][4]
    assert cfg.optim_wrapper.optimizer == SGD
    assert cfg.param_scheduler == POLY
    # the rate of a shared operation is divided by the number of its tasks
    assert cfg.optim_wrapper.constructor == 'SharedLRConstructor'
    assert cfg.optim_wrapper.get('paramwise_cfg') is None
    assert steps(cfg)['RandomCrop'].size == DATA[data][1] and 'Resize' not in steps(cfg)
    assert cfg.model.encoder.get('routes') == ('shared' if kind == 'shared' else None)


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('arch', ARCHS)
def test_search(arch, data):
    cfg = load('bmtas', arch, data)
    _, _, crop, factor, updates = DATA[data]
    # what the config leaves open is the paper's by default
    search = STRATEGIES.build(cfg.search)
    loop = search.loop
    assert (loop['type'], loop['warmup_updates']) == ('BranchingSearchLoop', 2000)
    assert (loop['weight_updates'], loop['alpha_fraction']) == (updates, 0.2)
    # one task after the other, relaxed samples, cycles of one pass over each part
    assert not loop['joint'] and not loop['hard']
    assert loop['alpha_phase'] is None and loop['weight_phase'] is None
    weights, alpha = cfg.optim_wrapper.weights, cfg.optim_wrapper.alpha
    assert weights.optimizer == SGD
    assert alpha.optimizer == dict(type='Adam', lr=0.01, weight_decay=5e-5)
    assert cfg.param_scheduler == dict(weights=POLY, alpha=[])
    temperature = search.hooks['GumbelTemperatureHook']
    assert (temperature.start, temperature.end, temperature.by) == (5.0, 0.1, 'update')
    assert 'ResetBatchNormHook' in search.hooks
    assert search.hooks['ResetOptimizerStateHook'].resets == dict(weights=True, alpha=False)
    assert 'custom_hooks' not in cfg
    assert loop['resource_loss'] == dict(weight=0.1)
    assert ResourceLoss(0.1).mode == 'exact'
    assert steps(cfg)['RandomCrop'].size == crop
    resize = cfg.train_dataloader.dataset.pipeline[0]
    assert resize.type == 'Resize' and resize.factor == factor
    # costs are those of the network at full size
    assert tuple(cfg.input_size) == DATA[data][0]


@pytest.mark.parametrize('kind', ENCODERS)
def test_files_hold_what_differs_only(kind):
    for arch in ARCHS:
        for data in DATA:
            text = (ROOT / 'configs' / kind / f'{arch}_{data}.py').read_text()
            assert len(text.splitlines()) <= 14
            assert 'momentum' not in text and 'pipeline' not in text


def test_published_totals_of_updates():
    """50,000 updates of PASCAL-Context, 25,000 of NYUD-v2, alpha's included, warm-up apart."""

    for data, images, batch, total in (('pascal', 4998, 16, 50000), ('nyud', 795, 8, 25000)):
        alpha, weights = (len(part) // batch for part in split_indices(images, 0.2, 0))
        schedule = SearchSchedule(2000, DATA[data][4], alpha, weights)
        assert schedule.total - 2000 == pytest.approx(total, rel=0.01)
