"""Teachers of planted trees: their regimes, their data, and what scripts for all of them share."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bmtas.branching import BranchingTree, enumerate_trees

LAYERS, WIDTH, INPUTS, OUTPUTS = 3, 5, 12, 4
HELD_OUT, TEST = 200, 2000


@dataclass(frozen=True)
class Regime:
    """What the teachers of a regime have in common.

    Attributes:
        rho: Share of a layer's weights that is common to all its nodes, in variance.
        noise: Deviation of each task's labels from the teacher, which have deviation 1.
        scales: Factor of each task's labels.
        points: Number of training points.
    """

    rho: float
    noise: tuple[float, ...]
    scales: tuple[float, ...]
    points: int = 200

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(f'task{t}' for t in range(len(self.noise)))


HARD = dict(rho=0.5, noise=(0.2, 0.4, 0.7, 1.0), scales=(1.0, 1.5, 2.0, 3.0))
REGIMES = {
    'easy': Regime(0.0, (0.5,) * 4, (1.0,) * 4),
    'hard': Regime(**HARD),
    'noisy': Regime(0.0, (0.5,) * 4, (1.0,) * 4, points=60),
    'five': Regime(0.0, (0.5,) * 5, (1.0,) * 5),
}


@dataclass(frozen=True)
class Problem:
    """The data of one teacher: inputs (N, 12) and labels (T, N, 4), noise included, by split."""

    regime: Regime
    tree: BranchingTree
    train: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def draw_problem(regime: Regime, teacher: int) -> Problem:
    """The teacher of that number: its tree and its data."""
    rng = np.random.default_rng(teacher)
    trees = [
        tree
        for tree in enumerate_trees(LAYERS, regime.tasks)
        if tree.num_groups[0] <= 2 and tree.num_groups[-1] in (2, 3)
    ]
    tree = trees[rng.integers(len(trees))]
    splits = (regime.points, HELD_OUT, TEST)
    inputs = rng.standard_normal((sum(splits), INPUTS))
    features = [inputs] * len(regime.tasks)
    for routes in tree.routes:
        size = features[0].shape[1]
        shape = (size, WIDTH)
        common = rng.standard_normal(shape)
        own = rng.standard_normal((routes.max() + 1, *shape))
        weights = np.sqrt(regime.rho) * common + np.sqrt(1 - regime.rho) * own
        gain = 2 / np.sqrt(size)
        features = [np.tanh(gain * x @ weights[group]) for x, group in zip(features, routes)]
    labels = []
    for x, noise, scale in zip(features, regime.noise, regime.scales):
        y = x @ rng.standard_normal((WIDTH, OUTPUTS))
        y = (y - y.mean(0)) / y.std(0) + noise * rng.standard_normal(y.shape)
        labels.append(scale * y)
    ends = np.cumsum(splits)
    parts = [slice(end - size, end) for end, size in zip(ends, splits)]
    x, y = (torch.tensor(np.array(array), dtype=torch.float32) for array in (inputs, labels))
    return Problem(regime, tree, *((x[part], y[:, part]) for part in parts))


def command(description: str, seeds: int) -> argparse.ArgumentParser:
    """The options of a script that writes one file for each regime and teacher."""
    parser = argparse.ArgumentParser(description=description.split('\n')[0])
    parser.add_argument('--regimes', choices=REGIMES, nargs='+', default=list(REGIMES))
    parser.add_argument('--teachers', type=int, default=20)
    parser.add_argument('--seeds', type=int, default=seeds)
    parser.add_argument('--dir', type=Path, required=True, help='folder of the tables')
    return parser


def missing(args: argparse.Namespace, kind: str = '') -> Iterator[tuple[Regime, int, Path]]:
    """Regime, teacher and file of what the folder has not; each is timed until the next."""
    torch.set_num_threads(1)
    for teacher, regime in product(range(args.teachers), args.regimes):
        path = args.dir / f'{regime}_{teacher:02d}{kind}.npz'
        if not path.is_file():
            start = time.process_time()
            yield REGIMES[regime], teacher, path
            print(f'{path}: {time.process_time() - start:.1f} s', flush=True)
