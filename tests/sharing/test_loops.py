"""Two processes that share a test count the work that one process counts."""

import dataclasses
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from sharing_toys import randomise
from tiny import TRAIN, write_config

from bmtas.cli import main
from bmtas.engine import unwrap
from bmtas.engine.build import build_runner
from bmtas.engine.config import load_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
TINY = """
_base_ = 'CONFIGS/sharing/NAME.py'
input_size = (32, 32)
# three images or clips: processes have unlike parts
test_dataloader = dict(batch_size=1, dataset=dict(size=32, length=3), num_workers=0)
test_dataloader['persistent_workers'] = False
model = dict(
    encoder=dict(backbone=dict(dim=16, depth=2, heads=2), thresholds=0.4),
    head=dict(embed_dim=64, depth=1),
)
"""


def measure(rank, world, port, config, folder):
    """One process of a test; keeps scores and counts in a file."""
    torch.set_num_threads(1)
    if world > 1:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    cfg = load_config(config, work_dir=folder / f'of{world}')
    cfg.launcher = 'pytorch' if world > 1 else 'none'
    runner = build_runner(cfg, 'test')
    model = unwrap(runner.model)
    randomise(model.encoder)  # untrained deltas are zero
    scores = runner.test()
    meters = [model.measured[0], *(model.clips[1] if model.clips else [])]
    counts = [dataclasses.asdict(meter) for meter in meters]
    torch.save((scores, counts), folder / f'{world}_{rank}.pt')
    if world > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize('name', ['vit_lowrank_shapescenes', 'vit_clips_shapescenes'])
def test_two_processes_count_what_one_counts(tmp_path, name):
    config = tmp_path / 'config.py'
    config.write_text(TINY.replace('CONFIGS', str(CONFIGS)).replace('NAME', name))
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    for world in (1, 2):
        args = (world, port, config, tmp_path)
        mp.start_processes(measure, args, nprocs=world, start_method='fork')
    (scores, counts), *others = (
        torch.load(tmp_path / f'{part}.pt', weights_only=True) for part in ('1_0', '2_0', '2_1')
    )
    assert len(counts) == (1 + 8 if 'clips' in name else 1)
    assert counts[0]['images'] == (3 * 8 if 'clips' in name else 3)
    assert any(0 < op['changed'] < op['rows'] for op in counts[0]['ops'].values())
    for found, counted in others:
        assert found == pytest.approx(scores, nan_ok=True)
        assert counted == counts


def test_another_encoder_is_refused(capsys, tmp_path):
    config = write_config(tmp_path / 'a.py', 'shared', 'retrain_short', TRAIN)
    run = tmp_path / 'run'
    assert main(['train', str(config), '--work-dir', str(run)]) == 0
    words = ['test', str(config), str(run / 'iter_8.pth'), '--cfg-options']
    words += ['test_cfg.type=SharingTestLoop', 'custom_imports.imports=[bmtas.sharing]']
    assert main(words) == 2
    error = capsys.readouterr().err
    assert 'SharingTestLoop counts the work of a DeltaEncoder, model.encoder is a' in error
    assert error.rstrip().endswith('take TestLoop')
