"""Do latencies of single layers predict the latency of whole networks?

    python benchmarks/latency.py [--device cpu|cuda|onnxruntime] [--size 128] [--trees 20]

MobileNetV2, the 5 tasks of PASCAL-Context. The table is measured layer by layer, as
``resources.quantity=latency`` does. Random trees with costs spread evenly between the shared and
the separate network (in MAdds) are then built and measured whole. Shown are the R2 of the
prediction and its mean absolute percentage error: for the sum of the parts, with what the shared
network takes beside its parts (a table contains it), and on the line through the shared and the
separate network, both measured whole. On a CPU the clock is processor time of one
thread, so that other processes disturb little; ``--wall`` measures wall time, with all threads.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from bmtas.branching import BranchingTree, uniform_tree_at_cost
from bmtas.registry import MODELS
from bmtas.resources import UNITS, count_table, measure_latency, without_weights
from bmtas.resources.build import Counter
from bmtas.resources.latency import on_device
from bmtas.resources.network import Network, WholeNetwork

BASES = Path(__file__).resolve().parent.parent / 'configs' / '_base_'


def measured(module: nn.Module, inputs: tuple[Any, ...], args: argparse.Namespace) -> int:
    """Microseconds: the median of several medians."""
    ready = on_device(module, inputs, args.device)
    clock = time.process_time if args.device != 'cuda' and not args.wall else None
    runs = [measure_latency(*ready, min_run_time=args.seconds, clock=clock) for _ in range(3)]
    return round(statistics.median(runs))


def whole(model: Mapping[str, Any], tree: BranchingTree, args: argparse.Namespace) -> int:
    """Measured microseconds of the network of a tree."""
    encoder = dict(model['encoder'], routes=tree.routes.tolist())
    with torch.device('meta'):
        built = MODELS.build(without_weights(dict(model, encoder=encoder)))
        image = torch.empty(1, 3, args.size, args.size)
    return measured(WholeNetwork(built), (image,), args)


def measure(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and measured microseconds: the shared network, the separate one, the trees."""
    model = dict(Config.fromfile(BASES / 'models' / 'mobilenetv2_branched.py').model)
    model['tasks'] = Config.fromfile(BASES / 'datasets' / 'pascal.py').tasks
    size = (args.size, args.size)
    madds = count_table(model, size)
    count = lambda module, inputs, how: measured(module, inputs, args)  # noqa: E731
    unit = replace(UNITS['latency'], count=count, additive=True)
    costs = Counter(unit, args.device).costs(Network.of(model, size))
    names, layers = madds.tasks, madds.num_layers
    targets = np.linspace(madds.shared, madds.separate, args.trees + 2)[1:-1]
    trees = [BranchingTree.shared(layers, names), BranchingTree.separate(layers, names)]
    trees += [uniform_tree_at_cost(madds, names, x, seed=seed) for seed, x in enumerate(targets)]
    found = [
        whole(model, tree, args) for tree in track(trees, 'trees', console=Console(stderr=True))
    ]
    return np.array([costs.total(tree.num_groups) for tree in trees]), np.array(found)


def quality(predicted: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """R2 of the prediction itself (no line is fitted), correlation squared, error in percent."""
    residual = ((found - predicted) ** 2).sum() / ((found - found.mean()) ** 2).sum()
    correlation = np.corrcoef(predicted, found)[0, 1]
    return 1 - residual, correlation**2, 100 * (np.abs(found - predicted) / found).mean()


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Predicted against measured latency of trees.')
    parser.add_argument('--device', default='cpu', choices=('cpu', 'cuda', 'onnxruntime'))
    parser.add_argument('--size', type=int, default=128, help='pixels')
    parser.add_argument('--trees', type=int, default=20)
    parser.add_argument('--seconds', type=float, default=0.2, help='of repetitions, three times')
    parser.add_argument('--wall', action='store_true', help='wall time on all threads')
    args = parser.parse_args()
    if not args.wall:
        torch.set_num_threads(1)
    return args


def main() -> int:
    args = parse_args()
    predicted, found = measure(args)
    slope = (found[1] - found[0]) / (predicted[1] - predicted[0])
    line = found[0] + slope * (predicted - predicted[0])
    title = f'{args.device}, {args.size}x{args.size}, {torch.get_num_threads()} threads'
    table = Table('prediction', 'R2', 'squared correlation', 'error %', title=title)
    rows = {
        'sum of parts': predicted,
        'as in the table': predicted - predicted[0] + found[0],
        'line through the extremes': line,
    }
    for name, values in rows.items():
        scores = quality(values[2:], found[2:])
        table.add_row(name, *(f'{score:.3f}' for score in scores[:2]), f'{scores[2]:.1f}')
    console = Console(width=90)
    console.print(table)
    ends = [
        f'{name} {whole / 1e3:.1f} ms (its parts {parts / 1e3:.1f})'
        for name, whole, parts in zip(('shared', 'separate'), found, predicted)
    ]
    console.print(f'{len(found) - 2} trees between {" and ".join(ends)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
