"""Two processes with half a batch each balance like one with the whole batch."""

import multiprocessing
import os
import socket

import pytest
import torch
from torch import nn

pytest.importorskip('torchjd')
WHOLE = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5], [-2.0, 1.0]])


def gradients(name, rows):
    """Gradient of two conflicting tasks' mean losses over some rows of data."""
    from bmtas.engine.balancing import Balancer

    torch.manual_seed(0)
    balancer = Balancer(2, name)
    w = nn.Parameter(torch.tensor([0.3, 0.7]))
    losses = [(rows @ w - 1).square().mean(), (rows @ w + 2 * w[0]).square().mean()]
    present = torch.tensor([True, True])
    if balancer.is_aggregator:
        balancer.aggregate(losses, present, [w])
    else:
        balancer.scalarize(torch.stack(losses), present).backward()
    return w.grad


def one_rank(rank, port, name, queue):
    from mmengine.dist import all_reduce

    os.environ.update(RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    grad = gradients(name, WHOLE[2 * rank : 2 * rank + 2])
    if name not in ('PCGrad', 'MGDA'):
        # what DistributedDataParallel does after a scalarizer
        all_reduce(grad, op='mean')
    queue.put((rank, grad.tolist()))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['PCGrad', 'MGDA', 'FAMO', 'GeometricMean'])
def test_two_ranks_equal_one(name):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    ranks = [context.Process(target=one_rank, args=(r, port, name, queue)) for r in range(2)]
    for process in ranks:
        process.start()
    found = dict(queue.get(timeout=120) for _ in ranks)
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    expected = gradients(name, WHOLE)
    for grad in found.values():
        torch.testing.assert_close(torch.tensor(grad), expected, rtol=1e-4, atol=1e-5)
