"""A run that is killed and resumed, however often, leaves what an uninterrupted one leaves.

Compared are weights, alpha, optimizer, schedules, log buffers, scores, the best checkpoint, the
history and the written tree, bit for bit.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killed import log_of, run
from run_states import assert_equal, comparable, final_state
from tiny import SEARCH, TRAIN, write_config

from bmtas.apis.grid import make_points
from bmtas.engine.checkpoint import checkpoint_files
from bmtas.files import read_json
from bmtas.sealed import load_state

pytestmark = pytest.mark.slow

BEST = {
    'default_hooks.checkpoint.save_best': 'semseg/mIoU',
    'default_hooks.checkpoint.rule': 'greater',
    'val_cfg.type': 'ValLoop',
}
WORKERS = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
OPTIONS = {
    'search': {**BEST, 'search.val_interval': 4},
    'train': {**BEST, 'train_cfg.val_interval': 2, 'default_hooks.checkpoint.interval': 2},
}
SCHEDULES = dict(search='search_short', train='retrain_short')
ENCODERS = dict(search='supergraph', train='shared')
EXTRA = dict(search=SEARCH, train=TRAIN)
KILLS = 17


def remains(work_dir):
    """All that a run leaves, without clocks and the name of the run."""
    found = {'last': final_state(work_dir)}
    for path in checkpoint_files(work_dir):
        if path.name.startswith('best_'):
            found[path.name] = comparable(load_state(path))
    for name in ('history.jsonl', 'branching.json', 'alpha.json', 'front.json', 'resources.json'):
        if (work_dir / name).is_file():
            found[name] = (work_dir / name).read_text()
    return found


@pytest.fixture(scope='module', params=['search', 'train'])
def whole(request, tmp_path_factory):
    """Config, purpose, what an uninterrupted run leaves, and its number of events."""
    purpose = request.param
    folder = tmp_path_factory.mktemp(purpose)
    config = write_config(folder / 'c.py', ENCODERS[purpose], SCHEDULES[purpose], EXTRA[purpose])
    code, events = run(config, folder / 'whole', purpose, OPTIONS[purpose])
    assert code == 0, log_of(folder / 'whole')
    return config, purpose, remains(folder / 'whole'), events


def finish(config, work_dir, purpose, options):
    code, _ = run(config, work_dir, purpose, options, resume=True)
    assert code == 0, log_of(work_dir)
    return remains(work_dir)


@pytest.mark.parametrize('kill', range(KILLS))
def test_killed_once(whole, tmp_path, kill):
    config, purpose, expected, events = whole
    moment = int(np.random.default_rng([1, kill]).integers(1, events + 1))
    code, _ = run(config, tmp_path / 'run', purpose, OPTIONS[purpose], last=moment)
    assert code == -9
    assert_equal(expected, finish(config, tmp_path / 'run', purpose, OPTIONS[purpose]))
    assert not list((tmp_path / 'run').rglob('.part-*'))


@pytest.mark.parametrize('kill', range(4))
def test_killed_again_and_again(whole, tmp_path, kill):
    config, purpose, expected, events = whole
    rng = np.random.default_rng([2, kill])
    for number in range(3):
        moment = int(rng.integers(1, events // 2))
        options = OPTIONS[purpose]
        code, _ = run(config, tmp_path / 'run', purpose, options, number > 0, last=moment)
        assert code in (-9, 0), log_of(tmp_path / 'run')
    assert_equal(expected, finish(config, tmp_path / 'run', purpose, OPTIONS[purpose]))


@pytest.mark.parametrize('kill', range(4))
def test_killed_with_workers(whole, tmp_path, kill):
    config, purpose, expected, events = whole
    moment = int(np.random.default_rng([3, kill]).integers(1, events + 1))
    options = {**OPTIONS[purpose], **WORKERS}
    code, _ = run(config, tmp_path / 'run', purpose, options, last=moment)
    assert code == -9
    # and the rest without them
    assert_equal(expected, finish(config, tmp_path / 'run', purpose, OPTIONS[purpose]))


@pytest.mark.parametrize('kill', range(4))
def test_killed_from_outside(whole, tmp_path, kill):
    config, purpose, expected, _ = whole
    seconds = float(np.random.default_rng([4, kill]).uniform(0.2, 4))
    code, _ = run(config, tmp_path / 'run', purpose, OPTIONS[purpose], kill_after=seconds)
    assert code in (-9, 0)
    assert_equal(expected, finish(config, tmp_path / 'run', purpose, OPTIONS[purpose]))


def test_the_comparison_sees_a_difference(whole, tmp_path):
    config, purpose, expected, _ = whole
    shutil.copy(config, tmp_path / 'c.py')
    options = {**OPTIONS[purpose], 'randomness.seed': 1}
    code, _ = run(tmp_path / 'c.py', tmp_path / 'run', purpose, options)
    assert code == 0
    with pytest.raises(AssertionError):
        assert_equal(expected, remains(tmp_path / 'run'))


def start_point(folder):
    """Run a point of a sweep in a process group of its own."""
    command = [sys.executable, '-m', 'bmtas', 'sweep', '--point', str(folder)]
    with open(folder / 'out.txt', 'a') as out:
        return subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize('kill', range(2))
def test_a_point_of_a_sweep_is_killed(tmp_path, kill):
    """Training and test; the whole group of processes is killed, then the point is run again."""
    config = write_config(tmp_path / 'c.py', 'shared', 'retrain_short', TRAIN)
    points = [make_points(str(config), {}, tmp_path / name)[0] for name in ('whole', 'killed')]
    folders = [Path(point.folder) for point in points]
    for point in points:
        point.to_file()
    assert start_point(folders[0]).wait(280) == 0, (folders[0] / 'out.txt').read_text()
    process = start_point(folders[1])
    work_dir, wanted = folders[1] / 'train', 1 + kill
    while process.poll() is None and len(checkpoint_files(work_dir)) < wanted:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert start_point(folders[1]).wait(280) == 0, (folders[1] / 'out.txt').read_text()
    first, second = (read_json(folder / 'results.json') for folder in folders)
    for key in ('metrics', 'scores', 'madds', 'params', 'seed'):
        assert first[key] == second[key]
    assert_equal(final_state(folders[0] / 'train'), final_state(folders[1] / 'train'))
