"""Searches and trainings to convergence on the real data of docs/results.md, over several seeds.

    python benchmarks/real_data.py --dir D --data tabletop --data-root FOLDER [--updates 3000]
    bmtas compare D/tabletop --out tabletop.md

Single, Shared, the tree of BMTAS for a budget and the best of six random trees for the same budget;
each is trained with the same schedule and tested. What is finished is skipped, what was stopped
goes on. At the end it prints, for each run, how much the last eighth of its training still gained
on the validation split: as long as that is more than a percent, ``--updates`` is too small.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from bmtas.engine import PROGRAM, Job, make_executor, run_jobs
from bmtas.evaluation import delta_m
from bmtas.files import read_json

BUDGETS = {'tabletop': '2.8G', 'camvid': '1.2G'}
"""Between the shared and the separate network."""
METHODS = ('single', 'shared', 'bmtas', 'best_of_random')
VALIDATIONS = 8


def jobs_of(root: Path, data: str, data_root: Path, seed: int, updates: int, count: int) -> list:
    """The jobs of one seed; the single-task networks, the baseline of all others, stand first."""
    here = root / data / f'seed{seed}'

    def commands(method: str) -> list[Sequence[str]]:
        out, common = here / method, ['--data-root', str(data_root), '--cfg-options']
        common.append(f'randomness.seed={seed}')
        config = f'{method if method in ("single", "shared") else "branched"}/mobilenetv2_{data}'
        found, tree = [], []
        if config.startswith('branched'):
            tree = ['--branching', str(out / 'search' / 'branching.json')]
            search, options = f'bmtas/mobilenetv2_{data}', []
            if method == 'best_of_random':
                search, options = config, ['search.type=BestOfRandom', f'search.count={count}']
                options += [f'search.seed={seed}', f'train_cfg.max_iters={updates}']
            if not Path(tree[1]).is_file():
                words = ['search', search, '--budget', BUDGETS[data], '--resume']
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
    parser.add_argument('--updates', type=int, default=3000, help='of every training')
    parser.add_argument('--count', type=int, default=6, help='random trees')
    parser.add_argument('--jobs', type=int, default=1, help='runs side by side')
    args = parser.parse_args(argv)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    root, data_root = args.dir.absolute(), args.data_root.absolute()
    jobs = [
        job
        for seed in args.seeds
        for job in jobs_of(root, args.data, data_root, seed, args.updates, args.count)
    ]
    failed = [o.failure for o in run_jobs(jobs, make_executor(args.jobs)).values() if o.failure]
    for job in jobs:
        if job.finished():
            print(f'{job.name:<28}last eighth {last_gain(job.folder):+.2f} %')
    if failed:
        parser.error(failed[0])


if __name__ == '__main__':
    main()
