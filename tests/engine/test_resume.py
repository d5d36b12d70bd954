"""An interrupted and resumed run equals the uninterrupted one bit for bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from bmtas.engine.checkpoint import checkpoints_of
from bmtas.registry import HOOKS

# what may differ: clocks and paths
CLOCKS = {'time', 'data_time', 'eta', 'experiment_name', 'last_ckpt', 'cfg', 'best_ckpt'}


class Interrupt(Exception):
    """Stands for a kill."""


@HOOKS.register_module()
class InterruptHook(Hook):
    """Stops the process in the middle of an update."""

    def __init__(self, update: int) -> None:
        self.update = update

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.update:
            raise Interrupt


def comparable(value, key=''):
    """A checkpoint without clocks and paths, tensors as arrays."""
    if isinstance(value, dict):
        return {
            k: comparable(v, k)
            for k, v in value.items()
            if str(k).removeprefix('train/').removeprefix('val/') not in CLOCKS
        }
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def final_state(work_dir: Path) -> dict:
    checkpoint = torch.load(checkpoints_of(work_dir)[0], weights_only=True)
    return comparable(checkpoint)


def assert_equal(first, second, path='checkpoint'):
    assert type(first) is type(second), path
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            assert_equal(first[key], second[key], f'{path}.{key}')
    elif isinstance(first, list):
        assert len(first) == len(second), path
        for index, (a, b) in enumerate(zip(first, second)):
            assert_equal(a, b, f'{path}.{index}')
    else:
        assert first == second or (first != first and second != second), path


def interrupted(run, config, purpose, update, options):
    """Run until ``update``, then resume to the end."""
    stop = dict(options, custom_hooks=[dict(type='InterruptHook', update=update)])
    with pytest.raises(Interrupt):
        run(config, 'stopped', purpose, stop)
    return run(config, 'stopped', purpose, options, resume=True)


@pytest.mark.parametrize('update', [4, int(np.random.default_rng().integers(5, 14))])
def test_search_resumes_exactly(search_config, run, tmp_path, update):
    run(search_config, 'whole')
    resumed = interrupted(run, search_config, 'search', update, {})
    assert resumed.iter == 14
    assert_equal(final_state(tmp_path / 'whole'), final_state(tmp_path / 'stopped'))
    for name in ('history.jsonl', 'branching.json', 'alpha.json'):
        assert (tmp_path / 'whole' / name).read_text() == (tmp_path / 'stopped' / name).read_text()


@pytest.mark.slow
def test_search_resumes_exactly_with_workers(search_config, run, tmp_path):
    workers = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
    run(search_config, 'whole')
    interrupted(run, search_config, 'search', 8, workers)
    assert_equal(
        final_state(tmp_path / 'whole')['state_dict'],
        final_state(tmp_path / 'stopped')['state_dict'],
    )


def test_training_resumes_exactly(train_config, run, tmp_path):
    run(train_config, 'whole', 'train')
    interrupted(run, train_config, 'train', 7, {})
    assert_equal(final_state(tmp_path / 'whole'), final_state(tmp_path / 'stopped'))


def test_another_seed_is_refused(train_config, run):
    run(train_config, 'whole', 'train', {'train_cfg.max_iters': 3})
    with pytest.raises(ValueError, match='randomness.seed: 1'):
        run(train_config, 'whole', 'train', {'randomness.seed': 1}, resume=True)
