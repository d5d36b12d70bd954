"""The network built from a branching tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders.base import STEM, Encoder, Features, Part, Work
from bmtas.registry import MODELS


@MODELS.register_module()
class BranchedEncoder(Encoder):
    """One copy of a layer for each group of tasks that share it; the stem is shared by all.

    Args:
        backbone: Template or its config.
        tasks: Task names.
        routes: A ``BranchingTree``, an (L, T) table of routes, the path of a branching file,
            ``'shared'`` (one group everywhere), ``'separate'`` (each task alone everywhere), or
            the content of a branching file.

    Attributes:
        tree: The branching tree in canonical form.

    Raises:
        ValueError: Routes are missing, of another size, or made for other tasks.
    """

    takes_tree = True

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        routes: Any = None,
    ) -> None:
        backbone = build_backbone(backbone)
        super().__init__(tasks, **backbone.features)
        self.low_level_index = backbone.low_level_index
        self.tree = resolve_routes(routes, self.tasks, self.layer_names)
        self.stem = backbone.copy_stem()
        self.layers = nn.ModuleList(
            nn.ModuleList(backbone.copy_layer(index) for _ in groups)
            for index, groups in enumerate(self.tree.groups)
        )
        # group of each task in each layer: index into self.layers[l]
        self._group_of = [
            {task: index for index, group in enumerate(groups) for task in group}
            for groups in self.tree.groups
        ]

    def forward(self, images: Tensor, tasks: Sequence[str]) -> Features:
        """Encode images (N, 3, H, W); a node of the tree runs once, and only when needed."""
        self.task_indices(tasks)
        x = self.stem(images)
        current = dict.fromkeys(tasks, x)
        low = current
        for index, (copies, group_of) in enumerate(zip(self.layers, self._group_of)):
            done: dict[int, Tensor] = {}
            for task in tasks:
                group = group_of[task]
                if group not in done:
                    done[group] = copies[group](current[task])
            current = {task: done[group_of[task]] for task in tasks}
            if index == self.low_level_index:
                low = current
        return {task: (current[task], low[task]) for task in tasks}

    def work(self, tasks: Sequence[str]) -> Work:
        """The same for the same tasks."""
        return ()

    def parts(self) -> list[Part]:
        """The stem and every copy of a layer with the group behind it."""
        copies = [
            self.part(f'layers.{index}.{k}', index, group)
            for index, groups in enumerate(self.tree.groups)
            for k, group in enumerate(groups)
        ]
        return [self.part('stem', STEM, self.tasks), *copies]

    def checkpoint_state(self) -> dict[str, Any]:
        """The routes with the names of their tasks."""
        routes = self.tree.routes.tolist()
        return dict(routes=dict(tasks=list(self.tasks), config=routes))

    @classmethod
    def config_of_tree(cls, cfg: Mapping[str, Any], routes: Any) -> dict[str, Any]:
        """The config with these routes."""
        return dict(cfg, routes=routes)


def resolve_routes(routes: Any, tasks: Sequence[str], layer_names: Sequence[str]) -> BranchingTree:
    """Turn what a config may hold as routes into the tree of these tasks and layers.

    Raises:
        FileNotFoundError: The branching file does not exist.
        ValueError: Nothing given, wrong number of layers or tasks, other task names.
    """
    num_layers, tasks = len(layer_names), tuple(tasks)
    if routes is None:
        raise ValueError(
            'BranchedEncoder: routes are missing; give --branching FILE to the tool, or '
            "model.encoder.routes='shared', 'separate', a branching file or an (L, T) table"
        )
    if isinstance(routes, BranchingTree):
        tree = routes.reorder(tasks)
    elif isinstance(routes, str) and routes in ('shared', 'separate'):
        return getattr(BranchingTree, routes)(num_layers, tasks, layer_names)
    elif isinstance(routes, Mapping):
        missing = [key for key in ('config', 'tasks') if key not in routes]
        if missing:
            raise ValueError(
                f'routes: {missing[0]} is missing; give the table of a branching file as config '
                'and the names of its columns as tasks'
            )
        tree = BranchingTree.from_routes(routes['config'], routes['tasks']).reorder(tasks)
    elif isinstance(routes, (str, Path)):
        tree = BranchingTree.from_file(routes, tasks, num_layers)
    else:
        tree = BranchingTree.from_routes(routes, tasks)
    if tree.num_layers != num_layers:
        raise ValueError(
            f'BranchedEncoder: the routes have {tree.num_layers} rows, '
            f'the encoder {num_layers} layers'
        )
    return BranchingTree.from_routes(tree.routes, tasks, layer_names)
