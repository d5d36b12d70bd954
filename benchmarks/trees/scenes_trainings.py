"""Supergraphs, and probes of a half-trained Shared network, on the data of ShapeScenes' table."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from planted_search import ALPHA_RATE, COLD, HOT, Variant
from planted_signals import LONGER
from scenes import TASKS, Network, costs, losses, task_loss
from shapescenes_table import (
    BATCH,
    LAYERS,
    POWER,
    RATE,
    UPDATES,
    adamw,
    batches,
    chosen,
    log_losses,
    log_update,
)
from torch import Tensor

from bmtas.branching import BranchingTree, expected_cost
from bmtas.models.encoders.routing import gumbel_softmax
from bmtas.search.gradient.decoding import sharing_probability
from bmtas.search.gradient.hooks import batch_norms
from bmtas.search.surrogate import probe_trees
from bmtas.search.uniform import tree_weights

NAMES = tuple(TASKS)
ALPHA_PHASE, WEIGHT_PHASE, ALPHA_SHARE = 5, 20, 0.2
RECALIBRATION = 10
"""Batches of training scenes from which a tree of a supergraph takes its batch statistics."""

Split = Mapping[str, Tensor]


class Supergraph:
    """The separate networks' stages as candidates that every task may use.

    Args:
        seed: Of the weights, alpha, batches and noise.
        updates: Of the weights.
    """

    def __init__(self, seed: int, updates: int = UPDATES) -> None:
        self.net = Network(BranchingTree.separate(LAYERS, NAMES), seed)
        self.seed, self.updates = seed, updates
        self.rng = np.random.default_rng((seed, 1))
        noise = 1e-3 * self.rng.standard_normal((LAYERS, len(NAMES), len(NAMES)))
        self.alpha = torch.tensor(noise, dtype=torch.float32, requires_grad=True)
        self.generator = torch.Generator().manual_seed(seed)

    def mixed(self, images: Tensor, mixing: Tensor, task: int) -> Tensor:
        """Logits of a task whose stages are mixtures by ``mixing`` (L, T, K)."""
        stages = []
        x = self.net.stem(images)
        for candidates, weights in zip(self.net.stages, mixing[:, task]):
            used = [pair for pair in zip(candidates, weights) if pair[1] != 0]
            x = sum(weight * stage(x) for stage, weight in used)
            stages.append(x)
        return self.net.heads[NAMES[task]](x, stages[0])

    def along(self, images: Tensor, candidates: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Logits of all tasks, each along its own candidates (L, T); equal ones run once."""
        before, low = [self.net.stem(images)] * len(NAMES), None
        for stages, numbers in zip(self.net.stages, candidates):
            done: dict[tuple[int, int], Tensor] = {}
            for x, number in zip(before, numbers):
                if (id(x), number) not in done:
                    done[id(x), number] = stages[number](x)
            before = [done[id(x), number] for x, number in zip(before, numbers)]
            low = low or before
        return {task: self.net.heads[task](f, g) for task, f, g in zip(NAMES, before, low)}

    def sample(self, temperature: float, top_k: int = 0) -> Tensor:
        """Gumbel-softmax weights (L, T, K), the largest ones of a row or all."""
        return gumbel_softmax(self.alpha, temperature, self.generator, top_k=top_k)

    def search(self, train: Split, variant: Variant, price: float) -> tuple[list, np.ndarray]:
        """A whole search.

        Args:
            train: The training scenes; a fifth of them is alpha's.
            variant: What differs from the paper.
            price: Of doubling the cost of Shared, in units of the tasks' summed losses.

        Returns:
            Routes (L, T) of the largest alphas, and (L, T, T) the mean over the last third of the
            cycles of the probability that two tasks share a layer.
        """
        cut = round(len(train['image']) * (1 - ALPHA_SHARE))
        parts = {'weights': np.arange(cut), 'alpha': np.arange(cut, len(train['image']))}
        batch = {name: self._draws(train, part) for name, part in parts.items()}
        weights = adamw(self.net)
        alpha = torch.optim.Adam([self.alpha], ALPHA_RATE, (0.5, 0.999))
        own = torch.eye(len(NAMES)).expand(LAYERS, -1, -1)
        for _ in range(variant.warmup):
            self._weight_update(weights, next(batch['weights']), own)
        cycles, seen = self.updates // WEIGHT_PHASE, []
        for cycle in range(cycles):
            progress = cycle / cycles
            temperature = HOT + (COLD - HOT) * progress
            weights.param_groups[0]['lr'] = RATE * (1 - progress) ** POWER
            for _ in range(ALPHA_PHASE):
                self._alpha_update(alpha, next(batch['alpha']), temperature, variant, price)
            for _ in range(WEIGHT_PHASE):
                mixing = self.sample(temperature, variant.top_k).detach()
                self._weight_update(weights, next(batch['weights']), mixing)
            if 3 * (cycle + 1) > 2 * cycles:
                seen.append(sharing_probability(self.alpha).numpy())
        routes = BranchingTree.from_routes(self.alpha.argmax(-1)).routes
        return routes.tolist(), np.mean(seen, 0)

    def _draws(self, train: Split, part: np.ndarray) -> Iterator[dict[str, Tensor]]:
        """Batches of a part of the scenes without end."""
        while True:
            for numbers in np.array_split(self.rng.permutation(part), len(part) // BATCH):
                yield chosen(train, numbers)

    def _weight_update(
        self, optimizer: torch.optim.Optimizer, batch: Split, mixing: Tensor
    ) -> None:
        """One step for each task in turn."""
        for task, name in enumerate(NAMES):
            optimizer.zero_grad()
            if (mixing[:, task].max(-1).values == 1).all():
                numbers = mixing.argmax(-1)[:, [task] * len(NAMES)].tolist()
                logits = self.along(batch['image'], numbers)[name]
            else:
                logits = self.mixed(batch['image'], mixing, task)
            task_loss(name, logits, batch).backward()
            optimizer.step()

    def _alpha_update(
        self,
        optimizer: torch.optim.Optimizer,
        batch: Split,
        temperature: float,
        variant: Variant,
        price: float,
    ) -> None:
        """One step on the tasks' losses and the price of the expected cost."""
        mixing = self.sample(temperature, variant.top_k)
        parts = [
            task_loss(name, self.mixed(batch['image'], mixing, task), batch)
            for task, name in enumerate(NAMES)
        ]
        total = sum(part.log() if variant.logs else part for part in parts)
        stem, layers, heads = costs()
        whole = stem + sum(layers) + heads
        shares = [layer / whole for layer in layers]
        total = total + price * expected_cost(self.alpha, shares, variant.cost)
        self.alpha.grad = torch.autograd.grad(total, self.alpha)[0]
        optimizer.step()


class UniformSupergraph(Supergraph):
    """A supergraph that is trained on the log losses of random trees, see ``search.uniform``."""

    def __init__(self, seed: int, trees: Sequence[BranchingTree], updates: int = UPDATES) -> None:
        super().__init__(seed, updates)
        self.trees = trees
        stem, layers, heads = costs()
        self.costs = np.array([np.dot(layers, tree.num_groups) for tree in trees]) + stem + heads

    def candidates(self, tree: BranchingTree) -> list[list[int]]:
        """(L, T): each group on the candidate of a random member."""
        return tree_weights(tree, self.rng.permutation(tree.num_tasks)).argmax(-1).tolist()

    def train(self, train: Split) -> float:
        """The whole training; returns its price in trainings of Shared."""
        updates, spent = LONGER * self.updates, 0.0
        optimizer = adamw(self.net)
        for update, batch in enumerate(batches(self.seed, updates)):
            distance = np.abs(self.costs - self.rng.uniform(self.costs.min(), self.costs.max()))
            number = int(self.rng.choice(np.flatnonzero(distance == distance.min())))
            spent += self.costs[number]
            numbers = self.candidates(self.trees[number])
            along = partial(self.along, candidates=numbers)
            log_update(along, optimizer, chosen(train, batch), update / updates)
        return spent / self.costs.min() / self.updates

    @torch.no_grad()
    def scores(self, train: Split, held_out: Split) -> np.ndarray:
        """(N, T) held-out log losses of all trees, each with batch statistics of its own."""
        norms, found = list(batch_norms(self.net)), []
        for norm in norms:
            norm.momentum = None  # the plain mean over the batches
        for tree in self.trees:
            numbers = self.candidates(tree)
            for norm in norms:
                norm.reset_running_stats()
            self.net.train()
            for batch in list(batches(self.seed, RECALIBRATION)):
                self.along(train['image'][batch], numbers)
            self.net.eval()
            parts = [self.along(part, numbers) for part in held_out['image'].split(50)]
            logits = {task: torch.cat([part[task] for part in parts]) for task in TASKS}
            found.append(losses(logits, held_out).log())
        return torch.stack(found).numpy()


def probe(data: Mapping[str, Split], seed: int, updates: int = UPDATES) -> np.ndarray:
    """Held-out log losses (P, T) of the trees of one split, and of Shared, after short trainings.

    All start from one Shared network after half of the updates.
    """
    shared = BranchingTree.shared(LAYERS, NAMES)
    first, half, order = Network(shared, seed), updates // 2, list(batches(seed, updates))
    optimizer = adamw(first)

    def go_on(model: Network, own: torch.optim.Optimizer, begin: int, end: int) -> None:
        for update in range(begin, end):
            log_update(model, own, chosen(data['train'], order[update]), update / updates)

    go_on(first, optimizer, 0, half)
    found = []
    for routes in (*probe_trees(LAYERS, len(NAMES)), shared.routes):
        model = Network(BranchingTree.from_routes(routes, NAMES), seed)
        own = adamw(model)
        inherit(model, own, first, optimizer)
        go_on(model, own, half, half + updates // 4)
        found.append(log_losses(model, data['held_out'])[0].numpy())
    return np.stack(found)


def inherit(
    model: Network,
    optimizer: torch.optim.Optimizer,
    first: Network,
    others: torch.optim.Optimizer,
) -> None:
    """Weights, statistics and moments of a Shared network for all copies of its stages."""
    known = first.state_dict()
    origin = {name: _of_shared(name) for name in model.state_dict()}
    model.load_state_dict({name: known[source] for name, source in origin.items()})
    parameters = dict(first.named_parameters())
    for name, parameter in model.named_parameters():
        state = others.state[parameters[origin[name]]]
        optimizer.state[parameter] = copy.deepcopy(state)


def _of_shared(name: str) -> str:
    """Name in a Shared network: ``stages.<layer>.<copy>...`` has the copy 0 there."""
    words = name.split('.')
    return '.'.join([*words[:2], '0', *words[3:]] if words[0] == 'stages' else words)
