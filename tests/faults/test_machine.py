"""What the machine does to a run: full disk, read-only folder, little memory, dead processes."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from killed import CONTEXT, log_of, run
from tiny import TRAIN, write_config

from bmtas.cli.base import remedy_for, run_tool
from bmtas.engine.checkpoint import checkpoints_of
from bmtas.sealed import load_state

pytestmark = pytest.mark.slow

OPTIONS = {'default_hooks.checkpoint.interval': 1, 'train_cfg.val_interval': 100}


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / 'c.py', 'shared', 'retrain_short', TRAIN)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own: ``mount(options)`` mounts it again with other options."""
    folder = tmp_path / 'disk'
    folder.mkdir()

    def mount(options):
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip('there is no command mount')
        if done.returncode:
            pytest.skip(f'a file system cannot be mounted here: {done.stderr.strip()}')
        return folder

    yield mount
    subprocess.run(['umount', str(folder)], capture_output=True)


def last_line(work_dir):
    return log_of(work_dir).strip().splitlines()[-1]


def test_full_disk(config, small_disk, tmp_path):
    folder = small_disk('size=300k')
    code, _ = run(config, folder / 'run', 'train', OPTIONS)
    log = log_of(folder / 'run')
    assert code == 2, log
    line = next(line for line in reversed(log.splitlines()) if line.startswith('error: '))
    assert 'cannot be written: the disk is full' in line and str(folder) in line
    for path in checkpoints_of(folder / 'run'):
        load_state(path)
    assert not list((folder / 'run').glob('.part-*'))
    small_disk('remount,size=64m')
    code, _ = run(config, folder / 'run', 'train', OPTIONS, resume=True)
    assert code == 0, log_of(folder / 'run')
    code, _ = run(config, tmp_path / 'whole', 'train', OPTIONS)
    folders = (folder / 'run', tmp_path / 'whole')
    ends = [load_state(checkpoints_of(f)[0])['state_dict'] for f in folders]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[1])


@pytest.mark.parametrize('size', [4, 12, 24, 48])
def test_disk_that_is_soon_full(config, small_disk, tmp_path, size):
    """Whoever is the first that cannot write, bmtas or a library: the line names the place."""
    folder = small_disk(f'size={size}k')
    (folder / 'run').mkdir()
    (tmp_path / 'link').symlink_to(folder / 'run')
    code, _ = run(config, tmp_path / 'link', 'train', OPTIONS)
    assert code == 2, log_of(tmp_path / 'link')
    line = last_line(tmp_path / 'link')
    assert 'cannot be written: the disk is full' in line
    assert str(folder) in line or str(tmp_path / 'link') in line


def test_read_only_folder(config, small_disk, tmp_path):
    folder = small_disk('size=1m')
    (folder / 'run').mkdir()
    small_disk('remount,ro')
    (tmp_path / 'link').symlink_to(folder / 'run')
    code, _ = run(config, tmp_path / 'link', 'train', OPTIONS)
    assert code == 2
    assert 'cannot be written: the file system is read-only' in last_line(tmp_path / 'link')


def small_memory(config, work_dir):
    log = os.open(f'{work_dir}.log', os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from bmtas.engine.config import load_config
    from bmtas.engine.train import run_training

    def main(argv):
        options = {'train_dataloader.batch_size': 14, 'input_size': [512, 512]}
        options['train_dataloader.dataset.size'] = [512, 512]
        cfg = load_config(config, options, work_dir=work_dir)
        pages = int(Path('/proc/self/statm').read_text().split()[0])
        limit = pages * resource.getpagesize() + 200 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        run_training(cfg)

    sys.exit(run_tool(main))


def test_little_memory(config, tmp_path):
    process = CONTEXT.Process(target=small_memory, args=(str(config), str(tmp_path / 'run')))
    process.start()
    process.join(200)
    assert process.exitcode == 2, log_of(tmp_path / 'run')
    assert 'out of memory: take a smaller' in last_line(tmp_path / 'run')


def rank(config, work_dir, number, port, dies):
    log = os.open(f'{work_dir}.{number}.log', os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(
        RANK=str(number),
        WORLD_SIZE='2',
        LOCAL_RANK=str(number),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    from bmtas.engine.build import build_runner
    from bmtas.engine.config import load_config
    from bmtas.engine.loops.base import UpdateLoop

    update = UpdateLoop.run_update

    def deadly(self, *args):
        if number == dies and self.iter == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self, *args)

    UpdateLoop.run_update = deadly

    def main(argv):
        cfg = load_config(config, OPTIONS, work_dir=work_dir)
        cfg.launcher = 'pytorch'
        build_runner(cfg, 'train').train()

    sys.exit(run_tool(main))


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def test_one_of_two_processes_dies(config, tmp_path):
    work_dir, port = str(tmp_path / 'run'), free_port()
    ranks = [
        CONTEXT.Process(target=rank, args=(str(config), work_dir, number, port, 1))
        for number in range(2)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(200)
    assert ranks[1].exitcode == -9
    log = Path(f'{work_dir}.0.log').read_text()
    assert ranks[0].exitcode == 2, log
    assert 'another process of the run has died' in log.strip().splitlines()[-1]
    assert checkpoints_of(work_dir)


def test_port_in_use(config, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = (str(config), str(tmp_path / 'run'), 0, port, -1)
        process = CONTEXT.Process(target=rank, args=args)
        process.start()
        process.join(200)
    log = Path(f'{tmp_path / "run"}.0.log').read_text()
    assert process.exitcode == 2, log
    assert f'port {port} is in use' in log and 'PORT=' in log


def test_a_worker_dies(config, tmp_path):
    options = {
        **OPTIONS,
        'train_dataloader.num_workers': 1,
        'train_dataloader.dataset.length': 400,
        'train_cfg.max_iters': 5000,
    }
    counter = CONTEXT.Value('i', 0)
    from killed import child

    args = (str(config), str(tmp_path / 'run'), 'train', options, False, 0, counter)
    process = CONTEXT.Process(target=child, args=args)
    process.start()
    deadline = time.monotonic() + 120
    while not checkpoints_of(tmp_path / 'run') and time.monotonic() < deadline:
        time.sleep(0.2)
    children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    process.join(200)
    assert process.exitcode == 2, log_of(tmp_path / 'run')
    assert 'a worker that reads data has died' in last_line(tmp_path / 'run')


def test_features_of_one_pixel():
    norm = torch.nn.BatchNorm2d(3)
    with pytest.raises(ValueError) as caught:
        norm(torch.zeros(1, 3, 1, 1))
    assert 'larger train_dataloader.batch_size' in remedy_for(caught.value)
