"""The table of ShapeScenes: all 315 trees of four tasks and four stages, with several seeds.

    python benchmarks/trees/shapescenes_table.py train --dir DIR [--seeds 0 1 2 3] [--trees 315]
    python benchmarks/trees/shapescenes_table.py pack --dir DIR --out shapescenes.npz

``train`` appends one line for each training to DIR/rows.jsonl and skips those that are there: stop
it at any time and start it again. It takes the trees in an order drawn at random, block by block,
and each block with all seeds, so that what is there can always be used. ``pack`` writes what is
there. A shorter training (``--updates``) has a schedule of its own, which ends at a rate of 0 too.

All trees of a seed start from the same weights and see the same batches in the same order. The
loss is the sum of the tasks' log losses.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scenes import TASKS, Network, costs, losses, metrics, predict, scenes
from torch import Tensor, nn

from bmtas.branching import BranchingTree, enumerate_trees
from bmtas.search.tree_table import save_arrays

LAYERS, TRAINING_SCENES = 4, 800
UPDATES, BATCH, RATE, DECAY, POWER = 300, 16, 0.01, 0.0001, 0.9
READINGS = (0.125, 0.25, 0.5, 0.75, 1.0)
"""Shares of the updates after which the held-out scenes are looked at."""


def train(
    tree: BranchingTree, seed: int, data: dict[str, dict[str, Tensor]], updates: int = UPDATES
) -> dict:
    """One training; what is known of it in the end.

    Returns:
        ``held_out`` and ``train``: (5, T) log losses of the held-out scenes at the readings, and
        of the batches of the last tenth of all updates before them; ``test``: (T,) log losses and
        ``metrics``: (T,) mIoU, mean angle, RMSE, best F of the test scenes; ``seconds``.
    """
    start = time.process_time()
    model = Network(tree, seed)
    readings = [round(share * updates) for share in READINGS]
    window = max(1, updates // 10)
    curve, held_out, trained = [], [], []
    for update, logs in enumerate(optimise(model, seed, data, updates), 1):
        curve.append(logs)
        if update in readings:
            trained.append(torch.stack(curve[-window:]).mean(0).tolist())
            held_out.append(log_losses(model, data['held_out'])[0].tolist())
    test, logits = log_losses(model, data['test'])
    return dict(
        held_out=held_out,
        train=trained,
        test=test.tolist(),
        metrics=metrics(logits, data['test']),
        seconds=time.process_time() - start,
    )


def optimise(
    model: Network, seed: int, data: dict[str, dict[str, Tensor]], updates: int
) -> Iterator[Tensor]:
    """Train a network; gives the log losses (T,) of each update's batch."""
    optimizer = adamw(model)
    for update, batch in enumerate(batches(seed, updates)):
        yield log_update(model, optimizer, chosen(data['train'], batch), update / updates)


def adamw(model: nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)


def chosen(split: Mapping[str, Tensor], batch: np.ndarray) -> dict[str, Tensor]:
    return {key: value[batch] for key, value in split.items()}


def log_update(
    model: Callable[[Tensor], Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    batch: Mapping[str, Tensor],
    progress: float,
) -> Tensor:
    """One step on the sum of the log losses; returns these, (T,)."""
    optimizer.param_groups[0]['lr'] = RATE * (1 - progress) ** POWER
    logs = losses(model(batch['image']), batch).log()
    optimizer.zero_grad()
    logs.sum().backward()
    optimizer.step()
    return logs.detach()


def batches(seed: int, updates: int) -> Iterable[np.ndarray]:
    """Indices of each update's training scenes; a new order in each epoch, by seed alone."""
    order, rng = np.zeros(0, int), np.random.default_rng(seed)
    for _ in range(updates):
        if len(order) < BATCH:
            order = rng.permutation(TRAINING_SCENES)
        yield order[:BATCH]
        order = order[BATCH:]


def log_losses(model: Network, split: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Log losses (T,) of all scenes of a split together, and their logits."""
    logits = predict(model, split['image'])
    return losses(logits, split).log(), logits


def train_all(
    folder: Path,
    seeds: Sequence[int],
    updates: int = UPDATES,
    block: int = 63,
    count: int | None = None,
) -> None:
    """Train what is missing of the first ``count`` trees and append it to ``rows.jsonl``."""
    data = scenes(folder / 'scenes.npz')
    trees = list(enumerate_trees(LAYERS, tuple(TASKS)))
    path = folder / 'rows.jsonl'
    known = {(row['tree'], row['seed'], row['updates']) for row in read_rows(path)}
    order = np.random.default_rng(0).permutation(len(trees)).tolist()[:count]
    blocks = [order[start : start + block] for start in range(0, len(order), block)]
    for index, seed in ((tree, seed) for part in blocks for seed in seeds for tree in part):
        if (index, seed, updates) in known:
            continue
        row = dict(tree=index, seed=seed, updates=updates)
        row.update(train(trees[index], seed, data, updates))
        with path.open('a') as file:
            file.write(json.dumps(row) + '\n')
        print(f'seed {seed} tree {index}: {row["seconds"]:.1f} s', flush=True)


def read_rows(path: Path) -> list[dict]:
    """Rows of a file; a last line that was cut off is left out and cut off the file."""
    if not path.is_file():
        return []
    text = path.read_text()
    whole = text[: text.rfind('\n') + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def pack(folder: Path, out: Path, updates: int = UPDATES) -> None:
    """Write the trainings of a length as a ``TreeTable`` with some further columns.

    Probes of the same seeds that stand in the file stay. Shorter ones go to a file of signals
    beside it, see ``planted_signals.py``.
    """
    everything = read_rows(folder / 'rows.jsonl')
    rows = [row for row in everything if row['updates'] == updates]
    if not rows:
        raise SystemExit(f'{folder}/rows.jsonl: no rows; run "train --dir {folder}" first')
    trees = list(enumerate_trees(LAYERS, tuple(TASKS)))
    seeds = sorted({row['seed'] for row in rows})
    stem, layers, heads = costs()
    sizes = dict(held_out=(5, 4), train=(5, 4), test=(4,), metrics=(4,), seconds=())
    columns = {key: np.full((len(trees), len(seeds), *size), np.nan) for key, size in sizes.items()}
    for row in rows:
        for key, column in columns.items():
            column[row['tree'], seeds.index(row['seed'])] = row[key]
    known = dict(np.load(out)) if out.is_file() else dict(seeds=[])
    same = list(known['seeds']) == seeds
    save_arrays(
        out,
        **{key: known[key] for key in ('probe_routes', 'probes') if same and key in known},
        tasks=list(TASKS),
        routes=np.array([tree.routes for tree in trees], np.int8),
        layer_costs=layers,
        fixed_cost=stem + heads,
        readings=READINGS,
        seeds=seeds,
        **{key: column.astype(np.float32) for key, column in columns.items()},
    )
    numbers = np.isfinite(columns['seconds']).sum(0).tolist()
    print(
        f'{out}: {len(rows)} of {len(trees)} x {len(seeds)} rows; by seed',
        dict(zip(seeds, numbers)),
    )
    _pack_short([row for row in everything if row['updates'] < updates], out, updates)


def _pack_short(rows: Sequence[dict], out: Path, updates: int) -> None:
    """Held-out losses at the ends of shorter trainings: (S, Q, N, T), NaN where there is none."""
    if not rows:
        return
    seeds = sorted({row['seed'] for row in rows})
    lengths = sorted({row['updates'] for row in rows})
    count = len(list(enumerate_trees(LAYERS, tuple(TASKS))))
    short = np.full((len(seeds), len(lengths), count, len(TASKS)), np.nan, np.float32)
    for row in rows:
        place = seeds.index(row['seed']), lengths.index(row['updates']), row['tree']
        short[place] = row['held_out'][-1]
    path = out.with_suffix('.signals.npz')
    known = dict(np.load(path)) if path.is_file() else dict(seeds=[])
    if list(known['seeds']) != seeds:  # affinities of other seeds
        known = {}
    shares = np.array(lengths) / updates
    np.savez_compressed(path, **{**known, 'seeds': seeds, 'shares': shares, 'short': short})
    print(f'{path}: {len(rows)} rows of {lengths} updates')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    commands = parser.add_subparsers(dest='command', required=True)
    for name in ('train', 'pack'):
        command = commands.add_parser(name)
        command.add_argument('--dir', type=Path, required=True, help='folder of the rows')
        command.add_argument('--updates', type=int, default=UPDATES)
    commands.choices['pack'].add_argument('--out', type=Path, required=True)
    commands.choices['train'].add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3])
    commands.choices['train'].add_argument('--block', type=int, default=63, help='trees')
    commands.choices['train'].add_argument('--trees', type=int, help='the first of the drawn order')
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.command == 'pack':
        pack(args.dir, args.out, args.updates)
    else:
        train_all(args.dir, args.seeds, args.updates, args.block, args.trees)


if __name__ == '__main__':
    main()
