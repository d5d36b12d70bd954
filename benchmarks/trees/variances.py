"""Do trees differ more than seeds? Twelve trees of two groups, three seeds, as in the table.

    python benchmarks/trees/variances.py --dir DIR [--seeds 3]

Seven trees part in the first stage, five after the second; each kind costs the same. A seed's shift
of all trees is removed. Four minutes of processor time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scenes import TASKS, scenes
from shapescenes_table import LAYERS, train

from bmtas.branching import BranchingTree

EARLY = ('0111', '0100', '0010', '0001', '0011', '0101', '0110')
LATE = ('0110', '0011', '0101', '0111', '0001')
"""Groups of semseg, normals, depth, edge."""


def trees() -> list[BranchingTree]:
    tables = [[list(map(int, groups))] * LAYERS for groups in EARLY]
    tables += [[[0] * 4] * 2 + [list(map(int, groups))] * (LAYERS - 2) for groups in LATE]
    return [BranchingTree.from_routes(table, tuple(TASKS)) for table in tables]


def variances(gains: np.ndarray) -> dict[str, float]:
    """Two-way analysis of gains (S, N): deviation of trees, of what seeds add, and their ratio.

    Returns:
        ``trees`` and ``seeds``: deviations in points; ``F``: mean square of the trees over that of
        the rest; ``correlation``: mean over pairs of seeds.
    """
    centred = gains - gains.mean(1, keepdims=True)
    num_seeds, num_trees = gains.shape
    between = num_seeds * centred.mean(0).var(ddof=1)
    rest = ((centred - centred.mean(0)) ** 2).sum() / ((num_seeds - 1) * (num_trees - 1))
    pairs = np.corrcoef(centred)[np.triu_indices(num_seeds, 1)]
    return dict(
        trees=max(0.0, (between - rest) / num_seeds) ** 0.5,
        seeds=rest**0.5,
        F=between / rest,
        correlation=pairs.mean(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir', type=Path, required=True, help='folder of the rendered scenes')
    parser.add_argument('--seeds', type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = scenes(args.dir / 'scenes.npz')
    rows = []
    for seed in range(args.seeds):
        tests = [train(tree, seed, data)['test'] for tree in trees()]
        rows.append(-100 * np.mean(tests, 1))
        print(f'seed {seed}:', ' '.join(f'{gain:.2f}' for gain in rows[-1]), flush=True)
    gains, cut = np.array(rows), len(EARLY)
    for name, part in (('early', gains[:, :cut]), ('late', gains[:, cut:]), ('all', gains)):
        print(name, ', '.join(f'{key} {value:.2f}' for key, value in variances(part).items()))


if __name__ == '__main__':
    main()
