import sys
from pathlib import Path

import numpy as np
import pytest

from bmtas.branching import enumerate_trees
from bmtas.search.tree_table import TreeTable

FOLDER = Path(__file__).resolve().parents[2] / 'benchmarks' / 'trees'
MODULES = (
    'protocol',
    'strategies',
    'compare',
    'planted',
    'planted_search',
    'planted_signals',
    'scenes',
    'shapescenes_table',
    'variances',
)


@pytest.fixture(autouse=True)
def benchmark_modules(monkeypatch):
    """The scripts of benchmarks/trees import each other by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def make_table():
    """A table of additive losses with noise; sharing harms pairs by given effects (L, T, T)."""

    def make(noise=0.0, num_seeds=4, layers=3, tasks=('a', 'b', 'c', 'd'), seed=0, fixed=0.0):
        rng = np.random.default_rng(seed)
        routes = np.array([tree.routes for tree in enumerate_trees(layers, tasks)])
        effects = rng.standard_normal((layers, len(tasks), len(tasks))) / 10 + 0.03
        effects[:, range(len(tasks)), range(len(tasks))] = 0
        together = routes[:, :, :, None] == routes[:, :, None, :]
        losses = np.einsum('nltu,ltu->nt', together, effects)[:, None]
        test = losses + noise * rng.standard_normal((len(routes), num_seeds, len(tasks)))
        readings = np.array([0.25, 0.5, 1.0])
        shape = (len(routes), num_seeds, len(readings), len(tasks))
        held_out = losses[:, :, None] + noise * rng.standard_normal(shape)
        return TreeTable(tasks, routes, np.ones(layers), fixed, readings, held_out, test)

    return make
