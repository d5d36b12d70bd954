"""Search, training, test and inference on a GPU, in float32 and bfloat16.

The other tests see no GPU. Processes of their own see those that the test run was started with.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import ROOT, SEARCH, TRAIN, write_config

from bmtas.files import read_json


@pytest.fixture(scope='module')
def gpu():
    """Run a program that sees the GPUs; its output."""
    places = [str(ROOT), str(ROOT / 'tests'), *filter(None, [os.environ.get('PYTHONPATH')])]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(places))
    if (shown := env.pop('BMTAS_TEST_GPUS')) == 'all':
        del env['CUDA_VISIBLE_DEVICES']
    else:
        env['CUDA_VISIBLE_DEVICES'] = shown

    def launch(*words):
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=280)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    if launch('-c', 'import torch; print(torch.cuda.is_available())').strip() != 'True':
        pytest.skip('torch finds no GPU')
    return launch


@pytest.mark.parametrize('amp', [False, True])
def test_from_search_to_inference(gpu, tmp_path, amp):
    searched = write_config(tmp_path / 'search.py', 'supergraph', 'search_short', SEARCH)
    trained = write_config(tmp_path / 'train.py', 'branched', 'retrain_short', TRAIN)
    search, run = tmp_path / 'search', tmp_path / 'run'
    words, fast = ('-m', 'bmtas'), ['--amp'] if amp else []
    gpu(*words, 'search', searched, '--work-dir', search, *fast)
    tree = search / 'branching.json'
    gpu(*words, 'train', trained, '--branching', tree, '--work-dir', run, *fast)
    newest = run / 'iter_8.pth'
    gpu(*words, 'test', trained, newest, '--work-dir', run, *fast)
    scores = read_json(run / 'results.json', 'results')
    assert all(np.isfinite(value) for value in scores['scores'].values())
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(tmp_path / 'photo.png')
    gpu(*words, 'infer', trained, newest, tmp_path / 'photo.png', '--out-dir', tmp_path / 'out',
        '--device', 'cuda')  # fmt: skip
    assert np.asarray(Image.open(tmp_path / 'out' / 'semseg' / 'photo.png')).shape == (40, 56)


def test_a_replayed_update_is_the_eager_one(gpu):
    found = json.loads(gpu(Path(__file__).with_name('replayed_on_gpu.py')).splitlines()[-1])
    for name, (noise, difference, turns) in found.items():
        # bfloat16 rounds to 3 digits, and adds in another order every time
        bound = 0.05 + 3 * noise if name == 'bfloat16' else 1e-6
        assert difference < bound, (name, found[name])
        assert turns >= 2 * 2, name  # each replay and its backward pass


def test_a_search_and_a_training_with_graphs(gpu, tmp_path):
    searched = write_config(tmp_path / 'search.py', 'supergraph', 'search_short', SEARCH)
    trained = write_config(tmp_path / 'train.py', 'branched', 'retrain_short', TRAIN)
    graphs = ('--cfg-options', 'model.cuda_graphs=True', 'train_dataloader.num_workers=2',
              'train_dataloader.pin_memory=True')  # fmt: skip
    words = ('-m', 'bmtas')
    gpu(*words, 'search', searched, '--work-dir', tmp_path / 'search', '--amp', *graphs)
    tree = tmp_path / 'search' / 'branching.json'
    run = tmp_path / 'run'
    gpu(*words, 'train', trained, '--branching', tree, '--work-dir', run, *graphs)
    gpu(*words, 'test', trained, run / 'iter_8.pth', '--work-dir', run)
    scores = read_json(run / 'results.json', 'results')
    assert all(np.isfinite(value) for value in scores['scores'].values())
