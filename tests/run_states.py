"""Runs that stop half-way, and comparing what runs leave behind."""

from pathlib import Path

import torch
from mmengine.hooks import Hook

from bmtas.engine.checkpoint import checkpoints_of

# what may differ: clocks, the name of the run, the commit
CLOCKS = {'time', 'data_time', 'eta', 'experiment_name', 'cfg', 'run', 'mmengine_version'}


class Interrupt(Exception):
    """Stands for a kill."""


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
