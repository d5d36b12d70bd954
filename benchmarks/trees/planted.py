"""Planted trees: teachers whose tasks share hidden nodes; all trees of students at once.

    python benchmarks/trees/planted.py --dir DIR [--regimes easy hard] [--teachers 20]

writes one table for each regime and teacher that DIR has not.

A teacher is a network of three layers of tanh nodes of width 5 on 12 normal inputs; its nodes form
a tree of the tasks. Each task reads four numbers from its last node. Students have the same form
and width, so that tasks of different nodes that share one lack width, and tasks of one node that do
not share it lack data: the planted tree tends to be the best of its cost.

A group of the first layer shares nothing with the others: it is a network of its own, and the same
one in many trees. So the networks of all sets of tasks are trained, each once, and every tree is
put together from them. They run side by side as batched products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from teachers import (
    INPUTS,
    LAYERS,
    OUTPUTS,
    WIDTH,
    Problem,
    Regime,
    command,
    draw_problem,
    missing,
)
from torch import Tensor

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.search.surrogate import probe_trees
from bmtas.search.tree_table import TreeTable

UPDATES, BATCH, RATE, POWER = 800, 30, 0.01, 0.9
READINGS = (0.125, 0.25, 0.5, 0.75, 1.0)


class Students:
    """Networks of groups of tasks, with several seeds each, as layers of nodes.

    Args:
        problem: The data.
        networks: Each the routes (L, n) of a tree of some tasks that are together in layer 0, with
            the numbers of these n tasks.
        seeds: Of initial weights and of the order of points; networks of one seed start from the
            same weights in all copies of a layer and see the same batches.

    Attributes:
        slots: (network, task) of each of the heads.
    """

    def __init__(
        self,
        problem: Problem,
        networks: Sequence[tuple[np.ndarray, tuple[int, ...]]],
        seeds: Sequence[int],
    ) -> None:
        self.problem, self.seeds = problem, tuple(seeds)
        self.slots = [(n, task) for n, (_, tasks) in enumerate(networks) for task in tasks]
        self.task_of_slot = torch.tensor([task for _, task in self.slots])
        nodes = [[] for _ in range(LAYERS)]
        for number, (routes, _) in enumerate(networks):
            for column in routes.T:
                for layer in range(LAYERS):
                    nodes[layer].append((number, int(column[layer])))
        unique = [sorted(set(layer)) for layer in nodes]
        index = [{node: i for i, node in enumerate(layer)} for layer in unique]
        above = zip(nodes, nodes[1:], index, index[1:])
        # parents[l]: which node of layer l each node of the next one reads, or each head
        self.parents = []
        for upper, lower, here, below in above:
            parent = {below[child]: here[node] for node, child in zip(upper, lower)}
            self.parents.append(torch.tensor([parent[i] for i in range(len(parent))]))
        self.parents.append(torch.tensor([index[-1][node] for node in nodes[-1]]))
        self._draw_weights([len(layer) for layer in unique])

    def _draw_weights(self, numbers: Sequence[int]) -> None:
        """Weights (S, nodes, in + 1, out) of each layer and (S, slots, in + 1, 4) of the heads."""
        layers = []
        for seed in self.seeds:
            rng = np.random.default_rng((seed, 1))
            shapes = [(INPUTS, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, OUTPUTS)]
            drawn = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes[:-1]]
            heads = rng.standard_normal((len(self.problem.regime.tasks), *shapes[-1]))
            drawn = [np.broadcast_to(w, (num, *w.shape)) for w, num in zip(drawn, numbers)]
            drawn.append(heads[self.task_of_slot.numpy()] / np.sqrt(WIDTH))
            layers.append([np.pad(w, ((0, 0), (0, 1), (0, 0))) for w in drawn])
        self.weights = [
            torch.tensor(np.stack(layer), dtype=torch.float32, requires_grad=True)
            for layer in zip(*layers)
        ]
        self.optimizer = torch.optim.Adam(self.weights, RATE, fused=True)

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Inputs (S, B, 12) -> (S, nodes, B, 5) of each layer, predictions (S, slots, B, 4)."""
        first = self.weights[0]
        flat = first.permute(0, 2, 1, 3).flatten(2)  # (S, 13, nodes * 5)
        h = torch.baddbmm(flat[:, -1:], x, flat[:, :-1]).tanh()
        found = [h.unflatten(2, (-1, WIDTH)).transpose(1, 2)]
        for weights, parents in zip(self.weights[1:], self.parents):
            h = found[-1].index_select(1, parents) @ weights[:, :, :-1] + weights[:, :, -1:]
            found.append(h if weights is self.weights[-1] else h.tanh())
        return found

    def errors(self, x: Tensor, y: Tensor) -> Tensor:
        """Squared errors (S, slots, B) on inputs (S, B, 12) and labels (T, S, B, 4)."""
        return (self.outputs(x)[-1] - y[self.task_of_slot].transpose(0, 1)).square().mean(3)

    @torch.no_grad()
    def log_losses(self, split: tuple[Tensor, Tensor]) -> np.ndarray:
        """Log losses (S, slots) of a whole split."""
        x, y = split
        parts = []
        for xs, ys in zip(x.split(500), y.split(500, 1)):
            num = len(self.seeds)
            parts.append(self.errors(xs.expand(num, *xs.shape), ys[:, None]).sum(2))
        return (sum(parts) / len(x)).log().numpy()

    def train(
        self, first: int = 0, last: int | None = None, length: int | None = None
    ) -> dict[int, np.ndarray]:
        """Take the updates ``first`` to ``last`` of a schedule; by default all of the whole one.

        Returns:
            Held-out log losses (S, slots) after the updates that are in ``READINGS``, and the last.
        """
        x, y = self.problem.train
        length = length or UPDATES
        last = last or length
        readings = {round(share * length) for share in READINGS} | {last}
        orders = np.stack([order(len(x), seed, length) for seed in self.seeds], 1)[first:last]
        found = {}
        for update, batch in enumerate(torch.from_numpy(orders), first + 1):
            self.optimizer.param_groups[0]['lr'] = RATE * (1 - (update - 1) / length) ** POWER
            self.optimizer.zero_grad()
            self.errors(x[batch], y[:, batch]).mean(2).sum().backward()
            self.optimizer.step()
            if update in readings:
                found[update] = self.log_losses(self.problem.held_out)
        return found

    def inherit(self, shared: Students) -> None:
        """Go on from one Shared network: every copy gets its weights and Adam's moments."""
        for layer, (mine, theirs) in enumerate(zip(self.weights, shared.weights)):
            node = self.task_of_slot if layer == LAYERS else torch.zeros(mine.shape[1], dtype=int)
            mine.data.copy_(theirs.data[:, node])
            state = shared.optimizer.state[theirs]
            self.optimizer.state[mine] = {
                key: value[:, node].clone() if value.ndim else value.clone()
                for key, value in state.items()
            }


def order(points: int, seed: int, updates: int) -> np.ndarray:
    """Points of each update's batch (updates, 30): epoch by epoch, each in a new order."""
    rng = np.random.default_rng((seed, 2))
    epochs = -(-updates * BATCH // points)
    drawn = np.concatenate([rng.permutation(points) for _ in range(epochs)])
    return drawn[: updates * BATCH].reshape(updates, BATCH)


def networks_of(
    trees: Sequence[BranchingTree],
) -> tuple[list[tuple[np.ndarray, tuple[int, ...]]], np.ndarray]:
    """The distinct networks of the trees' first-layer groups.

    Returns:
        The networks, as ``Students`` takes them, and (N, T) the slot of each tree's task.
    """
    found: dict[tuple, list[int]] = {}
    networks, slots, used = [], np.zeros((len(trees), trees[0].num_tasks), int), 0
    for number, tree in enumerate(trees):
        for group in range(tree.num_groups[0]):
            members = tuple(np.flatnonzero(tree.routes[0] == group).tolist())
            routes = BranchingTree.from_routes(tree.routes[:, members]).routes
            key = (members, routes.tobytes())
            if key not in found:
                found[key] = list(range(used, used + len(members)))
                networks.append((routes, members))
                used += len(members)
            slots[number, members] = found[key]
    return networks, slots


def make_table(regime: Regime, teacher: int, seeds: Sequence[int] = range(8)) -> TreeTable:
    """All trees of a regime's tasks, trained on one teacher's data with several seeds."""
    trees = list(enumerate_trees(LAYERS, regime.tasks))
    problem = draw_problem(regime, teacher)
    networks, slots = networks_of(trees)
    students = Students(problem, networks, seeds)
    held_out = np.stack(list(students.train().values()))[:, :, slots]  # (R, S, N, T)
    test = students.log_losses(problem.test)[:, slots]
    probe_routes, probes = probe(problem, seeds, UPDATES // 2, UPDATES // 4)
    return TreeTable(
        tasks=regime.tasks,
        routes=np.array([tree.routes for tree in trees]),
        layer_costs=np.ones(LAYERS),
        fixed_cost=0.0,
        readings=np.array(READINGS),
        held_out=held_out.transpose(2, 1, 0, 3),
        test=test.transpose(1, 0, 2),
        probe_routes=probe_routes,
        probes=probes,
    )


def probe(
    problem: Problem, seeds: Sequence[int], start: int, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shared for ``start`` updates, then it and all trees of one split for ``length`` more.

    Returns:
        (P, L, T) routes, Shared the last, and their held-out log losses (P, S, T).
    """
    tasks = problem.regime.tasks
    shared = BranchingTree.shared(LAYERS, tasks)
    routes = [*probe_trees(LAYERS, len(tasks)), shared.routes]
    first = Students(problem, networks_of([shared])[0], seeds)
    first.train(0, start)
    networks, slots = networks_of([BranchingTree.from_routes(tree, tasks) for tree in routes])
    students = Students(problem, networks, seeds)
    students.inherit(first)
    losses = students.train(start, start + length)[start + length]
    return np.array(routes), losses[:, slots].transpose(1, 0, 2)


def main() -> None:
    args = command(__doc__, seeds=8).parse_args()
    for regime, teacher, path in missing(args):
        make_table(regime, teacher, range(args.seeds)).save(path)


if __name__ == '__main__':
    main()
