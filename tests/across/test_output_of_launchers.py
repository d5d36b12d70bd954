"""Two processes behind a launcher print what one process prints, each line once."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import SEARCH, TRAIN, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# the numbers of a line differ: times, losses of another global batch, the progress of a shard
NUMBERS = re.compile(r'[-+]?\d[\d.:e+-]*')


def output(script, config, work_dir, *words):
    """All lines of a tool or of a launcher with two processes, both streams."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    env = {**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', 'PORT': str(port)}
    start = [sys.executable] if script.endswith('.py') else []
    command = [*start, TOOLS / script, config, *words, '--work-dir', work_dir]
    done = subprocess.run(
        [str(word) for word in command], env=env, capture_output=True, text=True, cwd=TOOLS
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    # torch's own about the machine; the progress of a shard, which has fewer batches
    left_out = ('No CUDA runtime', ' batch [')
    return [
        line
        for line in text.splitlines()
        if line.strip() and not any(word in line for word in left_out)
    ]


def shapes(lines, work_dir):
    """Lines of the log without their numbers; a tree that was found may be another one."""
    texts = (line.replace(str(work_dir), 'DIR') for line in lines if re.match(r'[\d:]{8} ', line))
    return sorted(NUMBERS.sub('#', text) for text in texts)


def test_each_line_is_printed_once(tmp_path):
    train = write_config(tmp_path / 'train.py', 'shared', 'retrain_short', TRAIN)
    search = write_config(tmp_path / 'search.py', 'supergraph', 'search_short', SEARCH)
    for purpose, config in (('train', train), ('search', search), ('test', train)):
        alone, together = tmp_path / f'{purpose}1', tmp_path / f'{purpose}2'
        words = (max((tmp_path / 'train1').glob('iter_*.pth')),) if purpose == 'test' else ()
        one = output(f'{purpose}.py', config, alone, *words)
        two = output(f'dist_{purpose}.sh', config, together, *words, 2)
        twice = sorted({line for line in two if two.count(line) > max(1, one.count(line))})
        assert not twice, '\n'.join(two)
        assert shapes(one, alone) == shapes(two, together)
