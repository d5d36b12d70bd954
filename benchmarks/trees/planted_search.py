"""BMTAS on planted trees: many supergraphs with their alphas searched side by side.

    python benchmarks/trees/planted_search.py --dir DIR [--regimes easy hard] [--teachers 20]

writes DIR/REGIME_NN.searches.npz for each teacher that has none: for every variant, lambda and seed
the tree of the largest alphas and the probabilities that two tasks share a layer, averaged over the
last third of the search. ``compare.py`` finds these files beside the tables.

As in the paper: weights and alpha have their own points (80 and 20 %), one step for each task's
weights, soft samples, warm-up of every candidate on its own task, temperature from 5 to 0.1. The
variants change one thing each. Those of equal length run side by side and see the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
from planted import BATCH, POWER, RATE
from teachers import INPUTS, LAYERS, OUTPUTS, WIDTH, Problem, command, draw_problem, missing
from torch import Tensor

from bmtas.branching import BranchingTree, expected_cost
from bmtas.search.gradient.decoding import sharing_probability
from bmtas.search.tree_table import save_arrays

WARMUP, CYCLES, ALPHA_PHASE, WEIGHT_PHASE = 100, 20, 10, 40
ALPHA_RATE, HOT, COLD = 0.05, 5.0, 0.1
LAMBDAS = tuple(np.geomspace(0.01, 1.28, 8).tolist())
"""Price of doubling the cost of Shared, in units of the tasks' summed losses."""


@dataclass(frozen=True)
class Variant:
    """What differs from the paper: its cost, its warm-up, the losses of the alpha updates, how many
    candidates of a layer run in a soft update (0: all)."""

    cost: str = 'exact'
    warmup: int = WARMUP
    logs: bool = False
    cycles: int = CYCLES
    top_k: int = 0

    def units(self, num_tasks: int) -> float:
        """Price of one search in trainings of Shared: node evaluations, 800 updates of one each.

        A soft update runs each task through all or ``top_k`` candidates of every layer, a warm-up
        update through its own.
        """
        runs = num_tasks * (self.top_k or num_tasks)
        soft = self.cycles * (ALPHA_PHASE + WEIGHT_PHASE) * runs
        return (soft + self.warmup * num_tasks) / 800


VARIANTS = {
    'as it is': Variant(),
    "the paper's cost": Variant(cost='paper'),
    'no warm-up': Variant(warmup=0),
    'log losses': Variant(logs=True),
    'log losses, twice as long': Variant(logs=True, cycles=2 * CYCLES),
    'two candidates': Variant(top_k=2),
}


def largest(scores: Tensor, k: int) -> Tensor:
    """Scores (..., K), all but the k largest minus infinity."""
    return scores.where(scores >= scores.topk(k or scores.shape[-1]).values[..., -1:], -torch.inf)


class Supergraphs:
    """V * P supergraphs with T candidates in each layer, trained at once; variant by variant.

    Args:
        problem: The data.
        variants: V of one length.
        settings: P pairs (lambda, seed), the same for each variant.
    """

    def __init__(
        self,
        problem: Problem,
        variants: Sequence[Variant],
        settings: Sequence[tuple[float, int]],
    ) -> None:
        self.variants, self.num = variants, len(settings)
        self.num_tasks = len(problem.regime.tasks)
        x, y = problem.train
        cut = len(x) * 4 // 5
        self.splits = {'weights': (x[:cut], y[:, :cut]), 'alpha': (x[cut:], y[:, cut:])}
        shapes = [(INPUTS, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, OUTPUTS)]
        drawn, noise = [[] for _ in shapes], []
        for _, seed in settings:
            rng = np.random.default_rng((seed, 1))
            for layer, (rows, columns) in enumerate(shapes):
                num = self.num_tasks if layer == LAYERS else 1
                weights = rng.standard_normal((num, rows, columns)) / np.sqrt(rows)
                weights = np.broadcast_to(weights, (self.num_tasks, rows, columns))
                drawn[layer].append(np.pad(weights, ((0, 0), (0, 1), (0, 0))))
            noise.append(1e-3 * rng.standard_normal((LAYERS, self.num_tasks, self.num_tasks)))
        self.weights = [self._copies(layer) for layer in drawn]
        self.alpha = self._copies(noise)
        prices = torch.tensor([price for price, _ in settings]) / LAYERS
        self.prices = prices.repeat(len(variants))
        logs = torch.tensor([variant.logs for variant in variants])
        self.logs = logs.repeat_interleave(self.num)
        self.optimizers = {
            'weights': torch.optim.Adam(self.weights, RATE, fused=True),
            'alpha': torch.optim.Adam([self.alpha], ALPHA_RATE, (0.5, 0.999)),
        }
        self.seed = settings[0][1]
        self.generator = torch.Generator().manual_seed(self.seed)

    def _copies(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """What each variant starts from."""
        stacked = np.concatenate([np.stack(arrays)] * len(self.variants))
        return torch.tensor(stacked, dtype=torch.float32, requires_grad=True)

    def loss(self, x: Tensor, y: Tensor, mixing: Tensor, task: int) -> Tensor:
        """Squared error (S,) of a task: inputs (B, 12), labels (T, B, 4), mixing (S, L, T, K)."""
        h = x.expand(len(self.alpha), *x.shape)
        for layer, weights in enumerate(self.weights[:-1]):
            outputs = torch.einsum('sbi,skio->skbo', h, weights[:, :, :-1]) + weights[:, :, -1:]
            h = torch.einsum('skbo,sk->sbo', outputs.tanh(), mixing[:, layer, task])
        head = self.weights[-1][:, task]
        return (h @ head[:, :-1] + head[:, -1:] - y[task]).square().mean((1, 2))

    def weight_update(self, batch: Tensor, mixing: Tensor) -> None:
        """One step for each task in turn."""
        x, y = self.splits['weights']
        for task in range(self.num_tasks):
            self.optimizers['weights'].zero_grad()
            self.loss(x[batch], y[:, batch], mixing, task).sum().backward()
            self.optimizers['weights'].step()

    def alpha_update(self, batch: Tensor, temperature: float) -> None:
        """One step on the tasks' losses and lambda times the expected cost, Shared as the unit."""
        x, y = self.splits['alpha']
        mixing = self.sample(temperature)
        parts = [self.loss(x[batch], y[:, batch], mixing, t) for t in range(self.num_tasks)]
        total = sum(torch.where(self.logs, part.log(), part) for part in parts)
        costs = [
            torch.func.vmap(partial(expected_cost, costs=torch.ones(LAYERS), mode=variant.cost))(
                alpha
            )
            for variant, alpha in zip(self.variants, self.alpha.split(self.num))
        ]
        total = total + self.prices * torch.cat(costs)
        self.optimizers['alpha'].zero_grad()
        gradient = torch.autograd.grad(total.sum(), self.alpha)[0]
        self.alpha.grad = gradient
        self.optimizers['alpha'].step()

    def sample(self, temperature: float) -> Tensor:
        """Gumbel-softmax weights (S, L, T, K)."""
        noise = torch.empty_like(self.alpha[: self.num]).exponential_(generator=self.generator)
        noise = noise.clamp_min(1e-20).log().repeat(len(self.variants), 1, 1, 1)
        parts = ((self.alpha - noise) / temperature).split(self.num)
        parts = [largest(part, one.top_k) for part, one in zip(parts, self.variants)]
        return torch.cat(parts).softmax(-1)

    def search(self) -> tuple[np.ndarray, np.ndarray]:
        """The whole search.

        Returns:
            Routes (V, P, L, T) of the largest alphas, and (V, P, L, T, T) the mean over the last
            third of the cycles of the probability that two tasks share a layer.
        """
        warmup, cycles = self.variants[0].warmup, self.variants[0].cycles
        own = torch.eye(self.num_tasks).expand(len(self.alpha), LAYERS, -1, -1)
        draw = torch.Generator().manual_seed(self.seed + 1)

        def batch(split: str) -> Tensor:
            return torch.randperm(len(self.splits[split][0]), generator=draw)[:BATCH]

        for _ in range(warmup):
            self.weight_update(batch('weights'), own)
        seen = []
        for cycle in range(cycles):
            progress = cycle / cycles
            temperature = HOT + (COLD - HOT) * progress
            self.optimizers['weights'].param_groups[0]['lr'] = RATE * (1 - progress) ** POWER
            for _ in range(ALPHA_PHASE):
                self.alpha_update(batch('alpha'), temperature)
            for _ in range(WEIGHT_PHASE):
                self.weight_update(batch('weights'), self.sample(temperature).detach())
            if 3 * (cycle + 1) > 2 * cycles:
                seen.append(np.stack([sharing_probability(alpha) for alpha in self.alpha]))
        routes = [BranchingTree.from_routes(alpha.argmax(-1)).routes for alpha in self.alpha]
        shape = len(self.variants), self.num
        found = np.stack(routes), np.mean(seen, 0)
        return tuple(array.reshape(*shape, *array.shape[1:]) for array in found)


def search_all(
    problem: Problem, seeds: Sequence[int], names: Sequence[str] = tuple(VARIANTS)
) -> dict[str, np.ndarray]:
    """All variants of some names, lambdas and seeds.

    Returns:
        ``routes`` (V, P, S, L, T), ``shared`` (V, P, S, L, T, T), ``units`` (V,) of one search, and
        ``variants`` and ``lambdas``, their names and values.
    """
    chosen = {name: VARIANTS[name] for name in names}
    lengths = {(variant.warmup, variant.cycles) for variant in chosen.values()}
    settings, found = list(product(LAMBDAS, seeds)), {}
    for length in sorted(lengths):
        group = [name for name, one in chosen.items() if (one.warmup, one.cycles) == length]
        graphs = Supergraphs(problem, [chosen[name] for name in group], settings)
        found.update(zip(group, zip(*graphs.search())))
    shape, tasks = (len(chosen), len(LAMBDAS), len(seeds)), len(problem.regime.tasks)
    routes, shared = (np.stack([found[name][part] for name in chosen]) for part in range(2))
    return dict(
        variants=list(chosen),
        lambdas=LAMBDAS,
        seeds=list(seeds),
        routes=routes.reshape(*shape, LAYERS, tasks),
        shared=shared.reshape(*shape, LAYERS, tasks, tasks),
        units=[variant.units(tasks) for variant in chosen.values()],
    )


def main() -> None:
    parser = command(__doc__, seeds=2)
    parser.add_argument('--variants', choices=VARIANTS, nargs='+', default=list(VARIANTS))
    args = parser.parse_args()
    for regime, teacher, path in missing(args, '.searches'):
        problem = draw_problem(regime, teacher)
        save_arrays(path, **search_all(problem, range(args.seeds), args.variants))


if __name__ == '__main__':
    main()
