"""What does skipping candidates of small weight save, and does it change what a search finds?

    python benchmarks/search_skip.py [--skip 0 0.05 0.1 top_k=2] [--seeds 0 1] [--updates 150]

Short searches on ShapeScenes with soft mixing weights, for each value of ``search.skip_below``, or
of ``search.top_k``, and each seed; the encoder is the first six blocks of MobileNetV2, so that it
takes minutes. Shown for each value: processor time relative to 0 (same seed), the share of
candidates skipped over the whole search, and how far the probabilities that two tasks share a layer
lie from those of 0 with the same seed, beside the distance between seeds: mean absolute difference.

``--shares`` trains nothing and prints what share would be skipped with equal logits while the
temperature falls from 5 to 0.1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bmtas.engine.build import config_from_args
from bmtas.models.encoders.routing import gumbel_softmax
from bmtas.search import run_search
from bmtas.search.gradient import HISTORY, read_history

CONFIG = Path(__file__).resolve().parent.parent / 'configs' / 'bmtas' / 'mobilenetv2_shapescenes.py'


def options_of(skip: str) -> dict:
    """Of the config: a number is a ``skip_below``."""
    key, _, value = skip.rpartition('=')
    return {'search.top_k': int(value)} if key == 'top_k' else {'search.skip_below': float(value)}


def search(skip: str, seed: int, args: argparse.Namespace, work: Path) -> dict:
    """Processor seconds, share skipped, mean loss of the last updates, sharing (L, T, T)."""
    warm = args.updates // 10
    options = {
        'model.encoder.backbone.output_stride': 8,
        'model.encoder.backbone.stem': ['features.0'],
        'model.encoder.backbone.layers': [f'features.{index}' for index in range(1, 7)],
        'model.encoder.backbone.aspp': dict(type='RASPP', channels=16),
        'model.head.low_proj': 8,
        'model.head.width': 16,
        **options_of(skip),
        'search.warmup_updates': warm,
        'search.weight_updates': args.updates,
        'search.alpha_phase': 10,
        'search.weight_phase': 10,
        'search.log.interval': 10,
        'randomness.seed': seed,
        'train_dataloader.batch_size': args.batch,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_dataloader.dataset.length': args.images,
        'val_cfg': None,
    }
    call = argparse.Namespace(
        config=str(CONFIG), cfg_options=options, data_root=None, work_dir=str(work)
    )
    start = time.process_time()
    run_search(config_from_args(call))
    rows = [row for row in read_history(work / HISTORY) if row['phase'] != 'warmup']
    sharing = np.array(json.loads((work / 'alpha.json').read_text())['shared'])
    return dict(
        seconds=time.process_time() - start,
        skipped=np.mean([row['losses'].get('skipped', 0.0) for row in rows]),
        cost=rows[-1]['cost_exact'],
        sharing=sharing,
    )


def distance(first: dict, second: dict) -> float:
    """Mean absolute difference of the probabilities of sharing, over layers and pairs of tasks."""
    pairs = ~np.eye(first['sharing'].shape[-1], dtype=bool)
    return float(np.abs(first['sharing'] - second['sharing'])[:, pairs].mean())


def expected_share(floor: float, candidates: int, steps: int = 50) -> float:
    """Share of weights below ``floor`` for equal logits, over the fall of the temperature."""
    generator = torch.Generator().manual_seed(0)
    shares = []
    for step in range(steps):
        tau = 5 + (0.1 - 5) * step / (steps - 1)
        weights = gumbel_softmax(torch.zeros(4000, candidates), tau, generator, floor=floor)
        shares.append((weights == 0).float().mean().item())
    return float(np.mean(shares))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Searches that skip candidates of small weight.')
    parser.add_argument('--skip', nargs='+', default=['0', '0.05', '0.1', 'top_k=2'])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--updates', type=int, default=150, help='weight updates of a search')
    parser.add_argument('--shares', action='store_true', help='only expected shares, 5 candidates')
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--images', type=int, default=400)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if args.shares:
        for floor in args.skip:
            print(f'{floor}: {expected_share(float(floor), 5):.1%}')
        return 0
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for skip in args.skip:
            for seed in args.seeds:
                found[skip, seed] = search(skip, seed, args, Path(folder) / f'{skip}_{seed}')
    first = args.skip[0]
    table = Table('skip', 'time', 'skipped', 'expected cost', 'distance to 0')
    for skip in args.skip:
        runs = [found[skip, seed] for seed in args.seeds]
        base = [found[first, seed] for seed in args.seeds]
        ratio = np.mean([run['seconds'] / b['seconds'] for run, b in zip(runs, base)])
        cost = np.mean([run['cost'] for run in runs])
        shift = np.mean([distance(run, b) for run, b in zip(runs, base)])
        skipped = np.mean([run['skipped'] for run in runs])
        row = (f'{ratio:.2f}', f'{skipped:.0%}', f'{cost:.4f}', f'{shift:.4f}')
        table.add_row(skip, *row)
    between = [distance(found[first, a], found[first, b]) for a, b in combinations(args.seeds, 2)]
    console = Console(width=90)
    console.print(table)
    if between:
        console.print(f'distance between seeds without skipping: {np.mean(between):.4f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
