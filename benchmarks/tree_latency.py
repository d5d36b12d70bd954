"""Does the latency table predict whole networks? Predicted against measured time of random trees.

    python benchmarks/tree_latency.py [--trees 20] [--size 256] [--device cpu] [--arch mobilenet_v2]

MobileNetV2 and the five tasks of PASCAL-Context, random weights, one image, evaluation mode. The
table holds the median time of each layer alone; a tree's prediction adds up its copies. Printed are
R2 of the predictions, R2 after the best straight line (a constant factor or offset does not hurt a
search), and the mean absolute percentage error, with the measured range.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from bmtas.branching import BranchingTree, uniform_tree
from bmtas.registry import MODELS
from bmtas.resources import count_table, measure_latency
from bmtas.tasks import build_tasks

BASES = Path(__file__).resolve().parent.parent / 'configs' / '_base_'


def agreement(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float, float]:
    """R2 of predictions (N,), R2 of the best line through them, mean absolute percentage error."""
    spread = ((measured - measured.mean()) ** 2).sum()
    raw = 1 - ((measured - predicted) ** 2).sum() / spread
    line = np.corrcoef(predicted, measured)[0, 1] ** 2
    return float(raw), float(line), float(100 * np.abs(predicted / measured - 1).mean())


def random_trees(num_layers: int, tasks: list[str], count: int) -> list[BranchingTree]:
    """Shared, Separate and uniformly drawn trees."""
    ends = [make(num_layers, tasks) for make in (BranchingTree.shared, BranchingTree.separate)]
    return [*ends, *(uniform_tree(num_layers, tasks, seed) for seed in range(count))][:count]


def measure(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured milliseconds of each tree."""
    tasks = Config.fromfile(BASES / 'datasets' / 'pascal.py').tasks.to_dict()
    names = [task.name for task in build_tasks(tasks)]
    model = Config.fromfile(BASES / 'models' / 'mobilenetv2_branched.py').model.to_dict()
    model['encoder']['backbone'].update(arch=args.arch, weights=None)
    size = (args.size, args.size)
    shared = dict(model['encoder'], routes='shared')
    table = count_table(
        dict(model, tasks=tasks, encoder=shared), size, quantity='latency', device=args.device
    )
    image = torch.zeros(1, 3, *size, device=args.device)
    predicted, measured = [], []
    for tree in random_trees(table.num_layers, names, args.trees):
        encoder = dict(model['encoder'], routes=tree.routes.tolist())
        network = MODELS.build(dict(model, tasks=tasks, encoder=encoder)).to(args.device)
        predicted.append(tree.cost(table) / 1e3)
        measured.append(measure_latency(network, image) / 1e3)
    return np.array(predicted), np.array(measured)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--trees', type=int, default=20)
    parser.add_argument('--size', type=int, default=256, help='pixels of each side')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--arch', default='mobilenet_v2')
    args = parser.parse_args(argv)
    predicted, measured = measure(args)
    for a, b in sorted(zip(predicted, measured)):
        print(f'predicted {a:8.2f} ms, measured {b:8.2f} ms')
    raw, line, error = agreement(predicted, measured)
    low, high = measured.min(), measured.max()
    print(f'{args.device}, {torch.get_num_threads()} threads, {args.size}x{args.size}')
    print(f'measured {low:.1f} to {high:.1f} ms: R2 {raw:.3f}, of the best line {line:.3f}, '
          f'mean absolute error {error:.1f} %')  # fmt: skip


if __name__ == '__main__':
    main()
