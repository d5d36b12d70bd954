"""One network for many tasks, each with its own fixed subset of the channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders import STEM, Encoder, Features, Part
from bmtas.registry import MODELS
from bmtas.task_routing.kept import KeptParts
from bmtas.task_routing.mask_table import MaskTable
from bmtas.task_routing.masking import ChannelMask, Routed, with_routers, without_routers
from bmtas.task_routing.masks import check_keep_ratio
from bmtas.task_routing.norms import TaskBatchNorm, check_norm, convert_norms
from bmtas.task_routing.plan import make_masks, plan_channels
from bmtas.task_routing.router import Routable, set_task
from bmtas.task_routing.units import Site, masked_sites

if TYPE_CHECKING:
    from bmtas.task_routing.compact import CompactEncoder


@MODELS.register_module()
class RoutedEncoder(Encoder):
    """One stem, one copy of each layer; a router behind every convolution's norm.

    Channels that are added or multiplied carry one mask, as do those of depth-wise convolutions and
    their input: the groups are found in the exported graph. Tasks whose masks have been the same so
    far run once.

    Args:
        backbone: Template or its config.
        tasks: Task names.
        keep_ratio: Share of a layer's channels that each task keeps, in (0, 1].
        scheme: Name of a scheme of ``masks.SCHEMES``, or ``dict(name=..., ...)`` with its options:
            ``dict(name='grouped', group_size=8)``, ``dict(name='tree', branching=FILE)``, or
            ``dict(name='file', masks=FILE or its content)``.
        norm: One of ``norms.NORMS``, or ``dict(name='group', group_size=8)``.
        first_layer: Number of parts, the stem being the first, that all tasks share wholly.
        seed: Seed of the masks.
        kept_only: Train batches of one task on its kept channels alone: the same numbers up to
            rounding at the cost of the compact network. For norms whose statistics belong to a
            task or a batch; batches of many tasks run masked, as does evaluation.

    Attributes:
        plan: The channels and their groups.
        masks: The masks by group.

    Raises:
        ValueError: A ratio outside (0, 1], an unknown scheme or norm, a task without any channel,
            a mask file of another network, or a backbone whose channels cannot be followed.
        FileNotFoundError: No such branching or mask file.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        keep_ratio: float = 0.5,
        scheme: str | Mapping[str, Any] = 'random_exact',
        norm: str | Mapping[str, Any] = 'per_task_stats',
        first_layer: int = 0,
        seed: int = 0,
        kept_only: bool = False,
    ) -> None:
        check_keep_ratio(keep_ratio)
        if kept_only and check_norm(norm)['name'] == 'shared':
            raise ValueError(
                "kept_only: norm='shared' has statistics of masked channels, too; take "
                "norm='per_task_stats' or kept_only=False"
            )
        backbone = build_backbone(backbone)
        super().__init__(tasks, **backbone.features)
        self.low_level_index = backbone.low_level_index
        self.norm = check_norm(norm)
        layers = range(backbone.num_layers)
        parts = [backbone.copy_stem(), *(backbone.copy_layer(index) for index in layers)]
        for part in parts:
            convert_norms(part, self.norm)
        self.plan = plan_channels(backbone, parts, first_layer)
        self.masks = make_masks(self.plan, self.tasks, keep_ratio, scheme, seed)
        kept = self.plan.spread(self.masks)
        parts = [
            with_routers(part, masked_sites(self.plan.units, sites), kept, self.norm['name'])
            for part, sites in zip(parts, self.plan.sites)
        ]
        self.stem, self.layers = parts[0], nn.ModuleList(parts[1:])
        self.kept_only = kept_only
        self._use_masks()
        self._head_masks: list[tuple[ChannelMask, int, np.ndarray]] = []
        self.register_load_state_dict_post_hook(lambda module, keys: module._read_masks())

    def _use_masks(self) -> None:
        self.nodes = self.plan.nodes(self.masks)
        self._kept = KeptParts(self.plan, self.plan.spread(self.masks)) if self.kept_only else None

    @property
    def chain(self) -> list[nn.Module]:
        """Stem and layers, in order."""
        return [self.stem, *self.layers]

    def routables(self) -> list[list[Routable]]:
        """For each part what has an active task."""
        return [[m for m in part.modules() if isinstance(m, Routable)] for part in self.chain]

    def forward(
        self,
        images: Tensor,
        tasks: Sequence[str],
        rows: Mapping[str, Sequence[int]] | None = None,
    ) -> Features:
        """Encode images for the named tasks.

        Args:
            images: (N, 3, H, W).
            tasks: Names.
            rows: Which images each task is run on, by its name: all pairs in one pass, with common
                batch statistics. By default every task is run on every image, each distinct prefix
                of masks once.
        """
        indices = self.task_indices(tasks)
        if rows is not None:
            return self._mixed(images, tasks, indices, rows)
        routables = self.routables()
        found: dict[int, tuple[Tensor, Tensor]] = {}
        # depth first: the activations of one path of the tree are alive at a time
        stack = [(-1, indices, images, images)]
        while stack:
            part, members, x, low = stack.pop()
            if part >= 0:
                node = int(self.nodes[part][members[0]])
                set_task(routables[part], node)
                x = self._run(part, node, x)
                low = x if part <= 1 + self.low_level_index else low
            if part == self.num_layers:
                found.update(dict.fromkeys(members, self._features(x, low, node)))
                continue
            following = self.nodes[part + 1]
            for node in dict.fromkeys(following[members]):
                group = [index for index in members if following[index] == node]
                stack.append((part + 1, group, x, low))
        return {task: found[index] for task, index in zip(tasks, indices)}

    @property
    def _runs_kept(self) -> bool:
        # what is counted, compiled or exported has the masks
        return self._kept is not None and self.training and not torch.compiler.is_compiling()

    def _run(self, part: int, node: int, x: Tensor) -> Tensor:
        module = self.chain[part]
        if not self._runs_kept:
            return module(x)
        return self._kept.run(part, node, module, partial(self.plain_part, part, node), x)

    def _features(self, deep: Tensor, low: Tensor, node: int) -> tuple[Tensor, Tensor]:
        if not self._runs_kept:
            return deep, low
        pairs = zip((deep, low), self.plan.features)
        return tuple(self._kept.widen(x, value.units, node) for x, value in pairs)

    def _mixed(
        self,
        images: Tensor,
        tasks: Sequence[str],
        indices: Sequence[int],
        rows: Mapping[str, Sequence[int]],
    ) -> Features:
        counts = [len(rows[task]) for task in tasks]
        order = torch.tensor([row for task in tasks for row in rows[task]], device=images.device)
        ids = torch.tensor(indices).repeat_interleave(torch.tensor(counts))
        ids = ids.to(images.device)
        x = low = images[order].contiguous(memory_format=_layout(images))
        for index, (part, routables) in enumerate(zip(self.chain, self.routables())):
            set_task(routables, ids)
            x = part(x)
            low = x if index <= 1 + self.low_level_index else low
        return dict(zip(tasks, zip(x.split(counts), low.split(counts))))

    def parts(self) -> list[Part]:
        """The stem and the layers, shared by all tasks."""
        layers = [self.part(f'layers.{i}', i, self.tasks) for i in range(self.num_layers)]
        return [self.part('stem', STEM, self.tasks), *layers]

    def init_heads(self, heads: nn.ModuleDict) -> None:
        """Mask what heads do to masked channels before they mix them, e.g. a depth-wise norm."""
        for index, task in enumerate(self.tasks):
            for site in masked_sites(self.plan.units, self.plan.head_sites(heads[task])):
                mask = ChannelMask(self.plan.spread(self.masks)[index, site.outputs])
                self._head_masks.append((mask, index, site.outputs))
                inner = heads[task].get_submodule(site.name)
                heads[task].set_submodule(site.name, Routed(inner, mask))

    def _routed(self) -> Iterator[tuple[Site, Routed]]:
        """What has a router, by site."""
        for part, sites in zip(self.chain, self.plan.sites):
            for site in masked_sites(self.plan.units, sites):
                yield site, part.get_submodule(site.name)

    def set_masks(self, masks: MaskTable) -> None:
        """Exchange the masks; tasks that part keep the statistics that they shared."""
        before, kept = self.nodes, self.plan.spread(masks)
        self.masks = masks
        self._use_masks()
        for site, routed in self._routed():
            routed.router.mask.copy_(torch.from_numpy(kept[:, site.outputs]))
        for part, nodes in zip(self.chain, before):
            for module in part.modules():
                if isinstance(module, TaskBatchNorm):
                    module.share(nodes)
        for mask, index, units in self._head_masks:
            mask.mask.copy_(torch.from_numpy(kept[index, units]))

    def _read_masks(self) -> None:
        """Take the masks from the routers, after a checkpoint was loaded into them."""
        kept = self.plan.spread(self.masks)
        for site, routed in self._routed():
            kept[:, self.plan.units.roots(site.outputs)] = routed.router.mask.cpu().numpy()
        layers = {name: kept[:, units] for name, units in self.plan.groups.items()}
        self.masks = replace(self.masks, layers=layers)
        self._use_masks()

    def plain_part(self, part: int, task: int) -> nn.Module:
        """A copy of a part as a task uses it, with all channels and without routers."""
        sites = masked_sites(self.plan.units, self.plan.sites[part])
        return without_routers(self.chain[part], sites, task)

    def costs(
        self, heads: nn.ModuleDict, input_size: Sequence[int], convention: str
    ) -> dict[str, Any]:
        """One task, all tasks in compact form, the masked run, see ``cost.routed_costs``."""
        from bmtas.task_routing.cost import routed_costs

        return routed_costs(self, heads, input_size, convention)

    def compact(self, tasks: Sequence[str], fold: bool = False) -> CompactEncoder:
        """The sub-network of some tasks, cut out exactly.

        Args:
            tasks: Names; tasks with equal masks so far share a layer.
            fold: Fold batch norms into the convolutions before them.

        Raises:
            ValueError: An unknown task, or a norm that a mask cuts; the message names the module.
        """
        from bmtas.task_routing.compact import CompactEncoder

        return CompactEncoder(tasks=tasks, fold=fold, routed=self)


def _layout(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
