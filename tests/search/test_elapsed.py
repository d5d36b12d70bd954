"""Seconds of a training that was interrupted."""

import time

import pytest
from mmengine.hooks import Hook

from bmtas.engine import checkpoints_of
from bmtas.search.elapsed import ElapsedHook


class SlowUpdates(ElapsedHook):
    """Each update takes a tenth of a second more; the sixth of the first go is the last."""

    def __init__(self, stop):
        super().__init__()
        self.stop = stop

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        time.sleep(0.1)
        if runner.iter + 1 == self.stop:
            raise KeyboardInterrupt


class Begin(Hook):
    """When a training starts."""

    def before_train(self, runner):
        self.time = time.perf_counter()


def test_the_time_before_an_interruption_counts(train_config, run, tmp_path):
    options = {'default_hooks.checkpoint.interval': 4}
    first = SlowUpdates(6)
    with pytest.raises(KeyboardInterrupt):
        run(train_config, 'run', 'train', options, hooks=[first])
    spent = first.seconds
    assert [path.name for path in checkpoints_of(tmp_path / 'run')] == ['iter_4.pth']
    time.sleep(0.5)  # nobody trains
    clock, begin = SlowUpdates(0), Begin()
    runner = run(train_config, 'run', 'train', options, hooks=[clock, begin], resume=True)
    assert runner.iter == 8
    # updates 1 to 4 of the first go are added to 5 to 8 of this one; 5 and 6 count once
    earlier = clock.seconds - (time.perf_counter() - begin.time)
    assert 0.4 < earlier < spent - 0.2
