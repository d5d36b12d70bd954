"""The task table: what an entry says once, what follows from it, every mistake as one line."""

import pytest
import torch
from mmengine.config import Config

from bmtas.evaluation import TaskMetric
from bmtas.kinds import Category, Classes, Depth, Mask, Normals, kind_names
from bmtas.registry import METRICS
from bmtas.tasks import MultiTaskSample, Task, TaskMaps, build_tasks, label_kinds


def one(**entry):
    return build_tasks(dict(thing=entry))[0]


@pytest.mark.parametrize(
    ('entry', 'channels', 'loss', 'score', 'higher'),
    [
        (dict(kind='classes', num_classes=21), 21, 'CrossEntropyLoss', 'mIoU', True),
        (dict(kind='mask'), 1, 'BalancedBCELoss', 'maxIoU', True),
        (dict(kind='depth'), 1, 'DepthL1Loss', 'rmse', False),
        (dict(kind='normals'), 3, 'NormalsL1Loss', 'mean', False),
        (dict(kind='category', num_classes=4), 4, 'CategoryLoss', 'accuracy', True),
        (dict(kind='normals', score='within_30'), 3, 'NormalsL1Loss', 'within_30', True),
        (dict(kind='mask', metric=dict(type='EdgeFMeasure')), 1, 'BalancedBCELoss', 'F', True),
    ],
)
def test_what_follows_from_kind_and_metric(entry, channels, loss, score, higher):
    task = one(**entry)
    assert (task.name, task.label, task.weight) == ('thing', 'thing', 1.0)
    assert (task.channels, task.loss['type']) == (channels, loss)
    assert (task.score, task.higher_is_better) == (score, higher)


def test_every_score_of_every_metric_has_a_direction():
    METRICS.import_from_location()
    lower = {'rmse', 'rmse_log', 'abs_rel', 'mean', 'median'}
    own = [m for m in METRICS.module_dict.values() if issubclass(m, TaskMetric)]
    assert len(own) >= 7
    for metric in own:
        assert metric.scores, metric
        for name, higher in metric.scores.items():
            assert higher == (name not in lower | {'mse'}), (metric, name)


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (dict(kind='clases', num_classes=2), "unknown kind 'clases'; did you mean 'classes'?"),
        (dict(), "entry 'thing' has no kind"),
        (dict(kind='classes'), "'classes' needs num_classes"),
        (dict(kind='classes', num_classes=0), 'num_classes must be a positive whole number'),
        (dict(kind='classes', num_clases=3), "no option 'num_clases'; did you mean 'num_classes'?"),
        (dict(kind='mask', wieght=3), "no option 'wieght'; did you mean 'weight'?"),
        (dict(kind='mask', channels=1), "no option 'channels'"),
        (dict(kind='mask', weight=-1.0), 'weight must be a finite number of at least 0, got -1.0'),
        (dict(kind='mask', weight='high'), "got 'high'"),
        (dict(kind='mask', weight=float('nan')), 'got nan'),
        (dict(kind='mask', score='mIuo'), "gives no score 'mIuo'; did you mean"),
        (dict(kind='mask', weight=float('inf')), 'got inf'),
        (dict(kind='mask', name='mask'), "its name is 'mask'; use one of the two"),
        (dict(kind=dict(type='mask'), wieght=3), "no option 'wieght'; did you mean 'weight'?"),
        (
            dict(kind=Depth(), wieght=3),
            "no key 'wieght' beside a built kind; did you mean 'weight'?",
        ),
        (dict(kind=3), '3 is no kind'),
        (dict(kind='depth', metric=dict(type=3)), '3 names no scores'),
        (dict(kind='depth', metric=dict(type='DephError')), "no metric 'DephError'; did you mean"),
        (dict(kind='depth', loss='DepthL1Loss'), 'tasks.thing.loss: must be a dict'),
        (dict(kind='depth', loss=dict(beta=1)), 'loss must be a dict with the key type'),
        (dict(kind='mask', head='wide'), 'tasks.thing.head: must be a dict'),
        (dict(kind='mask', label=3), 'tasks.thing.label: must be'),
        (dict(kind='depth', scale=0), 'scale must be positive'),
        (dict(kind='depth', scale='far'), "scale: must be a number, got 'far'"),
        (dict(kind='mask', ignore='void'), 'ignore: must be'),
        (dict(kind='classes', num_classes=3, remap=[1, 2]), 'remap: must be'),
        (dict(kind='normals', flip=2), 'flip: must be'),
        (
            dict(kind='depth', metric=dict(type='MeanIoU')),
            'MeanIoU is meant for kind classes, not for depth',
        ),
    ],
)
def test_mistakes_are_one_line_with_a_hint(entry, message):
    with pytest.raises(ValueError) as error:
        build_tasks(dict(thing=entry))
    assert message in str(error.value) and '\n' not in str(error.value)
    assert 'thing' in str(error.value)


def test_names():
    for name in ('keys', 'values', 'train', 'forward', 'half'):
        with pytest.raises(ValueError, match=f"'{name}' is taken by a method.*label='{name}'"):
            build_tasks({name: dict(kind='mask')})
    for name in ('a b', '3d', 'a.b'):
        with pytest.raises(ValueError, match='not an identifier'):
            build_tasks({name: dict(kind='mask')})
    with pytest.raises(ValueError, match="'semseg'"):
        build_tasks(dict(semseg=dict(kind='mask'), semsg=dict(weight=2)))


def test_lists_dicts_and_tasks_give_the_same():
    entry = dict(kind='classes', num_classes=3, weight=2.0)
    by_name = build_tasks(dict(a=entry, b=dict(kind='depth')))
    as_list = build_tasks([dict(entry, name='a'), Task('b', Depth())])
    assert by_name == as_list == build_tasks(by_name)
    with pytest.raises(ValueError, match="'a' is listed 2 times"):
        build_tasks([dict(entry, name='a')] * 2)
    for faulty in (entry, dict(entry, name=['a'])):
        with pytest.raises(ValueError, match='needs the key name'):
            build_tasks([faulty])
    with pytest.raises(ValueError, match="tasks.b: its name is 'a'"):
        build_tasks(dict(a=by_name[0], b=by_name[0]))
    with pytest.raises(ValueError, match='empty'):
        build_tasks(dict(a=None))


def test_a_child_config_changes_adds_and_removes_one_task(tmp_path):
    (tmp_path / 'base.py').write_text(
        "tasks = dict(a=dict(kind='classes', num_classes=3), b=dict(kind='mask', weight=5.0))\n"
    )
    (tmp_path / 'child.py').write_text(
        "_base_ = ['base.py']\ntasks = dict(a=None, b=dict(weight=2.0), c=dict(kind='depth'))\n"
    )
    tasks = build_tasks(Config.fromfile(tmp_path / 'child.py').tasks)
    assert [(t.name, str(t.kind), t.weight) for t in tasks] == [('b', 'mask', 2), ('c', 'depth', 1)]


def test_heads_are_merged_or_replaced():
    head = dict(type='DeepLabV3PlusHead', width=64, low_proj=48)
    assert one(kind='mask').head_config(head) == head
    assert one(kind='mask', head=dict(width=8)).head_config(head) == dict(head, width=8)
    pooled = one(kind='category', num_classes=2, head=dict(pool_size=7)).head_config(head)
    assert pooled == dict(type='PooledLinearHead', pool_size=7)
    own = one(kind='category', num_classes=2, head=dict(type='Own', depth=2)).head_config(None)
    assert own == dict(type='Own', depth=2)
    with pytest.raises(ValueError, match="model.head: missing, task 'thing' needs one"):
        one(kind='mask').head_config(None)


def test_data_sets_are_told_the_kinds():
    tasks = build_tasks(
        dict(
            seg=dict(kind='classes', num_classes=3, label='ids', ignore=[-1]),
            far=dict(kind='depth', scale=0.001),
            twin=dict(kind='depth', scale=0.001, label='far'),
        )
    )
    assert label_kinds(tasks) == dict(
        ids=dict(type='classes', num_classes=3, ignore=[-1]), far=dict(type='depth', scale=0.001)
    )
    with pytest.raises(ValueError, match="label 'ids' is classes for one task and mask"):
        label_kinds([tasks[0], Task('x', Mask(), label='ids')])


def test_data_sets_refuse_other_kinds():
    from bmtas.datasets import ShapeScenes

    ShapeScenes(labels=['semseg'], kinds=dict(semseg=dict(type='classes', num_classes=10)))
    for kind in (dict(type='classes', num_classes=11), dict(type='mask')):
        with pytest.raises(ValueError, match=r"label 'semseg' is classes \(10 channels\), the"):
            ShapeScenes(labels=['semseg'], kinds=dict(semseg=kind))


def test_label_container_takes_any_names():
    names = ['keys', 'values', 'items', 'to', 'get', 'update', 'semseg', 'a::b (c)']
    maps = TaskMaps({name: torch.full((2, 2), i) for i, name in enumerate(names)})
    sample = MultiTaskSample(labels=maps, metainfo=dict(img_id='1'))
    moved = sample.to(torch.float64).labels
    for i, name in enumerate(names):
        assert (sample.labels[name] == i).all() and moved[name].dtype == torch.float64
    assert list(sample.labels) == names and isinstance(moved, TaskMaps)
    with pytest.raises(KeyError, match='no map .*other'):
        sample.labels['other']


def test_kinds_of_the_package():
    assert {'classes', 'mask', 'depth', 'normals', 'category'} <= set(kind_names())
    for kind in (Classes(3), Mask(), Depth(scale=2.0), Normals(flip=(1, -1, 1)), Category(2)):
        assert type(kind)(**{k: v for k, v in kind.config().items() if k != 'type'}) == kind
