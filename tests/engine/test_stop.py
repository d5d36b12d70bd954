"""Which signals a run notes; workers that do not listen to them end all the same."""

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from tiny import TRAIN, write_config

from bmtas.engine import load_config, run_training
from bmtas.engine.stop import StopRequest

LEFT_AT_EXIT = """
import torch
from bmtas.engine.stop import DeafWorker

data = torch.utils.data.TensorDataset(torch.arange(8))
loader = torch.utils.data.DataLoader(data, num_workers=2, persistent_workers=True)
loader.worker_init_fn = DeafWorker(loader.worker_init_fn)
kept = iter(loader)  # a global: alive when Python ends
next(kept)
print('end of the program')
"""


def test_a_program_ends_though_its_workers_are_alive():
    done = subprocess.run(
        [sys.executable, '-c', LEFT_AT_EXIT], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
    assert done.stdout == 'end of the program\n'
    assert done.stderr == ''


def test_workers_end_with_the_loop(tmp_path):
    path = write_config(tmp_path / 'a.py', 'shared', 'retrain_short', TRAIN)
    workers = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
    options = {**workers, 'train_cfg.max_iters': 2, 'val_cfg': None}
    cfg = load_config(path, options, work_dir=tmp_path / 'run')
    before = {child.pid for child in multiprocessing.active_children()}
    runner = run_training(cfg)
    assert {child.pid for child in multiprocessing.active_children()} <= before
    assert runner.train_loop.iter == 2  # alive, and its loader with it


@pytest.mark.parametrize(
    ('handler', 'noted'), [(signal.SIG_DFL, signal.SIGHUP), (signal.SIG_IGN, 0)]
)
def test_a_closed_terminal_is_noted_unless_nohup_is_used(handler, noted):
    before = signal.signal(signal.SIGHUP, handler)
    try:
        with StopRequest() as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert request.at(1) == noted
        assert signal.getsignal(signal.SIGHUP) is handler
    finally:
        signal.signal(signal.SIGHUP, before)
