"""What a library says when a part of a config is built: one line with file, full key and remedy.

Every class that the shipped configs name is built with one argument changed to a value that the
check of the config lets through: it is built, or one line says where and what to do.
"""

import copy
import random
import re

import pytest
import torch
from tiny import SEARCH, TRAIN, write_config

from bmtas.engine.building import building, explained
from bmtas.engine.config import load_config
from bmtas.engine.config_check import REGISTRY_OF_KEY, check_config
from bmtas.engine.shipped import config_names, find_config
from bmtas.tasks import build_tasks
from bmtas.typed import accepted_arguments, check_value

VALUES = [-1, 0, 1, 2, 7, -0.5, 0.5, 1.5, True, None, '', 'x', [], [1], ['x'], [0, 'x'], {}]
VALUES += [{'a': 1}, {'type': 'x'}, [[1]], [{}], (3, 4), -7, 'none']
REMEDY = re.compile(
    r'give|take|choose|must|need|remove|did you mean|known: |at least|is none of|lie in|set '
    r'|there is no|has no|together|cannot be reached|outside of|unknown|get it|train it|lay it out'
)
# need a runner, or the parts that they belong to
NOT_ALONE = ('loop', 'function', 'optim wrapper')


def typed_parts(node, found_in, path):
    """(path, node, registry) of every dict(type=...) that a registry builds."""
    if isinstance(node, dict):
        if 'type' in node and found_in is not None:
            yield path, node, found_in
        for key, value in node.items():
            yield from typed_parts(value, REGISTRY_OF_KEY.get(key, found_in), f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from typed_parts(value, found_in, f'{path}.{index}')


def parts_of(cfg):
    for key in cfg:
        if not key.startswith('_'):
            yield from typed_parts(cfg[key], REGISTRY_OF_KEY.get(key), key)


def shipped_parts():
    """One place for every class that the shipped configs name: (config, path, registry)."""
    parts = {}
    for name in config_names():
        cfg = load_config(find_config(name))
        for path, node, found_in in parts_of(cfg):
            if found_in.name not in NOT_ALONE:
                parts.setdefault((found_in.name, node['type']), (cfg, path, found_in))
    return parts.values()


def entry(cfg, path):
    node = cfg
    for key in path.split('.'):
        node = node[int(key)] if isinstance(node, (list, tuple)) else node[key]
    return node


def from_outside(cfg, path, found_in, target):
    """What the code that builds a part adds to what the config says."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    by_registry = {
        'optimizer': dict(params=weights),
        'parameter scheduler': dict(optimizer=torch.optim.SGD(weights, lr=0.1, momentum=0.9)),
        'vis_backend': dict(save_dir='.'),
    }
    added = by_registry.get(found_in.name, {})
    offered = dict(tasks=['a', 'b'], deep_channels=8, low_channels=4, out_channels=3, end=999)
    offered |= dict(in_channels=8, dataset=[0, 1, 2], base=torch.zeros(4, 4), name='x')
    if path.startswith('tasks.'):
        task = next(t for t in build_tasks(cfg.tasks) if t.name == path.split('.')[1])
        offered |= dict(kind=task.kind, task=task.name)
    accepted, part = accepted_arguments(target) or {}, entry(cfg, path)
    return added | {k: v for k, v in offered.items() if k in accepted and k not in part}


def build(cfg, path, found_in):
    """Check a config and build the part at a path, as the tools do."""
    check_config(cfg)
    part = copy.deepcopy(dict(entry(cfg, path)))  # a visualizer changes what it is built from
    target = found_in.get(part['type'])
    with building(cfg, path.split('.')[0]):
        found_in.build(dict(part, **from_outside(cfg, path, found_in, target)))


def assert_helpful(error, cfg, path):
    """One line: the file where it is not the check's, the path of the part, what to do."""
    text = str(error)
    assert '\n' not in text
    assert re.match(rf'({re.escape(str(cfg.filename))}: )?({re.escape(path)}|tasks)\b', text), text
    assert REMEDY.search(text), text


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp('build')
    training = write_config(folder / 'training.py', 'shared', 'retrain_short', TRAIN)
    search = write_config(folder / 'search.py', 'supergraph', 'search_short', SEARCH)
    return load_config(training), load_config(search)


@pytest.mark.parametrize(
    ('path', 'argument', 'value', 'message'),
    [
        ('param_scheduler.0', 'end', -1, 'param_scheduler.0.*: end should be .*PolyLR takes'),
        ('param_scheduler.0', 'param_name', 'lr', 'param_name: .* sets it itself, remove it'),
        (
            'model.encoder.backbone',
            'aspp',
            {'a': 1},
            "aspp.a: .* 'a'; remove it; known: .*channels",
        ),
        ('model.encoder', 'routes', {'a': 1}, 'routes: config is missing; give the table'),
        ('train_dataloader.dataset', 'pipeline', [{}], 'pipeline.0: lacks the key type'),
        ('train_dataloader.dataset', 'size', 7, 'size: must lie in 32 to 1024, got 7'),
        ('train_dataloader.dataset.pipeline.0', 'prob', 2, r'prob.*must be in \[0, 1\]'),
        ('default_hooks.logger', 'interval_exp_name', -1, 'interval_exp_name: .*greater than 0'),
        ('visualizer.vis_backends.0', 'config_save_file', 'x', 'LocalVisBackend takes save_dir'),
        ('tasks.semseg.metric', 'kind', 'x', "unknown kind 'x'; known: category, classes"),
    ],
)
def test_key_and_remedy(tiny, path, argument, value, message, monkeypatch):
    cfg = tiny[0]
    found_in = next(found_in for place, _, found_in in parts_of(cfg) if place == path)
    monkeypatch.setitem(entry(cfg, path), argument, value)
    with pytest.raises(ValueError, match=message) as caught:
        build(cfg, path, found_in)
    assert_helpful(caught.value, cfg, path)


def test_the_config_is_found_where_it_was_used(tiny):
    """A tool that builds a part on its own: the error is explained by the config in its hands."""

    def tool(cfg):
        optimizer = dict(cfg.optim_wrapper.alpha.optimizer, params=[torch.zeros(1)])
        torch_optimizers = REGISTRY_OF_KEY['optimizer']
        torch_optimizers.build(dict(optimizer))

    cfg = tiny[1]
    cfg.optim_wrapper.alpha.optimizer.betas = (3, 4)
    with pytest.raises(ValueError) as caught:
        tool(cfg)
    text = str(explained(caught.value))
    assert f'{cfg.filename}: optim_wrapper.alpha.optimizer.betas: Invalid beta' in text
    assert 'Adam takes betas as' in text


def mutations(cfg, path, found_in, chance):
    """(argument, value) that the types of a class allow, two for each argument."""
    target = found_in.get(entry(cfg, path)['type'])
    for argument, hint in (accepted_arguments(target) or {}).items():
        fitting = []
        for value in VALUES:
            try:
                check_value(value, hint, '')
                fitting.append(value)
            except ValueError:
                continue
        for value in chance.sample(fitting, min(2, len(fitting))):
            yield argument, value


def outcome(cfg, path, found_in, faulty):
    """Build; a message that is not helpful is added to the faulty ones. Returns the error."""
    try:
        build(cfg, path, found_in)
    except (ValueError, FileNotFoundError) as error:
        try:
            assert_helpful(error, cfg, path)
        except AssertionError:
            faulty.append(f'{path} {entry(cfg, path)}: {error}')
        return error


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_class_of_the_shipped_configs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance, tried, faulty = random.Random(0), 0, []
    for cfg, path, found_in in shipped_parts():
        node = entry(cfg, path)
        whole = dict(node)
        if outcome(cfg, path, found_in, faulty):  # its data or a file of an earlier run is absent
            continue
        for argument, value in mutations(cfg, path, found_in, chance):
            node[argument] = value
            outcome(cfg, path, found_in, faulty)
            node.clear()
            node.update(whole)
            tried += 1
    assert tried > 500
    assert not faulty, '\n'.join(faulty)
