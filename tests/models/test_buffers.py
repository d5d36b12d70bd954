"""Running statistics are put back in place."""

import torch
from torch import nn

from bmtas.models import kept_buffers


def test_kept_buffers():
    net = nn.BatchNorm1d(2)
    with kept_buffers(net):
        net(torch.randn(8, 2))
        assert net.num_batches_tracked == 1
    assert net.num_batches_tracked == 0 and net.running_mean.tolist() == [0, 0]
