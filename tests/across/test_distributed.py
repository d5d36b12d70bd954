"""Two processes on a CPU give what one process gives on the same global batch."""

import multiprocessing
import os
import socket

import pytest
import torch

from bmtas.engine.checkpoint import checkpoints_of
from bmtas.engine.dist import (
    GlooSyncBatchNorm,
    average_statistics,
    convert_sync_batchnorm,
    init_distributed,
)

# sums of two halves instead of one whole in float32 through a dozen updates, amplified by batch
# norms over few values (the pooled branch of R-ASPP has 4)
WEIGHTS = dict(rtol=1e-3, atol=2e-4)
STATISTICS = dict(rtol=2e-2, atol=1e-3)
LOSSES = dict(rtol=1e-3, atol=1e-4)


def run_rank(rank, world_size, port, config, work_dir, purpose, options):
    """One process of a run."""
    if world_size > 1:
        os.environ.update(
            RANK=str(rank),
            WORLD_SIZE=str(world_size),
            LOCAL_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
        )
    torch.set_num_threads(1)
    from bmtas.engine.build import build_runner
    from bmtas.engine.config import load_config
    from bmtas.search import run_search

    cfg = load_config(config, options, work_dir=work_dir)
    cfg.launcher = 'pytorch' if world_size > 1 else 'none'
    if purpose == 'search':
        run_search(cfg)
    else:
        build_runner(cfg, 'train').train()
    if world_size > 1:
        torch.distributed.destroy_process_group()


def launch(config, work_dir, purpose, options, world_size):
    """Run in fresh processes and return the last checkpoint."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['bmtas.engine.build', 'bmtas.search', 'bmtas.evaluation'])
    args = (world_size, port, config, work_dir, purpose, options)
    ranks = [context.Process(target=run_rank, args=(rank, *args)) for rank in range(world_size)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(240)
        assert process.exitcode == 0
    return torch.load(checkpoints_of(work_dir)[0], weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize('purpose', ['search', 'train'])
def test_two_processes_equal_one(purpose, search_config, train_config, tmp_path):
    config = search_config if purpose == 'search' else train_config
    options = {
        'sync_bn': 'torch',
        'train_dataloader.dataset.length': 20,
        'model.encoder.backbone.aspp.dropout': 0.0,
        'env_cfg.mp_cfg.mp_start_method': 'forkserver',
    }
    rate = (
        'optim_wrapper.weights.optimizer.lr'
        if purpose == 'search'
        else 'optim_wrapper.optimizer.lr'
    )
    options[rate] = 1e-3
    if purpose == 'search':
        # Adam's first step is +-lr even for a gradient of rounding size, which the affine-free
        # batch norms make of some directions of alpha
        options['optim_wrapper.alpha.optimizer'] = dict(_delete_=True, type='SGD', lr=1.0)
    one = launch(
        config, tmp_path / 'one', purpose, {**options, 'train_dataloader.batch_size': 4}, 1
    )
    two = launch(config, tmp_path / 'two', purpose, options, 2)
    assert one['state_dict'].keys() == two['state_dict'].keys()
    for name, value in one['state_dict'].items():
        tolerance = STATISTICS if 'running' in name else WEIGHTS
        torch.testing.assert_close(two['state_dict'][name], value, **tolerance)
    losses = [state['message_hub']['log_scalars']['train/loss']['values'] for state in (one, two)]
    torch.testing.assert_close(torch.tensor(losses[1]), torch.tensor(losses[0]), **LOSSES)


@pytest.mark.slow
@pytest.mark.parametrize('method', ['FAMO', 'PCGrad'])
def test_two_balanced_processes_equal_one(method, train_config, tmp_path):
    """FAMO weighs the losses of the global batch before and after the step, PCGrad the gradients.

    Depth has a label in about half of the pixels, in each process in another number of them.
    """
    pytest.importorskip('torchjd')
    options = {
        'train_cfg.type': 'BalancedTrainLoop',
        'train_cfg.balancing': dict(method=method),
        'sync_bn': 'torch',
        'train_dataloader.dataset.length': 20,
        'model.encoder.backbone.aspp.dropout': 0.0,
        'env_cfg.mp_cfg.mp_start_method': 'forkserver',
        'optim_wrapper.optimizer.lr': 1e-3,
    }
    whole = {**options, 'train_dataloader.batch_size': 4}
    one = launch(train_config, tmp_path / 'one', 'train', whole, 1)
    two = launch(train_config, tmp_path / 'two', 'train', options, 2)
    for name, value in one['state_dict'].items():
        tolerance = STATISTICS if 'running' in name else WEIGHTS
        torch.testing.assert_close(two['state_dict'][name], value, **tolerance)
    for key, value in one['balancing']['method'].items():
        torch.testing.assert_close(two['balancing']['method'][key], value, **WEIGHTS)
    logs = [state['message_hub']['log_scalars'] for state in (one, two)]
    for task in ('semseg', 'sal', 'depth'):
        first, second = (torch.tensor(log[f'train/loss_{task}']['values']) for log in logs)
        torch.testing.assert_close(second, first, **LOSSES)


def test_converted_batch_norm_equals_the_plain_one_in_one_process():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4, affine=False))
    synced = convert_sync_batchnorm(torch.nn.Sequential(*plain))
    assert isinstance(synced[1], GlooSyncBatchNorm)
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(synced(x), plain(x))


def test_conversion_keeps_frozen_weights_and_norms_that_stand_in_two_places():
    norm = torch.nn.BatchNorm2d(4).requires_grad_(False)
    twice = torch.nn.ModuleList([torch.nn.Sequential(norm), torch.nn.Sequential(norm)])
    synced = convert_sync_batchnorm(twice)
    assert synced[0][0] is synced[1][0] and isinstance(synced[0][0], GlooSyncBatchNorm)
    assert not any(parameter.requires_grad for parameter in synced.parameters())


def test_missing_variable_is_named(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='--launcher pytorch: environment variable RANK'):
        init_distributed('pytorch')


def average_on_rank(rank, port, out):
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE='2',
        LOCAL_RANK=str(rank),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    init_distributed('pytorch')
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 2, 1))
    model[0].running_mean.fill_(rank)
    model[0].running_var.fill_(1 + 2 * rank)
    average_statistics(model)
    torch.save([model[0].running_mean, model[0].running_var], f'{out}.{rank}')
    torch.distributed.destroy_process_group()


def test_statistics_are_equal_on_all_ranks(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context('forkserver')
    out = str(tmp_path / 'statistics')
    ranks = [context.Process(target=average_on_rank, args=(rank, port, out)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
        assert process.exitcode == 0
    for rank in range(2):
        mean, variance = torch.load(f'{out}.{rank}')
        assert mean.tolist() == [0.5, 0.5] and variance.tolist() == [2.0, 2.0]
