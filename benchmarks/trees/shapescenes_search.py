"""BMTAS, uniform supergraphs and split probes on the data of the table of ShapeScenes.

    python benchmarks/trees/shapescenes_search.py --dir DIR --table shapescenes.npz [--seeds 0 1]

does what DIR/searches.jsonl does not hold yet, one line for each, so that it can be stopped and
started at any time; then it writes the searches to the file of searches beside the table, the
supergraphs' scores to its file of signals, and the probes' losses into the table itself.

Variants of which all seeds and prices are there are written, beside those that the file has. The
searches follow
``planted_search.py`` with the data, batches, rate and length of the table's
trainings: as many weight updates, a quarter as many of alpha. A supergraph of random trees is
trained for three times as long; probes start from a half-trained Shared network, weights and
moments, and train for a quarter.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from planted_search import LAMBDAS, Variant
from scenes import scenes
from scenes_trainings import (
    ALPHA_PHASE,
    NAMES,
    WEIGHT_PHASE,
    Split,
    Supergraph,
    UniformSupergraph,
    probe,
)
from shapescenes_table import LAYERS, UPDATES, read_rows

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.search.surrogate import probe_trees
from bmtas.search.tree_table import save_arrays

WARMUP = 40
VARIANTS = {
    'as it is': Variant(warmup=WARMUP),
    'log losses': Variant(warmup=WARMUP, logs=True),
    "the paper's cost": Variant(cost='paper', warmup=WARMUP),
    'no warm-up': Variant(warmup=0),
    'log losses, twice as long': Variant(warmup=WARMUP, logs=True),
    'two candidates': Variant(warmup=WARMUP, top_k=2),
}
KINDS = ('search', 'supergraph', 'probes')
LONGER = {'log losses, twice as long': 2}


def length_of(variant: str, updates: int) -> int:
    """Weight updates of a variant's search, from those of a training."""
    return updates * LONGER.get(variant, 1)


def units_of(variant: str, updates: int = UPDATES) -> float:
    """Price of one search in trainings of Shared, see ``planted_search.Variant.units``."""
    length = length_of(variant, updates)
    one = VARIANTS[variant]
    runs = len(NAMES) * (one.top_k or len(NAMES))
    soft = length * (1 + ALPHA_PHASE / WEIGHT_PHASE) * runs
    return (soft + one.warmup * len(NAMES)) / updates


def missing(path: Path, args: argparse.Namespace) -> list[dict]:
    """Jobs without a row: what they are."""
    seeds, updates, kinds = args.seeds, args.updates, set(args.kinds)
    jobs = [dict(kind=k, seed=s, updates=updates) for k in KINDS[1:] if k in kinds for s in seeds]
    jobs += [
        dict(kind='search', variant=v, price=price, seed=seed, updates=length_of(v, updates))
        for v in args.variants
        if 'search' in kinds
        for seed in seeds
        for price in LAMBDAS
    ]
    names = ('kind', 'variant', 'price', 'seed', 'updates')
    known = [[row.get(name) for name in names] for row in read_rows(path)]
    return [job for job in jobs if [job.get(name) for name in names] not in known]


def do(job: Mapping, data: Mapping[str, Split], trees: Sequence[BranchingTree]) -> dict:
    """What is found by one job."""
    if job['kind'] == 'search':
        graph = Supergraph(job['seed'], job['updates'])
        routes, shared = graph.search(data['train'], VARIANTS[job['variant']], job['price'])
        return dict(routes=routes, shared=shared.tolist())
    if job['kind'] == 'probes':
        return dict(losses=probe(data, job['seed'], job['updates']).tolist())
    graph = UniformSupergraph(job['seed'], trees, job['updates'])
    units = graph.train(data['train'])
    return dict(units=units, losses=graph.scores(data['train'], data['held_out']).tolist())


class Found:
    """Rows of one length by what they are; variants that lack a seed or a price are left out.

    Args:
        rows: All rows.
        seeds: The seeds wanted.
        updates: The length.
    """

    def __init__(self, rows: Sequence[Mapping], seeds: Sequence[int], updates: int) -> None:
        self.seeds, self.updates = list(seeds), updates
        self.rows = {
            (row['kind'], row.get('variant'), row.get('price'), row['seed']): row
            for row in rows
            if row['updates'] == length_of(row.get('variant'), updates)
        }
        self.variants = [
            v
            for v in VARIANTS
            if all(('search', v, p, s) in self.rows for p in LAMBDAS for s in self.seeds)
        ]

    def searches(self) -> dict[str, np.ndarray]:
        """The file of searches, see ``planted_search.search_all``."""
        cells = [
            [[self.rows['search', v, p, s] for s in self.seeds] for p in LAMBDAS]
            for v in self.variants
        ]
        arrays = {
            key: np.array([[[one[key] for one in row] for row in block] for block in cells])
            for key in ('routes', 'shared')
        }
        return dict(
            variants=self.variants,
            lambdas=LAMBDAS,
            seeds=self.seeds,
            units=[units_of(variant, self.updates) for variant in self.variants],
            routes=arrays['routes'].astype(np.int8),
            shared=arrays['shared'].astype(np.float32),
        )

    def of_seeds(self, kind: str, key: str) -> np.ndarray:
        """(S, ...) one thing of each seed."""
        return np.array([self.rows[kind, None, None, seed][key] for seed in self.seeds], np.float32)


def with_earlier(searches: Mapping, earlier: Mapping) -> dict[str, np.ndarray]:
    """Searches, and those of variants that only an earlier file has.

    Raises:
        SystemExit: The earlier file has other seeds or prices.
    """
    found = {key: np.array(value) for key, value in searches.items()}
    if not earlier:
        return found
    for key in ('lambdas', 'seeds'):
        if found[key].tolist() != earlier[key].tolist():
            raise SystemExit(
                f'the file of searches has the {key} {earlier[key].tolist()}; give the same'
            )
    old = [v not in found['variants'] for v in earlier['variants']]
    joined = {
        key: np.concatenate([earlier[key][old], found[key]])
        for key in ('variants', 'units', 'routes', 'shared')
    }
    return {**found, **joined}


def write_beside(found: Found, table: Path, kinds: Sequence[str]) -> None:
    """The searches and the supergraphs' scores beside a table, and the probes into it."""
    if 'search' in kinds:
        path = table.with_suffix('.searches.npz')
        earlier = dict(np.load(path)) if path.is_file() else {}
        save_arrays(path, **with_earlier(found.searches(), earlier))
    if 'supergraph' in kinds:
        path = table.with_suffix('.signals.npz')
        known = dict(np.load(path)) if path.is_file() else dict(seeds=np.array(found.seeds))
        if known['seeds'].tolist() != found.seeds:
            raise SystemExit(f'{path} has the seeds {known["seeds"].tolist()}; give the same')
        known['supergraph'] = found.of_seeds('supergraph', 'losses')
        known['supergraph_units'] = found.of_seeds('supergraph', 'units')
        save_arrays(path, **known)
    if 'probes' in kinds:
        content = dict(np.load(table))
        measured = found.of_seeds('probes', 'losses')  # (S, P, T)
        probes = np.full((measured.shape[1], len(content['seeds']), len(NAMES)), np.nan, np.float32)
        places = [content['seeds'].tolist().index(seed) for seed in found.seeds]
        probes[:, places] = measured.transpose(1, 0, 2)
        routes = [*probe_trees(LAYERS, len(NAMES)), BranchingTree.shared(LAYERS, NAMES).routes]
        content.update(probes=probes, probe_routes=np.array(routes, np.int8))
        save_arrays(table, **content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir', type=Path, required=True, help='folder of scenes and rows')
    parser.add_argument('--table', type=Path, required=True)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--updates', type=int, default=UPDATES)
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=list(KINDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.dir / 'searches.jsonl'
    data, trees = scenes(args.dir / 'scenes.npz'), list(enumerate_trees(LAYERS, NAMES))
    for job in missing(path, args):
        begin = time.process_time()
        row = dict(job, **do(job, data, trees))
        row['seconds'] = time.process_time() - begin
        with path.open('a') as file:
            file.write(json.dumps(row) + '\n')
        print(*job.values(), f'{row["seconds"]:.1f} s', flush=True)
    write_beside(Found(read_rows(path), args.seeds, args.updates), args.table, args.kinds)


if __name__ == '__main__':
    main()
