"""What strategies need beside the table of planted trees, measured with the seeds searched with.

    python benchmarks/trees/planted_signals.py --dir DIR [--regimes easy hard] [--teachers 20]

writes DIR/REGIME_NN.signals.npz for each teacher that has none; ``compare.py`` finds these files
beside the tables. Every array has the seeds first:

- ``short`` (S, Q, N, T): held-out log losses of all trees after trainings whose schedules end at
  the shares ``shares`` (Q,) of the usual length; readings of a long schedule are in the table.
- ``representation`` (S, L, T, T): BMN's affinity of the separate networks on the training points.
- ``difficulty`` (S, T, T): FAFS' affinity of the Shared network's errors on the training points.
- ``supergraph`` (S, N, T): held-out log losses of all trees with the weights of a supergraph that
  was trained on random trees for three times the usual length, for ``supergraph_units``.
- ``branch_costs`` (L,), no seeds: FAFS' price of one more branch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import planted
import torch
from planted import POWER, RATE, Students, networks_of, order
from teachers import LAYERS, Problem, command, draw_problem, missing
from torch import Tensor

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.search.bmn import dissimilarity, rank_affinity
from bmtas.search.fafs import task_affinity
from bmtas.search.tree_table import save_arrays
from bmtas.search.uniform import tree_weights

SHARES, LONGER = (0.25, 0.5), 3


class UniformSupergraph:
    """One network with T candidates in each layer, trained on the log losses of random trees.

    Args:
        problem: The data.
        trees: All trees.
        seed: Of weights, order of points, and trees.
    """

    def __init__(self, problem: Problem, trees: Sequence[BranchingTree], seed: int) -> None:
        self.problem, self.trees, self.seed = problem, trees, seed
        self.rng = np.random.default_rng((seed, 3))
        self.costs = np.array([sum(tree.num_groups) for tree in trees])
        num = len(problem.regime.tasks)
        start = Students(
            problem, networks_of([BranchingTree.shared(LAYERS, trees[0].tasks)])[0], [seed]
        )
        *layers, heads = [weights.detach()[0] for weights in start.weights]
        self.weights = [layer.repeat(num, 1, 1).requires_grad_() for layer in layers]
        self.weights.append(heads.clone().requires_grad_())

    def drawn(self) -> int:
        """A tree: its cost uniformly, then any of the nearest cost."""
        target = self.rng.uniform(self.costs.min(), self.costs.max())
        distance = np.abs(self.costs - target)
        return int(self.rng.choice(np.flatnonzero(distance == distance.min())))

    def candidates(self, tree: BranchingTree) -> Tensor:
        """(L, T) candidate of each task: the number of a random member of its group."""
        return tree_weights(tree, self.rng.permutation(tree.num_tasks)).argmax(-1)

    def log_losses(self, x: Tensor, y: Tensor, candidates: Tensor) -> Tensor:
        """(T,) on inputs (B, 12) and labels (T, B, 4)."""
        h = x
        for weights, chosen in zip(self.weights, candidates):
            used = weights[chosen]
            h = (h @ used[:, :-1] + used[:, -1:]).tanh()
        heads = self.weights[-1]
        return (h @ heads[:, :-1] + heads[:, -1:] - y).square().mean((1, 2)).log()

    def train(self) -> float:
        """The whole training; returns its price in trainings of Shared."""
        x, y = self.problem.train
        updates, spent = LONGER * planted.UPDATES, 0
        optimizer = torch.optim.Adam(self.weights, RATE, fused=True)
        for update, batch in enumerate(torch.from_numpy(order(len(x), self.seed, updates))):
            optimizer.param_groups[0]['lr'] = RATE * (1 - update / updates) ** POWER
            number = self.drawn()
            spent += self.costs[number]
            optimizer.zero_grad()
            chosen = self.candidates(self.trees[number])
            self.log_losses(x[batch], y[:, batch], chosen).sum().backward()
            optimizer.step()
        return spent / self.costs.min() / planted.UPDATES

    @torch.no_grad()
    def scores(self) -> np.ndarray:
        """(N, T) held-out log losses of all trees."""
        split = self.problem.held_out
        return torch.stack(
            [self.log_losses(*split, self.candidates(tree)) for tree in self.trees]
        ).numpy()


def short_losses(
    problem: Problem, trees: Sequence[BranchingTree], seeds: Sequence[int]
) -> np.ndarray:
    """(S, Q, N, T) after short schedules."""
    networks, slots = networks_of(trees)
    found = []
    for share in SHARES:
        length = round(share * planted.UPDATES)
        found.append(Students(problem, networks, seeds).train(length=length)[length][:, slots])
    return np.stack(found, 1)


def affinities(problem: Problem, seeds: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """BMN's (S, L, T, T) and FAFS' (S, T, T)."""
    tasks = problem.regime.tasks
    x, y = problem.train
    shared, single = (
        Students(problem, networks_of([make(LAYERS, tasks)])[0], seeds)
        for make in (BranchingTree.shared, BranchingTree.separate)
    )
    shared.train()
    single.train()
    with torch.no_grad():
        inputs = x.expand(len(seeds), *x.shape)
        errors = shared.errors(inputs, y[:, None])
        layers = torch.stack(single.outputs(inputs)[:-1], 2)  # (S, T, L, N, 5), a task a network
    similar = []
    for one in layers:
        matrices = [
            dissimilarity(lambda rows, f=features: list(f[:, rows]), len(x), len(x))
            for features in one
        ]
        similar.append(rank_affinity(np.stack(matrices)))
    hard = [task_affinity(one.T.double().numpy()) for one in errors]
    return np.stack(similar), np.stack(hard)


def signals(problem: Problem, seeds: Sequence[int]) -> dict[str, np.ndarray]:
    """Everything that the file holds."""
    trees = list(enumerate_trees(LAYERS, problem.regime.tasks))
    representation, difficulty = affinities(problem, seeds)
    graphs = [UniformSupergraph(problem, trees, seed) for seed in seeds]
    units = [graph.train() for graph in graphs]
    return dict(
        seeds=np.array(seeds),
        shares=np.array(SHARES),
        short=short_losses(problem, trees, seeds).astype(np.float32),
        representation=representation.astype(np.float32),
        difficulty=difficulty,
        supergraph=np.stack([graph.scores() for graph in graphs]),
        supergraph_units=np.array(units),
        branch_costs=np.ones(LAYERS),
    )


def main() -> None:
    parser = command(__doc__, seeds=2)
    parser.set_defaults(regimes=['easy', 'hard'])
    args = parser.parse_args()
    for regime, teacher, path in missing(args, '.signals'):
        save_arrays(path, **signals(draw_problem(regime, teacher), range(args.seeds)))


if __name__ == '__main__':
    main()
