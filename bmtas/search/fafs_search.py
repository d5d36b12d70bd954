"""FAFS as a search strategy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from bmtas.branching import index_at_cost
from bmtas.files import atomic_path, nearest
from bmtas.models.encoders import encoder_class
from bmtas.progress import progress
from bmtas.registry import STRATEGIES
from bmtas.search.affinity_file import read_affinity, save_affinity
from bmtas.search.context import (
    SearchContext,
    SearchResult,
    Strategy,
)
from bmtas.search.difficulty import MEASURES, image_difficulty
from bmtas.search.fafs import stride_costs, sweep, task_affinity
from bmtas.search.images import batches, choose_images
from bmtas.typed import Count, Natural, Positive


@STRATEGIES.register_module()
class FAFSSearch(Strategy):
    """Fully-adaptive feature sharing: greedy grouping of tasks that find the same images hard.

    Reads a trained Shared network (the config's encoder with all layers shared), lists the
    distinct trees of a sweep over alpha with their costs (``sweep.json``), keeps the affinity
    (``affinity.json``) and returns one of them by its cost.

    Args:
        checkpoint: Checkpoint of the Shared network; or
        affinity: ``affinity.json`` of an earlier run, which needs no network.
        alphas: (first, last, number) of the sweep, evenly spaced in the logarithm.
        branch_cost: Price of one more branch in a layer: 'strides' doubles with every stride-2
            step that follows; 'resource' is the layer's part of the encoder's cost.
        difficulty: 'metric' (error of the image by the task's kind) or 'loss', for all tasks or by
            task name; tasks left out take 'metric'.
        split: Images to look at, without augmentation; never the test split.
        num_images: How many of them, all by default.
        seed: Of the choice of images.
        rule: The cost is 'nearest' to the budget, which may be above it, or the nearest 'at_most'.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        affinity: str | None = None,
        alphas: tuple[Positive, Positive, Count] = (1e-2, 1e3, 201),
        branch_cost: Literal['strides', 'resource'] = 'strides',
        difficulty: Literal[MEASURES] | Mapping[str, Literal[MEASURES]] = 'metric',
        split: Literal['train', 'val'] = 'train',
        num_images: Count | None = None,
        seed: Natural = 0,
        rule: Literal['nearest', 'at_most'] = 'nearest',
    ) -> None:
        if (checkpoint is None) == (affinity is None):
            raise ValueError('search: FAFSSearch needs either checkpoint or affinity')
        self.checkpoint, self.affinity = checkpoint, affinity
        self.alphas, self.branch_cost, self.difficulty = alphas, branch_cost, difficulty
        self.split, self.num_images, self.seed, self.rule = split, num_images, seed, rule

    def run(self, context: SearchContext) -> SearchResult:
        """Measure the affinity, sweep alpha, choose a tree; few costs can be reached."""
        budget = context.needed_budget()
        affinity = self._affinity(context)
        first, last, number = self.alphas
        found = sweep(
            affinity,
            self._branch_costs(context),
            context.names,
            [0.0, *np.geomspace(first, last, number)],
        )
        rows = [
            dict(alpha=alpha, cost=tree.cost(context.table), config=tree.routes.tolist())
            for alpha, tree in found
        ]
        context.save('sweep.json', dict(tasks=list(context.names), trees=rows))
        context.log(f'{len(found)} distinct trees between alpha 0 and {last:g}:')
        for alpha, tree in found:
            context.log(f'  alpha {alpha:<10.4g} {context.describe(tree)}')
        # the Shared network, of alpha 0, is among them, and every budget allows it
        alpha, tree = found[index_at_cost([row['cost'] for row in rows], budget, self.rule)]
        place = 'nearest to' if self.rule == 'nearest' else 'nearest within'
        context.log(
            f'{place} the budget of {budget:,.0f}: alpha {alpha:.4g}, {context.describe(tree)}'
        )
        return context.result(tree)

    def _branch_costs(self, context: SearchContext) -> list[float]:
        if self.branch_cost == 'strides':
            return stride_costs(
                context.of_backbone('branch_strides', "use search.branch_cost='resource'")
            )
        total = sum(context.table.layers)
        return [cost / total for cost in context.table.layers]

    def _affinity(self, context: SearchContext) -> np.ndarray:
        if self.affinity is not None:
            affinity = read_affinity(self.affinity, context.names)
            if len(affinity) > 1:
                raise ValueError(
                    f'search.affinity: {self.affinity} has {len(affinity)} locations, it is of '
                    'another strategy'
                )
            return affinity[0]
        difficulty = self.measure(context)
        affinity = task_affinity(difficulty)
        save_affinity(context, affinity[None], ['images'])
        with atomic_path(context.work_dir / 'difficulty.npy') as part:
            np.save(part, difficulty)
        return affinity

    def measure(self, context: SearchContext) -> np.ndarray:
        """Difficulty of each image for each task, (N, T)."""
        kinds = self._kinds(context)
        encoder = context.cfg['model']['encoder']
        shared = encoder_class(encoder).config_of_tree(encoder, 'shared')
        model = context.model(shared, self.checkpoint)
        dataset = context.dataset(self.split)
        indices = choose_images(len(dataset), self.num_images, self.seed)
        rows = []
        for batch in progress(batches(dataset, indices), 'difficulty of images', len(indices)):
            batch = model.data_preprocessor(batch)
            rows.append(image_difficulty(model, batch['inputs'], batch['data_samples'][0], kinds))
        return np.array(rows)

    def _kinds(self, context: SearchContext) -> dict[str, str]:
        given = self.difficulty
        if isinstance(given, str):
            return dict.fromkeys(context.names, given)
        for name in given:
            if name not in context.names:
                raise ValueError(
                    f'search.difficulty: no task {name!r}; {nearest(name, context.names)}'
                )
        return {name: given.get(name, 'metric') for name in context.names}
