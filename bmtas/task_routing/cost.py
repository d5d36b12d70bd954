"""What a routed network costs: one task, all tasks, the masked run, a hard-shared pass.

A convolution of one task costs its multiply-adds times kept_in / C_in times kept_out / C_out; all
tasks cost the sum over distinct prefixes of masks. The integers are those that a counter finds on
the compact network.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmtas.resources import count_madds, plain_evaluation
from bmtas.task_routing.masking import plain_head
from bmtas.task_routing.norms import TaskBatchNorm
from bmtas.task_routing.routed import RoutedEncoder
from bmtas.task_routing.units import Site


@dataclass(frozen=True)
class Usage:
    """Multiply-adds and parameters of a module for each of T tasks, both int64 (T,)."""

    madds: np.ndarray
    params: np.ndarray

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.madds + other.madds, self.params + other.params)


def routed_costs(
    encoder: RoutedEncoder,
    heads: nn.ModuleDict,
    input_size: Sequence[int],
    convention: str = 'mac',
) -> dict[str, Any]:
    """Costs of one image in multiply-adds, and parameters.

    Args:
        encoder, heads: On any device; left alone.
        input_size: (H, W) in pixels.
        convention: How multiply-adds are counted. Of another than ``mac`` the compact networks are
            built and counted one by one, and nothing is said of the masked run.

    Returns:
        ``madds``: all tasks in compact form. ``madds_by_task``, ``params_by_task``: the compact
        network of each task alone. ``madds_masked``: all tasks as the masked network runs them,
        each distinct prefix at full cost. ``madds_shared``: one pass that all tasks share wholly.
        ``keep_ratio``.
    """
    kept = encoder.plan.spread(encoder.masks)
    whole = np.ones((1, kept.shape[1]), bool)
    image = torch.empty(1, 3, *input_size, device='meta')
    shadow = copy.deepcopy(encoder).to('meta')
    by_task = Usage(*np.zeros((2, len(kept)), np.int64))
    total = masked = shared = 0
    x = low = image
    for part, sites in enumerate(encoder.plan.sites):
        x, positions = _run(shadow.chain[part], sites, x)
        low = x if part <= 1 + encoder.low_level_index else low
        cost = usage(encoder.chain[part], sites, kept, positions)
        full = int(usage(encoder.chain[part], sites, whole, positions).madds[0])
        nodes = np.unique(encoder.nodes[part])
        by_task += cost
        total += int(cost.madds[nodes].sum())
        masked, shared = masked + full * len(nodes), shared + full
    known: dict[str, dict[str, int]] = {}
    for index, task in enumerate(encoder.tasks):
        head = plain_head(heads[task])
        sites = encoder.plan.head_sites(head)
        kept = encoder.plan.spread(encoder.masks)  # anew: following a head may open units
        if (key := repr(head)) not in known:
            known[key] = _run(copy.deepcopy(head).to('meta'), sites, x, low)[1]
        cost = usage(head, sites, kept[index : index + 1], known[key])
        full = usage(head, sites, np.ones_like(kept[:1]), known[key])
        by_task.madds[index] += cost.madds[0]
        by_task.params[index] += cost.params[0]
        total += int(cost.madds[0])
        masked, shared = masked + int(full.madds[0]), shared + int(full.madds[0])
    known_by_task = dict(
        params_by_task=dict(zip(encoder.tasks, by_task.params.tolist())),
        keep_ratio=encoder.masks.keep_ratio,
    )
    if convention != 'mac':
        return dict(
            madds=_counted(encoder, heads, encoder.tasks, image, convention),
            madds_by_task={
                task: _counted(encoder, heads, [task], image, convention) for task in encoder.tasks
            },
            **known_by_task,
        )
    return dict(
        madds=total,
        madds_by_task=dict(zip(encoder.tasks, by_task.madds.tolist())),
        madds_masked=masked,
        madds_shared=shared,
        **known_by_task,
    )


def _counted(
    encoder: RoutedEncoder,
    heads: nn.ModuleDict,
    tasks: Sequence[str],
    image: Tensor,
    convention: str,
) -> int:
    """Multiply-adds of the compact network of some tasks, by the counter."""
    small = encoder.compact(tasks).to('meta').eval()
    features = small(image, tasks)
    total = count_madds(small, image, convention=convention, tasks=tasks)
    for task in tasks:
        head = small.slice_head(heads[task], task).to('meta')
        total += count_madds(head, *features[task], convention=convention)
    return total


def usage(
    module: nn.Module, sites: Mapping[str, Site], kept: np.ndarray, positions: Mapping[str, int]
) -> Usage:
    """Cost of a module as each task uses it.

    Args:
        module: With or without routers.
        sites: Its sites.
        kept: Units that each task keeps, bool (T, U).
        positions: By site at how many places its weights are used.
    """
    total = Usage(*np.zeros((2, len(kept)), np.int64))
    for name, site in sites.items():
        child = _bare(module, name)
        inputs, outputs = kept[:, site.inputs].sum(1), kept[:, site.outputs].sum(1)
        if site.op in ('conv', 'linear'):
            fan = inputs if site.groups == 1 else child.weight.shape[1]
            weights = fan * outputs * prod(child.weight.shape[2:])
            total += Usage(
                weights * positions[name], weights + (0 if child.bias is None else outputs)
            )
        else:
            vectors = sum(value is not None for value in (child.weight, child.bias))
            if isinstance(child, TaskBatchNorm) and not vectors:
                vectors = sum(p is not None for p in (child.norm.weight, child.norm.bias))
            total += Usage(0 * outputs, vectors * outputs)
    return total


def _bare(module: nn.Module, name: str) -> nn.Module:
    """The module of a site without the router behind it."""
    child = module.get_submodule(name)
    return getattr(child, 'inner', child)


def _run(
    module: nn.Module, sites: Mapping[str, Site], *inputs: Tensor
) -> tuple[Tensor, dict[str, int]]:
    """Run a module on shapes; its output and at how many places each weight is used."""
    positions: dict[str, int] = {}

    def note(name: str, dim: int, child: nn.Module, args: Any, output: Tensor) -> None:
        positions[name] = positions.get(name, 0) + output.numel() // output.shape[dim]

    for name, site in sites.items():
        if site.op in ('conv', 'linear'):
            _bare(module, name).register_forward_hook(partial(note, name, site.dim))
    for routable in module.modules():
        if hasattr(routable, 'task'):
            routable.task = 0
    with torch.no_grad(), plain_evaluation(module):
        return module(*inputs), positions
