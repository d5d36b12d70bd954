"""What FAFS and BMN look at, for the table of ShapeScenes.

    python benchmarks/trees/shapescenes_signals.py --dir DIR --table shapescenes.npz [--seeds 0 1]

trains Shared and the separate networks of each seed and adds to the file of signals beside the
table: ``representation`` (S, L, T, T) from 200 training scenes, ``difficulty`` (S, T, T) by each
task's loss on the training scenes, ``branch_costs``. Half a minute of processor time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scenes import STRIDES, TASKS, Network, losses, scenes
from shapescenes_table import LAYERS, UPDATES, optimise
from torch import Tensor

from bmtas.branching import BranchingTree
from bmtas.search.bmn import dissimilarity, rank_affinity
from bmtas.search.fafs import stride_costs, task_affinity
from bmtas.search.tree_table import save_arrays

IMAGES = 200


@torch.no_grad()
def difficulty(model: Network, split: dict[str, Tensor]) -> np.ndarray:
    """FAFS' affinity (T, T) of a Shared network: each scene's losses."""
    found = []
    for number in range(len(split['image'])):
        one = {key: value[number : number + 1] for key, value in split.items()}
        found.append(losses(model(one['image']), one))
    return task_affinity(torch.stack(found).double().numpy())


@torch.no_grad()
def representation(model: Network, images: Tensor) -> np.ndarray:
    """BMN's affinity (L, T, T) of the separate networks."""
    stages = model.features(images)
    matrices = [
        dissimilarity(
            lambda rows, task=task: [features[task][list(rows)] for features in stages],
            len(images),
            len(images),
        )
        for task in range(len(TASKS))
    ]
    return rank_affinity(np.stack(matrices))


def signals(
    data: dict[str, dict[str, Tensor]], seeds: Sequence[int], updates: int = UPDATES
) -> dict[str, np.ndarray]:
    """All of it."""
    alike, hard = [], []
    for seed in seeds:
        models = []
        for make in (BranchingTree.shared, BranchingTree.separate):
            models.append(Network(make(LAYERS, tuple(TASKS)), seed))
            for _ in optimise(models[-1], seed, data, updates):
                pass
            models[-1].eval()
        hard.append(difficulty(models[0], data['train']))
        alike.append(representation(models[1], data['train']['image'][:IMAGES]))
        print(f'seed {seed}', flush=True)
    after = [sum(stride == 2 for stride in STRIDES[layer + 1 :]) for layer in range(LAYERS)]
    return dict(
        seeds=np.array(seeds),
        representation=np.stack(alike).astype(np.float32),
        difficulty=np.stack(hard),
        branch_costs=np.array(stride_costs(after)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir', type=Path, required=True, help='folder of the rendered scenes')
    parser.add_argument('--table', type=Path, required=True)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = args.table.with_suffix('.signals.npz')
    known = dict(np.load(path)) if path.is_file() else dict(seeds=np.array(args.seeds))
    if known['seeds'].tolist() != args.seeds:
        parser.error(f'{path} has the seeds {known["seeds"].tolist()}; give the same')
    save_arrays(path, **{**known, **signals(scenes(args.dir / 'scenes.npz'), args.seeds)})


if __name__ == '__main__':
    main()
