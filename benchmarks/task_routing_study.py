"""The study in docs/task_routing.md: keep ratios, draws and norms, schemes, digits, a search.

    python benchmarks/task_routing_study.py run DIR [--seeds 0 1] [--only NAME ...]
    python benchmarks/task_routing_study.py collect DIR FILE.json
    python benchmarks/task_routing_study.py report FILE.json [--docs PAGE.md] [--plot FILE.png]

`run` trains and tests one network after the other, each in a folder of DIR; what is finished is
skipped, what was cut off goes on. Networks of 40 attributes see the same number of pairs of image
and task, 16 a batch times --updates; draws, norms and schemes are compared over --short updates.
`collect` writes what the report needs into one file; `report` prints its tables or sets them into a
page, each behind its mark.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_routing_report import collect, report

ROOT = Path(__file__).resolve().parent.parent
KEEP = (0.5, 1.0, 0.25, 0.75, 0.1, 0.9)
DRAWS = (
    ('batch', 'shared'),
    ('batch', 'batch_stats'),
    ('sample', 'shared'),
    ('sample', 'batch_stats'),
)
TRAINING = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
TRAINING += ('default_hooks.logger.interval=500', 'default_hooks.checkpoint.interval=5000')
BATCH = ('train_dataloader.batch_size=16', 'optim_wrapper.optimizer.fused=True')
WHOLE, SHARED, SINGLE, ROAMING, WEIGHTED, DIGITS = (
    f'task_routing/vgg11_bn_{name}'
    for name in (
        'shapes40',
        'shapes40_shared',
        'shapes40_single',
        'shapes40_roaming',
        'shapes40_weighted',
        'digits',
    )
)
ALL_LABELS = 'train_cfg.tasks_per_step=all'


@dataclass(frozen=True)
class Run:
    """A network: its folder, config, length, options, those of training alone, and the search that
    comes before: a config and words of its command line."""

    name: str
    config: str
    updates: int
    options: tuple[str, ...] = ()
    training: tuple[str, ...] = BATCH
    search: tuple[str, ...] = ()


def routed(
    name: str, updates: int, keep: float, seed: int, *options: str, fast: bool = True, **fields: Any
) -> Run:
    """A routed network; few channels are run alone, which gives the same in less time."""
    fixed = (f'randomness.seed={seed}', f'model.encoder.seed={seed}')
    ratio = (f'model.encoder.keep_ratio={keep}', f'model.encoder.kept_only={fast and keep < 0.9}')
    return Run(name, fields.pop('config', WHOLE), updates, (*fixed, *ratio, *options), **fields)


def ratios(updates: int, seed: int) -> Iterator[Run]:
    """All keep ratios and both ends."""
    common = (f'randomness.seed={seed}',)
    for keep in KEEP:
        yield routed(f'keep{keep}_seed{seed}', updates, keep, seed)
    # ten passes over all pairs
    yield routed(f'keep0.5_long_seed{seed}', updates * 5 // 2, 0.5, seed)
    yield Run(f'shared_seed{seed}', SHARED, updates // 40, common)
    # ten times as many pairs, a quarter of the passes of a routed network
    yield Run(f'shared_long_seed{seed}', SHARED, updates // 4, common)
    yield Run(f'single_seed{seed}', SINGLE, updates, common)


def variants(folder: Path, short: int, updates: int) -> Iterator[Run]:
    """Draws with norms, and schemes, at keep ratio 0.5."""
    yield routed('draw_batch_per_task_stats', short, 0.5, 0)
    for draw, norm in DRAWS:
        yield routed(
            f'draw_{draw}_{norm}', short, 0.5, 0, f'model.encoder.norm={norm}',
            fast=draw == 'batch' and norm != 'shared',
            training=(*BATCH, f'train_cfg.draw={draw}'),
        )  # fmt: skip
    yield routed('scheme_random_cover', short, 0.5, 0, 'model.encoder.scheme=random_cover')
    tree = folder / 'scheme_tree' / 'search' / 'branching.json'
    shared = folder / 'shared_long_seed0' / f'iter_{updates // 4}.pth'
    search = ('--budget', '60M', '--cfg-options', 'search.type=FAFSSearch', 'search.split=val')
    search += ('search.difficulty=loss', f'search.checkpoint={shared}')
    scheme = ('model.encoder.scheme.name=tree', f'model.encoder.scheme.branching={tree}')
    yield routed('scheme_tree', short, 0.5, 0, *scheme, search=(SHARED, *search))
    # some 64 moves until every task has seen all units of the widest layers
    moves = f'custom_hooks.1.interval={max(1, short // 120)}'
    yield routed('scheme_roaming', short, 0.5, 0, moves, fast=False, config=ROAMING)


def weighted(updates: int) -> Iterator[Run]:
    """Rare classes of the same weight as frequent ones."""
    yield routed('weighted_keep0.5', updates, 0.5, 0, config=WEIGHTED)
    yield routed(
        'weighted_shared_long', updates // 4, 1.0, 0, config=WEIGHTED,
        training=(*BATCH, ALL_LABELS),
    )  # fmt: skip


def digits() -> Iterator[Run]:
    """22 tasks on real digits."""
    yield Run('digits_keep0.5', DIGITS, 4000, (), BATCH)
    shared = ('model.encoder.keep_ratio=1.0',)
    yield Run('digits_shared', DIGITS, 181, shared, (*BATCH, ALL_LABELS))


def searched(updates: int) -> Iterator[Run]:
    """A branching search over 20 of the attributes, its network and hard sharing."""
    config = 'branched/resnet18_shapes20'
    search = ('bmtas/resnet18_shapes20', '--cfg-options', 'train_dataloader.batch_size=8')
    search += ('search.warmup_updates=30', 'search.weight_updates=80')
    # as many images for each task as the routed networks see
    yield Run('tree20', config, updates // 40, (), BATCH, search)
    yield Run('shared20', config, updates // 40, ('model.encoder.routes=shared',), BATCH)


def run(folder: Path, runs: Sequence[Run]) -> None:
    """Train and test what is not finished."""
    for one in runs:
        work = folder / one.name
        if (work / 'results.json').is_file():
            continue
        tree = work / 'search' / 'branching.json'
        if one.search and not tree.is_file():
            place = ('--work-dir', str(work / 'search'), '--resume')
            _call('search', one.search[0], *place, *one.search[1:])
        where = ['--work-dir', str(work)]
        masks = any('branching' in option for option in one.options)
        branches = ['--branching', str(tree)] if one.search and not masks else []
        length = f'train_cfg.max_iters={one.updates}'
        options = [length, *TRAINING, *one.training, *one.options]
        _call('train', one.config, *where, *branches, '--resume', '--cfg-options', *options)
        checkpoint = str(work / f'iter_{one.updates}.pth')
        _call('test', one.config, checkpoint, *where, '--cfg-options', length, *one.options)


def _call(tool: str, config: str, *words: str) -> None:
    path = str(ROOT / 'configs' / f'{config}.py')
    subprocess.run([sys.executable, '-m', 'bmtas', tool, path, *words], check=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('run', 'collect', 'report'))
    parser.add_argument('paths', type=Path, nargs='+', help='DIR, DIR and FILE, or FILE')
    parser.add_argument('--updates', type=int, default=20000, help='of 16 images and one task')
    parser.add_argument('--short', type=int, default=4000, help='for draws, norms and schemes')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--only', nargs='+', default=[''], help='runs whose name holds this')
    parser.add_argument('--docs', type=Path, help='page whose tables are replaced')
    parser.add_argument('--plot', type=Path)
    args = parser.parse_args(argv)
    folder = args.paths[0].absolute()
    if args.what == 'run':
        runs = [run for seed in args.seeds for run in ratios(args.updates, seed)]
        runs += [*weighted(args.updates), *variants(folder, args.short, args.updates)]
        runs += [*searched(args.updates), *digits()]
        run(folder, [one for one in runs if any(word in one.name for word in args.only)])
    elif args.what == 'collect':
        collect(*args.paths)
    else:
        report(args.paths[0], args.docs, args.plot)


if __name__ == '__main__':
    main()
