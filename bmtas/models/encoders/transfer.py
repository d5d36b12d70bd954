"""Weights of the supergraph for the branched network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from bmtas.branching import BranchingTree
from bmtas.models.backbones import last_norm_name
from bmtas.models.encoders.branched import BranchedEncoder
from bmtas.models.encoders.supergraph import SupergraphEncoder


def load_candidates(branched: BranchedEncoder, supergraph: SupergraphEncoder, routes: Any) -> None:
    """Copy the stem and, for every group, the candidate that its tasks chose.

    The last norm of each copy has scale 1 and shift 0 afterwards, as candidates have none.

    Args:
        branched: Network of the tree of ``routes``; changed in place.
        supergraph: Encoder of the same backbone and tasks.
        routes: (L, T) candidates, e.g. ``supergraph.routes()``.

    Raises:
        ValueError: The routes are not those of the branched network.
    """
    tree = BranchingTree.from_routes(routes, branched.tasks)
    if supergraph.tasks != branched.tasks or tree != branched.tree:
        raise ValueError('load_candidates: routes or tasks differ from those of the network')
    branched.stem.load_state_dict(supergraph.stem.state_dict())
    for index, (copies, groups) in enumerate(zip(branched.layers, branched.tree.groups)):
        for layer, group in zip(copies, groups):
            chosen = int(routes[index][branched.tasks.index(group[0])])
            _load_layer(layer, supergraph.layers[index][chosen])


def _load_layer(layer: nn.Module, candidate: nn.Module) -> None:
    missing: Sequence[str] = layer.load_state_dict(
        candidate.state_dict(), strict=False
    ).missing_keys
    if missing:
        norm = layer.get_submodule(last_norm_name(layer))
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
