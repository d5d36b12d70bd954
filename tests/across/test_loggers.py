"""Weights & Biases and MLflow by one line each, without a network."""

import json
import os
import subprocess
import sys

import pytest
from tiny import TRAIN, write_config

VISUALIZER = """
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), %s])
"""
BACKENDS = {
    'wandb': "dict(type='WandbVisBackend', init_kwargs=dict(project='bmtas'))",
    'mlflow': "dict(type='MLflowVisBackend', exp_name='bmtas')",
}


def train(tmp_path, module, **variables):
    """A tiny training; the folder of its logs and the local log's lines."""
    extra = TRAIN + VISUALIZER % BACKENDS[module]
    config = write_config(tmp_path / 'config.py', 'shared', 'retrain_short', extra)
    command = [sys.executable, '-m', 'bmtas', 'train', str(config), '--work-dir', 'work']
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True
    )
    if done.returncode:
        return None, done.stderr
    folder = next((tmp_path / 'work').glob('*/vis_data'))
    lines = (folder / 'scalars.json').read_text().splitlines()
    return folder, [json.loads(line) for line in lines]


@pytest.mark.slow
def test_mlflow_gets_what_the_local_log_gets(tmp_path):
    pytest.importorskip('mlflow')
    folder, lines = train(tmp_path, 'mlflow', MLFLOW_ALLOW_FILE_STORE='true')
    for key in ('loss', 'loss_semseg', 'depth/rmse'):
        (path,) = folder.glob(f'*/*/metrics/{key}')
        found = [float(line.split()[1]) for line in path.read_text().splitlines()]
        assert found == pytest.approx([line[key] for line in lines if key in line], rel=1e-5), key


@pytest.mark.slow
def test_mlflow_that_takes_no_files_is_one_line(tmp_path):
    pytest.importorskip('mlflow', minversion='3.7')
    _, error = train(tmp_path, 'mlflow', MLFLOW_ALLOW_FILE_STORE='false')
    assert error.splitlines()[-1].startswith('error: ') and 'tracking_uri=' in error


@pytest.mark.slow
def test_wandb_keeps_an_offline_run(tmp_path):
    pytest.importorskip('wandb')
    folder, _ = train(tmp_path, 'wandb', WANDB_MODE='offline')
    (path,) = folder.glob('wandb/offline-run-*/run-*.wandb')
    content = path.read_bytes()
    assert all(key in content for key in (b'loss_semseg', b'depth/rmse', b'sal/maxIoU'))
