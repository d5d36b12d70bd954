"""Training of a routed network on the channels that a task keeps alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bmtas.task_routing.channels import Site
from bmtas.task_routing.norms import TaskBatchNorm
from bmtas.task_routing.plan import ChannelPlan
from bmtas.task_routing.slicing import slice_module

STATISTICS = ('running_mean', 'running_var')


class KeptParts:
    """Runs parts of a routed network on the channels that a task keeps.

    What masked channels would compute is multiplied by 0 and gets no gradient, so it is left out:
    the weights are cut at every call, and the gradient lands in the whole ones.

    Args:
        plan: Of the network.
        kept: For each task and unit whether it is kept, bool (T, U).
    """

    def __init__(self, plan: ChannelPlan, kept: np.ndarray) -> None:
        self.plan, self.kept = plan, kept
        self._frames: dict[tuple[int, int], nn.Module] = {}

    def run(
        self, part: int, task: int, module: nn.Module, plain: Callable[[], nn.Module], x: Tensor
    ) -> Tensor:
        """Run a part.

        Args:
            part: Its index, the stem first.
            task: The first of the tasks that share it.
            module: The part itself.
            plain: Gives a copy without routers; asked for once.
            x: (N, C, H, W), the kept channels of the part before.

        Raises:
            ValueError: A mask cuts through what cannot be cut exactly, see ``slice_module``.
        """
        sites, kept = self.plan.sites[part], self.kept[task]
        if (part, task) not in self._frames:
            frame = slice_module(plain().to('meta'), sites, kept)
            self._frames[part, task] = frame
        frame = self._frames[part, task].train(module.training)
        tensors, write_back = {}, []
        for name, site in sites.items():
            bare = module.get_submodule(name) if name else module
            own = _tensors(getattr(bare, 'inner', bare), task)
            for key, whole in own.items():
                cut = _cut(whole, site, kept) if whole.dim() else whole
                tensors[f'{name}.{key}' if name else key] = cut
                if key in STATISTICS and cut is not whole:
                    write_back.append((whole, cut, site))
        x = functional_call(frame, tensors, (x,))
        for whole, cut, site in write_back if module.training else ():
            whole.index_copy_(0, _index(kept[site.outputs], cut.device), cut)
        return x

    def widen(self, x: Tensor, units: np.ndarray, task: int) -> Tensor:
        """All channels of a feature: 0 in the masked ones."""
        kept = self.kept[task, units]
        if kept.all():
            return x
        wide = x.new_zeros(len(x), len(kept), *x.shape[2:])
        return wide.index_copy(1, _index(kept, x.device), x)


def _tensors(module: nn.Module, task: int) -> dict[str, Tensor]:
    """Weights and statistics of a module as a task uses them."""
    if not isinstance(module, TaskBatchNorm):
        return {**dict(module.named_parameters()), **dict(module.named_buffers())}
    own = dict(module.norm.named_parameters())
    if module.weight is not None:
        own = dict(weight=module.weight[task], bias=module.bias[task])
    own |= {key: getattr(module, key)[task] for key in STATISTICS}
    count = torch.zeros((), dtype=torch.long, device=module.running_mean.device)
    return dict(own, num_batches_tracked=count)


def _cut(whole: Tensor, site: Site, kept: np.ndarray) -> Tensor:
    inputs, outputs = kept[site.inputs], kept[site.outputs]
    cut = whole if outputs.all() else whole.index_select(0, _index(outputs, whole.device))
    if whole.dim() > 1 and site.groups == 1 and not inputs.all():
        cut = cut.index_select(1, _index(inputs, whole.device))
    return cut


def _index(kept: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.flatnonzero(kept)).to(device)
