"""Cut the kept channels out of a module."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bmtas.task_routing.units import Site


def slice_module(
    module: nn.Module, sites: Mapping[str, Site], kept: np.ndarray, fold: bool = False
) -> nn.Module:
    """Return a copy with the kept channels alone.

    Exact where everything between a mask and the next convolution maps 0 to 0.

    Args:
        module: Without routers.
        sites: Its sites by module name.
        kept: For every unit whether it is kept, (U,).
        fold: Fold batch norms into the convolution before them.

    Raises:
        ValueError: The result would not be exact; the message names the module and the remedy.
    """
    module = copy.deepcopy(module)
    for name, site in sites.items():
        child = module.get_submodule(name)
        inputs, outputs = kept[site.inputs], kept[site.outputs]
        if not site.exact and not inputs.all():
            raise ValueError(
                f'compact: masked channels are not zero where {name} reads them; put a norm and a '
                'ReLU in front of it'
            )
        if site.op == 'conv' and site.groups == 1:
            _slice_weight(child, inputs, outputs)
            child.in_channels, child.out_channels = int(inputs.sum()), int(outputs.sum())
        elif site.op == 'conv':
            _slice_weight(child, None, outputs)
            child.groups = _whole_groups(name, 'convolution', site.groups, outputs)
            child.in_channels = child.out_channels = int(outputs.sum())
        elif site.op == 'linear':
            _slice_weight(child, inputs, outputs)
            child.in_features, child.out_features = int(inputs.sum()), int(outputs.sum())
        else:
            _slice_norm(name, child, site, outputs)
    if fold:
        module = _folded(module, sites)
    return module


def _index(kept: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.flatnonzero(kept)).to(device)


def _slice_weight(child: nn.Module, inputs: np.ndarray | None, outputs: np.ndarray) -> None:
    weight = child.weight.detach()
    rows = _index(outputs, weight.device)
    weight = weight[rows] if inputs is None else weight[rows][:, _index(inputs, weight.device)]
    # the layout in memory decides the speed
    layout = torch.channels_last if _is_channels_last(child.weight) else torch.contiguous_format
    child.weight = nn.Parameter(weight.contiguous(memory_format=layout))
    if child.bias is not None:
        child.bias = nn.Parameter(child.bias.detach()[rows])


def _is_channels_last(weight: Tensor) -> bool:
    return weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)


def _slice_norm(name: str, norm: nn.Module, site: Site, kept: np.ndarray) -> None:
    if isinstance(norm, nn.GroupNorm):
        norm.num_groups = _whole_groups(name, 'group norm', norm.num_groups, kept)
        norm.num_channels = int(kept.sum())
    elif isinstance(norm, _BatchNorm):
        norm.num_features = int(kept.sum())
    elif not kept.all():
        raise ValueError(
            f'compact: {name} ({type(norm).__name__}) normalises kept channels together with '
            'masked ones; only keep_ratio=1 in this layer or batch norm would make it exact'
        )
    index = None
    for key, old in (*norm.named_parameters(), *norm.named_buffers()):
        if old.dim() == 1:
            index = _index(kept, old.device) if index is None else index
            new = old.detach()[index]
            setattr(norm, key, nn.Parameter(new) if isinstance(old, nn.Parameter) else new)


def _whole_groups(name: str, what: str, groups: int, kept: np.ndarray) -> int:
    size = len(kept) // groups
    whole = kept.reshape(groups, size)
    if (whole.any(1) != whole.all(1)).any():
        raise ValueError(
            f'compact: a mask cuts through a group of {what} {name}; exact with '
            f"scheme=dict(name='grouped', group_size={size})"
        )
    return int(whole.all(1).sum())


def _folded(module: nn.Module, sites: Mapping[str, Site]) -> nn.Module:
    for name, site in sites.items():
        if site.op != 'conv' or not site.norm:
            continue
        norm = module.get_submodule(site.norm)
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
            raise ValueError(
                f'fold: {site.norm} ({type(norm).__name__}) has no fixed statistics to fold; leave '
                'the option out'
            )
        conv = module.get_submodule(name)
        module.set_submodule(name, fuse_conv_bn_eval(conv.eval(), norm.eval()))
        module.set_submodule(site.norm, nn.Identity())
    return module
