"""Distributed runs on GPU and on CPU."""

from __future__ import annotations

import os
import subprocess

import torch
from mmengine.dist import all_reduce, get_world_size, is_distributed
from mmengine.dist import init_dist as init_nccl
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce as all_reduce_with_gradient
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

# how the launchers name rank, number of processes and rank on this machine
_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def _first_host(nodes: str) -> str:
    return subprocess.getoutput(f'scontrol show hostname {nodes} | head -n1')


def init_distributed(launcher: str) -> None:
    """Join the process group of a distributed run; nothing happens for ``none``.

    With a GPU this is mmengine's function (nccl). Without one it is gloo: mmengine would ask for a
    GPU at once.

    Raises:
        ValueError: The launcher's environment variables are missing.
    """
    if launcher == 'none' or is_distributed():
        return
    for library in ('OMP', 'MKL'):  # as mmengine and torchrun do with a warning
        os.environ.setdefault(f'{library}_NUM_THREADS', '1')
    names = _VARIABLES[launcher]
    missing = [name for name in names[:2] if name not in os.environ]
    if missing:
        raise ValueError(f'--launcher {launcher}: environment variable {missing[0]} is not set')
    if torch.cuda.is_available():
        init_nccl(launcher, backend='nccl')
        return
    for target, name in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names):
        os.environ[target] = os.environ.get(name, '0')
    port = os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        nodes = os.environ.get('SLURM_NODELIST')
        os.environ['MASTER_ADDR'] = _first_host(nodes) if nodes else '127.0.0.1'
    try:
        torch.distributed.init_process_group('gloo')
    except RuntimeError as error:
        if 'EADDRINUSE' not in str(error):
            raise
        raise ValueError(
            f'port {port} is in use, by another run perhaps; choose one with PORT=29501 (in front '
            'of tools/dist_*.sh) or MASTER_PORT=29501'
        ) from None


class GlooSyncBatchNorm(_BatchNorm):
    """Batch normalisation with the statistics of all processes, on any back-end.

    torch's SyncBatchNorm needs a GPU. Sums are taken in float64, so that the variance does not
    suffer from cancellation.
    """

    def _check_input_dim(self, inputs: Tensor) -> None:
        if inputs.dim() < 2:
            raise ValueError(f'expected at least 2 dimensions, got {inputs.dim()}')

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise (N, C, ...) over N, the positions and the processes."""
        if not (self.training and is_distributed()):
            return super().forward(inputs)
        axes = [0, *range(2, inputs.dim())]
        wide = inputs.double()
        count = inputs.new_full((1,), inputs.numel() / inputs.shape[1], dtype=torch.float64)
        local = torch.cat([wide.sum(axes), wide.square().sum(axes), count])
        total = all_reduce_with_gradient(local)
        sums, squares, count = total.split([self.num_features, self.num_features, 1])
        mean = sums / count
        variance = (squares / count - mean.square()).clamp_min(0)
        if self.track_running_stats:
            self._update_statistics(mean.detach(), variance.detach(), count.detach())
        shape = [1, -1] + [1] * (inputs.dim() - 2)
        scale = (variance + self.eps).rsqrt()
        output = (wide - mean.view(shape)) * scale.view(shape)
        output = output.to(inputs.dtype)
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output

    def _update_statistics(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / float(self.num_batches_tracked)
        unbiased = variance * count / (count - 1).clamp_min(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


def convert_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Replace batch normalisation by its synchronised form, torch's own on a GPU."""
    if torch.cuda.is_available():
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            # the very module: it may stand in several places, its weights may be frozen
            norm.__class__ = GlooSyncBatchNorm
    return model


def average_statistics(model: nn.Module) -> None:
    """Give every process the mean of all processes' batch norm statistics.

    Without synchronised batch norm each process sees its own images; what is validated and saved
    would be that of one of them.
    """
    if get_world_size() == 1:
        return
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    if not buffers:
        return
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    all_reduce(flat, op='mean')
    for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers])):
        buffer.copy_(mean)


def unwrap(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper of a distributed run."""
    return model.module if isinstance(model, DistributedDataParallel) else model
