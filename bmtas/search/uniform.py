"""A supergraph of uniformly drawn trees, whose trees are compared with inherited weights.

No alpha and no warm-up: every update draws a tree and trains its candidates on the sum of the log
losses. A group of tasks uses the candidate of one of its members, the one that comes first in an
order of the tasks that is drawn too: with a fixed order the first task would always use the same
candidates, whatever the tree. Afterwards a tree is evaluated with the weights that it inherits,
after new batch norm statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from bmtas.branching import BranchingTree
from bmtas.engine import Purpose, position_rng
from bmtas.engine.loops import UpdateLoop
from bmtas.registry import LOOPS
from bmtas.search.gradient.hooks import batch_norms
from bmtas.search.gradient.updates import weight_update

# of a training's optimizer wrapper; the supergraph's has its own
_WRAPPER = ('constructor', 'paramwise_cfg')


def tree_weights(tree: BranchingTree, order: Sequence[int]) -> Tensor:
    """One-hot mixing weights (L, T, T): each group on the candidate of its first task.

    Args:
        tree: The tree.
        order: Numbers of the T tasks, the one that counts as the first comes first.
    """
    order = np.asarray(order)
    same = tree.routes[:, :, None] == tree.routes[:, None, order]
    members = torch.from_numpy(order[same.argmax(-1)])
    return nn.functional.one_hot(members, len(order)).float()


@LOOPS.register_module()
class UniformTreeLoop(UpdateLoop):
    """Trains a supergraph by trees drawn from a list; which one is a function of the update.

    Args:
        runner, dataloader, max_iters, val_interval, val_begin: As in UpdateLoop.
        trees: (N, L, T) routes.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Mapping[str, Any],
        max_iters: int,
        trees: Sequence[Sequence[Sequence[int]]],
        val_interval: int = 1000,
        val_begin: int = 1,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, val_interval, val_begin)
        names = [task.name for task in runner.model.tasks]
        self.trees = [BranchingTree.from_routes(tree, names) for tree in trees]
        self.elasticities = dict.fromkeys(names, 1.0)

    def update(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """One step of a drawn tree."""
        rng = position_rng(self.runner.seed, Purpose.TREES, self._iter)
        tree = self.trees[int(rng.integers(len(self.trees)))]
        model = self.runner.model
        weights = tree_weights(tree, rng.permutation(len(tree.tasks)))
        weights = weights.to(model.encoder.alpha.device)
        wrappers = self.runner.optim_wrapper
        return weight_update(model, batch, wrappers, weights, True, self.elasticities)


def supergraph_config(cfg: Config, trees: np.ndarray) -> None:
    """Turn the config of a branched network's training into that of its supergraph.

    Raises:
        ValueError: The encoder has no backbone whose layers could be copied.
    """
    if 'backbone' not in cfg.model.encoder:
        raise ValueError("search.source: 'supergraph' needs an encoder with a layered backbone")
    cfg.model.encoder = dict(type='SupergraphEncoder', backbone=cfg.model.encoder.backbone)
    options = {k: v for k, v in cfg.optim_wrapper.items() if k not in _WRAPPER}
    still = dict(optimizer=dict(type='SGD', lr=0.0))
    cfg.optim_wrapper = dict(
        constructor='BranchingOptimWrapperConstructor', weights=options, alpha=still
    )
    cfg.param_scheduler = dict(weights=list(cfg.get('param_scheduler') or ()), alpha=[])
    updates = cfg.train_cfg.max_iters
    cfg.train_cfg = dict(type='UniformTreeLoop', max_iters=updates, trees=trees.tolist())


class InheritedTree(nn.Module):
    """A supergraph's model as the network of one tree.

    Args:
        model: MultiTaskModel with a supergraph encoder.
        tree: The tree.
        order: See ``tree_weights``.
    """

    def __init__(self, model: nn.Module, tree: BranchingTree, order: Sequence[int]) -> None:
        super().__init__()
        self.model, self.tasks = model, model.tasks
        self.register_buffer('weights', tree_weights(tree, order).to(model.encoder.alpha))

    @property
    def data_preprocessor(self) -> nn.Module:
        return self.model.data_preprocessor

    def forward(self, **arguments: Any) -> Any:
        return self.model(**arguments, weights=self.weights)

    @torch.no_grad()
    def recalibrate(self, batches: Iterable[Mapping[str, Any]]) -> None:
        """New batch norm statistics: plain means over the batches."""
        norms = list(batch_norms(self.model))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        self.train()
        for batch in batches:
            self(**self.data_preprocessor(batch, True), mode='loss')
        self.eval()
