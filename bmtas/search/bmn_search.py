"""BMN as a search strategy, and the affinities of the representation similarity analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bmtas.branching import FRONT_METHODS, MAX_ITEMS, tree_front
from bmtas.models import MultiTaskModel
from bmtas.progress import progress
from bmtas.registry import STRATEGIES
from bmtas.search.affinity_file import read_affinity, save_affinity
from bmtas.search.bmn import GroupScores, dissimilarity, location_costs, rank_affinity, spans
from bmtas.search.context import (
    PICTURES,
    SearchContext,
    SearchResult,
    Strategy,
)
from bmtas.search.front import Front
from bmtas.search.images import batches, choose_images
from bmtas.typed import Count, Natural
from bmtas.visualization import draw_affinity


@STRATEGIES.register_module()
class BMNSearch(Strategy):
    """Branched multi-task networks: group the tasks whose single-task networks see alike.

    Reads trained single-task networks, keeps the affinity of the tasks at
    every location (``affinity.json``) and finds the best tree for every budget.

    Args:
        checkpoint: Checkpoint of the single-task networks, or a list of checkpoints whose weights
            complete each other; or
        affinity: ``affinity.json`` of an earlier run with the same locations.
        locations: 'all' compares after every layer; 'stages' at the end of every stage, and the
            tree does not branch inside a stage.
        weight: A location's score is the mean over 'clusters' (as published) or over 'tasks'.
        method: 'dp' and 'exhaustive' find the best tree, for up to nine tasks; 'beam' a good one,
            for any number of tasks.
        beam_width: Groupings that the beam search keeps for each number of groups.
        num_images: Number of images to compare.
        split: Where they are from, without augmentation; never the test split.
        seed: Of the choice of images.
        pool: Side to which feature maps are reduced by averaging; None compares them whole.
        block: Images whose features are in memory at a time; with less than ``num_images``
            features are computed several times.
        encoder: Config of the encoder of the single-task networks, with features for each task that
            depend on nothing else; by default ``SingleTaskEncoder`` with the config's backbone.
    """

    def __init__(
        self,
        checkpoint: str | Sequence[str] | None = None,
        affinity: str | None = None,
        locations: Literal['all', 'stages'] = 'all',
        weight: Literal['clusters', 'tasks'] = 'clusters',
        method: Literal[FRONT_METHODS] = 'dp',
        beam_width: Count = 50,
        num_images: Count = 500,
        split: Literal['train', 'val'] = 'train',
        seed: Natural = 0,
        pool: Count | None = None,
        block: Count = 100,
        encoder: Mapping[str, Any] | None = None,
    ) -> None:
        if (checkpoint is None) == (affinity is None):
            raise ValueError('search: BMNSearch needs either checkpoint or affinity')
        self.checkpoint, self.affinity = checkpoint, affinity
        self.encoder = dict(encoder or dict(type='SingleTaskEncoder'))
        self.locations, self.weight = locations, weight
        self.method, self.beam_width = method, beam_width
        self.num_images, self.split, self.seed = num_images, split, seed
        self.pool, self.block = pool, block

    def run(self, context: SearchContext) -> SearchResult:
        """Measure the affinity, find the best tree.

        Raises:
            ValueError: The budget cannot be met, or there are too many tasks for the method.
        """
        budget = context.needed_budget()
        if self.method != 'beam' and len(context.names) > MAX_ITEMS:
            raise ValueError(
                f"search.method: '{self.method}' takes up to {MAX_ITEMS} tasks, there are "
                f"{len(context.names)}; use 'beam'"
            )
        layers = range(context.num_layers)
        if self.locations == 'stages':
            layers = context.of_backbone('stage_ends', "use search.locations='all'")
        named = [context.table.layer_names[layer] for layer in layers]
        if self.affinity is not None:
            affinity = read_affinity(self.affinity, context.names)
        else:
            affinity = self.measure(context, layers)
            save_affinity(context, affinity, named)
        if len(affinity) != len(layers):
            raise ValueError(
                f'search.affinity: {self.affinity} has {len(affinity)} locations, '
                f"locations='{self.locations}' of this encoder are {len(layers)}"
            )
        lengths = spans(layers, context.num_layers)
        found = tree_front(
            location_costs(context.table.layers, lengths),
            GroupScores(affinity, self.weight),
            context.names,
            self.method,
            self.beam_width,
        )
        score = 'mean dissimilarity of tasks that share'
        front = Front.of(found, context.table, score, lengths)
        result = context.result(front.trees[front.best(budget)], front)
        path = context.work_dir / PICTURES / 'affinity.png'
        draw_affinity(affinity, context.names, named, path, result.tree)
        context.log(f'affinities beside the tree in {path}')
        context.log(f'best tree within {budget:,.0f}: {context.describe(result.tree)}')
        return result

    def measure(self, context: SearchContext, layers: Sequence[int]) -> np.ndarray:
        """Affinity of the tasks after the given layers, (D, T, T)."""
        model = context.model(self.encoder, self.checkpoint)
        dataset = context.dataset(self.split)
        indices = choose_images(len(dataset), self.num_images, self.seed)
        matrices = []
        for task in context.names:

            def features(numbers: Sequence[int], task: str = task) -> list[Tensor]:
                chosen = [indices[number] for number in numbers]
                parts = [
                    collect_features(model, model.data_preprocessor(batch)['inputs'], task, layers)
                    for batch in batches(dataset, chosen)
                ]
                return [torch.cat([self._reduce(x) for x in maps]) for maps in zip(*parts)]

            def bar(steps: range, task: str = task) -> Iterable[int]:
                return progress(steps, f'representations of {task}', len(steps))

            matrices.append(dissimilarity(features, len(indices), self.block, bar))
        return rank_affinity(np.stack(matrices))

    def _reduce(self, feature: Tensor) -> Tensor:
        return feature if self.pool is None else F.adaptive_avg_pool2d(feature, self.pool)


@torch.no_grad()
def collect_features(
    model: MultiTaskModel, inputs: Tensor, task: str, layers: Sequence[int]
) -> list[Tensor]:
    """Outputs of some layers of one task's network for normalised images (N, 3, H, W)."""
    found: dict[int, Tensor] = {}
    with _recorded(model, task, layers, found):
        model.encoder(inputs, [task])
    return [found[layer] for layer in layers]


@contextmanager
def _recorded(
    model: MultiTaskModel, task: str, layers: Sequence[int], found: dict[int, Tensor]
) -> Iterator[None]:
    """Put the output of each layer into ``found`` while the network runs."""

    def record(layer: int):
        return lambda _module, _inputs, output: found.__setitem__(layer, output)

    handles = [
        part.module.register_forward_hook(record(part.layer))
        for part in model.encoder.parts()
        if part.layer in layers and task in part.tasks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
