"""A stop request through a launcher: all processes save together, the codes come back."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import TRAIN, write_config

from bmtas.engine.checkpoint import checkpoints_of
from bmtas.sealed import load_state

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
LONG = TRAIN.replace('max_iters=8, val_interval=4', 'max_iters=20000, val_interval=20000')
# what srun does with tasks and signals
SRUN = f"""#!{sys.executable}
import os, signal, subprocess, sys
words, options = sys.argv[1:], []
while words[0].startswith('-'):
    options.append(words.pop(0))
    if options[-1] == '-p':
        words.pop(0)
count = int(next(o.split('=')[1] for o in options if o.startswith('--ntasks=')))
names = ('SLURM_PROCID', 'SLURM_LOCALID')
tasks = [
    subprocess.Popen(
        words,
        env={{**os.environ, 'SLURM_NTASKS': str(count), **dict.fromkeys(names, str(n))}},
        start_new_session=True,
    )
    for n in range(count)
]
with open(os.path.join(os.path.dirname(sys.argv[0]), 'sessions'), 'a') as file:
    file.writelines(f'{{t.pid}}\\n' for t in tasks)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, lambda number, frame: [t.send_signal(number) for t in tasks])
sys.exit(max(task.wait() % 256 for task in tasks))
"""


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """Start a script of tools/ on a long training; returns the process after a checkpoint."""
    config = write_config(tmp_path / 'c.py', 'shared', 'retrain_short', LONG)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'srun').write_text(SRUN)
    (tmp_path / 'bin' / 'srun').chmod(0o755)
    path = os.pathsep.join([str(tmp_path / 'bin'), str(Path(sys.executable).parent)])
    env = {
        **os.environ,
        'PATH': path + os.pathsep + os.environ['PATH'],
        'OMP_NUM_THREADS': '1',
        'PORT': str(free_port()),
    }
    env['MASTER_PORT'] = env['PORT']
    started = []

    def launch(script, *words):
        words = [str(config) if word == 'CONFIG' else word for word in words]
        command = [TOOLS / script, *words, '--work-dir', str(tmp_path / 'run')]
        log = open(tmp_path / 'log.txt', 'a')  # noqa: SIM115  (the process writes it)
        process = subprocess.Popen(
            command, env=env, stdout=log, stderr=log, start_new_session=True, cwd=tmp_path
        )
        started.append(process)
        deadline = time.monotonic() + 400
        before = checkpoints_of(tmp_path / 'run')[:1]
        while checkpoints_of(tmp_path / 'run')[:1] == before and process.poll() is None:
            assert time.monotonic() < deadline, (tmp_path / 'log.txt').read_text()
            time.sleep(0.1)
        assert process.poll() is None, (tmp_path / 'log.txt').read_text()
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    sessions = tmp_path / 'bin' / 'sessions'  # tasks have sessions of their own, as on a cluster
    for pid in sessions.read_text().split() if sessions.is_file() else ():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid), signal.SIGKILL)


def saved(tmp_path, name):
    """The update that the run says it has saved; its checkpoint loads and is the newest."""
    log = (tmp_path / 'log.txt').read_text()
    lines = [line for line in log.splitlines() if f'stopped by {name} after' in line]
    assert len(lines) == 1, log  # the main process says it for all
    newest = checkpoints_of(tmp_path / 'run')[0]
    assert f'{newest.name} is written' in lines[0]
    update = int(lines[0].split(' after ')[1].split()[0])
    assert update % 10 == 0 and load_state(newest)['meta']['iter'] == update
    return update


def test_slurm_announces_the_end_of_a_job(start, tmp_path):
    words = ('slurm_train.sh', 'part', 'job', 'CONFIG', '2')
    process = start(*words)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(200) == 128 + signal.SIGUSR1
    update = saved(tmp_path, 'SIGUSR1')
    # requeued: it goes on where it was
    process = start(*words, '--resume')
    assert f'at update {update}' in (tmp_path / 'log.txt').read_text()
    assert int(checkpoints_of(tmp_path / 'run')[0].stem.split('_')[1]) > update


def test_torchrun_is_terminated(start, tmp_path):
    process = start('dist_train.sh', 'CONFIG', '2')
    process.send_signal(signal.SIGTERM)
    assert process.wait(200) != 0
    saved(tmp_path, 'SIGTERM')
