"""Training of a routed network on the channels that a task keeps alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bmtas.task_routing.norms import TaskBatchNorm
from bmtas.task_routing.plan import ChannelPlan
from bmtas.task_routing.slicing import slice_module

STATISTICS = ('running_mean', 'running_var')
Frame = tuple[nn.Module, dict[str, tuple[Tensor | None, Tensor | None]]]
"""A part of few channels, and by site the input and output channels that it keeps."""


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
        self._frames: dict[tuple[int, int], Frame] = {}

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
        if (part, task) not in self._frames:
            self._frames[part, task] = self._frame(part, task, plain())
        frame, indices = self._frames[part, task]
        if frame.training != module.training:
            frame.train(module.training)
        tensors, write_back = {}, []
        for name, (inputs, outputs) in indices.items():
            bare = module.get_submodule(name)
            own = _tensors(getattr(bare, 'inner', bare), task)
            for key, whole in own.items():
                cut = _cut(whole, inputs, outputs) if whole.dim() else whole
                tensors[f'{name}.{key}' if name else key] = cut
                if key in STATISTICS and cut is not whole:
                    write_back.append((whole, cut, outputs))
        x = functional_call(frame, tensors, (x,))
        for whole, cut, outputs in write_back if module.training else ():
            whole.index_copy_(0, outputs.to(cut.device), cut)
        return x

    def _frame(self, part: int, task: int, plain: nn.Module) -> Frame:
        """The part cut to a task's channels, without weights, and what to cut out of them."""
        sites, kept = self.plan.sites[part], self.kept[task]
        indices = {
            name: (
                _index(kept[site.inputs]) if site.groups == 1 else None,
                _index(kept[site.outputs]),
            )
            for name, site in sites.items()
        }
        return slice_module(plain.to('meta'), sites, kept), indices

    def widen(self, x: Tensor, units: np.ndarray, task: int) -> Tensor:
        """All channels of a feature: 0 in the masked ones."""
        kept = self.kept[task, units]
        if kept.all():
            return x
        wide = x.new_zeros(len(x), len(kept), *x.shape[2:])
        return wide.index_copy(1, torch.from_numpy(np.flatnonzero(kept)).to(x.device), x)


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


def _cut(whole: Tensor, inputs: Tensor | None, outputs: Tensor | None) -> Tensor:
    cut = whole if outputs is None else whole.index_select(0, outputs.to(whole.device))
    if whole.dim() > 1 and inputs is not None:
        cut = cut.index_select(1, inputs.to(whole.device))
    return cut


def _index(kept: np.ndarray) -> Tensor | None:
    """Numbers of the kept channels, None for all."""
    return None if kept.all() else torch.from_numpy(np.flatnonzero(kept))
