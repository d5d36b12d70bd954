"""Searches and trainings to convergence on the real data of docs/results.md, over several seeds.

    python benchmarks/real_data.py --dir D --data tabletop --data-root FOLDER [--half]
    bmtas compare D/tabletop --out tabletop.md

Single, Shared, the tree of BMTAS for a budget and the best of some random trees for the same
budget; each is trained with the same schedule and tested. What is finished is skipped, what was
stopped goes on. At the end it prints, for each run, how much the last quarter of its training still
gained on the validation split: as long as that is more than a percent, ``--updates`` is too small;
and the processor's share of both searches. ``--half`` takes images of half the height and width.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from bmtas.engine import PROGRAM, Job, make_executor, run_jobs
from bmtas.evaluation import delta_m
from bmtas.files import read_json, write_text

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
BUDGETS = {'tabletop': (2.8, 0.7), 'camvid': (1.2, 0.3)}
"""GMAdds of whole and of half images, between the shared and the separate network."""
SIZES = {'tabletop': ((120, 160), (96, 128)), 'camvid': ((90, 120), (88, 120))}
"""Half an image, and the crop for training, as the searches of the configs take it."""
HALF = """# {config} on images of half the height and width.
_base_ = '{configs}/{config}.py'
input_size = {size}
_half = dict(type='Resize', factor=0.5, lines=['edge'])
_test = dict(dataset=dict(pipeline=[_half, dict(type='PackSample')]), num_workers=0)
_test['persistent_workers'] = False
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=[
            _half,
            dict(type='RandomScale', scales=[0.75, 1.0, 1.25, 1.5]),
            dict(type='RandomCrop', size={crop}),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    ),
)
val_dataloader = _test
test_dataloader = _test
"""
METHODS = ('single', 'shared', 'bmtas', 'best_of_random')
VALIDATIONS = 4


def half_configs(root: Path, data: str) -> None:
    """Write the configs of half images."""
    size, crop = SIZES[data]
    for kind in ('single', 'shared', 'branched', 'bmtas'):
        config = f'{kind}/mobilenetv2_{data}'
        text = HALF.format(configs=CONFIGS, config=config, size=size, crop=crop)
        write_text(root / 'configs' / f'{config}.py', text)


def jobs_of(root: Path, args: argparse.Namespace, seed: int) -> list[Job]:
    """The jobs of one seed; the single-task networks, the baseline of all others, stand first."""
    data, updates, data_root = args.data, args.updates, args.data_root.absolute()
    here = root / data / f'seed{seed}'

    def named(kind: str) -> str:
        config = f'{kind}/mobilenetv2_{data}'
        return str(root / 'configs' / f'{config}.py') if args.half else config

    def commands(method: str) -> list[Sequence[str]]:
        out, common = here / method, ['--data-root', str(data_root), '--cfg-options']
        common.append(f'randomness.seed={seed}')
        config, found, tree = named(method if method in METHODS[:2] else 'branched'), [], []
        if method not in METHODS[:2]:
            tree = ['--branching', str(out / 'search' / 'branching.json')]
            search, options = named('bmtas'), []
            if method == 'best_of_random':
                search, options = config, ['search.type=BestOfRandom']
                options += [f'search.count={args.count}', f'search.seed={seed}']
                options += [f'search.length={args.length}', f'train_cfg.max_iters={updates}']
            if not Path(tree[1]).is_file():
                words = ['search', search, '--budget', f'{BUDGETS[data][args.half]}G', '--resume']
                found.append([*words, '--work-dir', str(out / 'search'), *common, *options])
        length = [f'train_cfg.max_iters={updates}', f'method={method}']
        length.append(f'train_cfg.val_interval={updates // VALIDATIONS}')
        own = ['--work-dir', str(out), *common, *length]
        found.append(['train', config, *tree, '--resume', *own])
        against = ['--baseline', str(here / 'single' / 'results.json')]
        test = ['test', config, str(out / f'iter_{updates}.pth')]
        found.append([*test, *([] if method == 'single' else against), *own])
        return [[*PROGRAM, *command] for command in found]

    return [
        Job(
            f'{data}/{seed}/{method}',
            here / method,
            lambda m=method: commands(m),
            (here / method / 'results.json').is_file,
            () if method == 'single' else (f'{data}/{seed}/single',),
        )
        for method in METHODS
    ]


def last_gain(folder: Path) -> float:
    """Delta_m in percent of the last validation of a training against the one before."""
    results = read_json(folder / 'results.json', 'results')
    keys = {task: f'{task}/{name}' for task, name in results['score_names'].items()}
    seen: dict[int, dict] = {}
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            if set(keys.values()) <= set(row):
                seen[row['step']] = row
    if len(seen) < 2:
        raise ValueError(f'{folder}: fewer than two validations in the log')
    before, last = (seen[step] for step in sorted(seen)[-2:])
    tasks = list(keys)
    return delta_m(
        *({task: row[keys[task]] for task in tasks} for row in (last, before)),
        results['higher_is_better'],
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing; print how far each training has converged."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir', type=Path, required=True, help='folder of the runs')
    parser.add_argument('--data', choices=list(BUDGETS), required=True)
    parser.add_argument('--data-root', type=Path, required=True, help='folder of the data set')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--half', action='store_true', help='images of half the height and width')
    parser.add_argument('--updates', type=int, default=3000, help='of every training')
    parser.add_argument('--count', type=int, default=6, help='random trees')
    parser.add_argument('--length', type=float, default=0.5, help='of their trainings, in updates')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    args = parser.parse_args(argv)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    root = args.dir.absolute()
    if args.half:
        half_configs(root, args.data)
    jobs = [job for seed in args.seeds for job in jobs_of(root, args, seed)]
    failed = [o.failure for o in run_jobs(jobs, make_executor(args.jobs)).values() if o.failure]
    for job in jobs:
        if job.finished():
            print(f'{job.name:<28}last quarter {last_gain(job.folder):+.2f} %')
    if failed:
        parser.error(failed[0])


if __name__ == '__main__':
    main()
