"""Run every method of docs/comparison.md through the tools, on the same data and schedule.

    python benchmarks/comparison.py --jobs 2

One folder per seed and method under work_dirs/comparison; what is finished is skipped, so that the
script can be stopped and started again. All strategies get the same budget; the permuted tree is
that of BMTAS. All networks and searches minimise log losses, the scale of Delta_m.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from bmtas.engine.executors import PROGRAM, Job, Processes
from bmtas.engine.jobs import run_jobs
from bmtas.evaluation import delta_m
from bmtas.files import read_json, write_json, write_text
from bmtas.resources import markdown

REPO = Path(__file__).resolve().parents[1]
CONFIGS = Path('configs/comparison')
BUDGET = '0.15G'
"""Between the shared (0.083) and the separate network (0.198)."""
ONE_SCALE = 'train_cfg.log_losses=True'
KEEP_RATIOS = {'routed_50': 0.5, 'routed_75': 0.75}


def _train(
    config: str,
    out: Path,
    seed: int,
    iters: int,
    single: Path,
    *options: str,
    tree: Path | None = None,
) -> list[Sequence[str]]:
    """Commands that train one network and test it against the single-task networks' folder."""
    cfg_options = ['--cfg-options', f'method={out.name}', f'randomness.seed={seed}']
    cfg_options += [f'train_cfg.max_iters={iters}', ONE_SCALE]
    common = [str(CONFIGS / f'{config}.py'), '--work-dir', str(out)]
    train = ['train', *common, '--resume', *(['--branching', str(tree)] if tree else [])]
    test = ['test', *common, str(out / f'iter_{iters}.pth'), '--losses']
    if config != 'single':
        test += ['--baseline', str(single / 'results.json')]
    return [[*train, *cfg_options, *options], [*test, *cfg_options, *options]]


def jobs_of_seed(root: Path, seed: int, iters: int, budget: str = BUDGET) -> list[Job]:
    """All jobs of one seed: what others need, the trees, then other ways of sharing."""
    jobs: list[Job] = []
    here = root / f'seed{seed}'
    single = here / 'single' / f'iter_{iters}.pth'
    shared = here / 'shared' / f'iter_{iters}.pth'

    def add(name: str, commands: Callable[[Path], list[Sequence[str]]], *after: str) -> None:
        out = here / name
        jobs.append(
            Job(
                f'{seed}/{name}',
                out,
                lambda: [[*PROGRAM, *command] for command in commands(out)],
                (out / 'results.json').is_file,
                tuple(f'{seed}/{other}' for other in after),
            )
        )

    def tree(out: Path) -> Path:
        return out / 'search' / 'branching.json'

    def found(config: str, out: Path, *options: str) -> list[Sequence[str]]:
        """Search and train."""
        search = ['search', str(CONFIGS / f'{config}.py'), '--work-dir', str(out / 'search')]
        search += ['--budget', budget, '--resume', '--cfg-options', f'randomness.seed={seed}']
        done = tree(out).is_file()
        train = _train('branched', out, seed, iters, here / 'single', tree=tree(out))
        return [*([] if done else [[*search, *options]]), *train]

    def trained(config: str, out: Path, *options: str) -> list[Sequence[str]]:
        """Train a network that needs no search."""
        return _train(config, out, seed, iters, here / 'single', *options)

    def searched(name: str, *options: str, after: Sequence[str] = (), config: str = '') -> None:
        add(name, lambda out: found(config or name, out, *options), 'single', *after)

    add('single', lambda out: trained('single', out))
    add('shared', lambda out: trained('shared', out), 'single')
    lam = ('search.resource_loss.follow=True', 'search.resource_loss.weight=0.2')
    searched('bmtas', 'search.log_losses=True', *lam, config='search')
    drawn = f'search.seed={seed}'
    rows = (drawn, f'train_cfg.max_iters={iters}', ONE_SCALE)
    searched('surrogate', *rows)
    searched('best_of_random', *rows)
    searched('random', drawn)
    images = (f'search.checkpoint={shared}', 'search.num_images=300')
    searched('fafs', *images, after=['shared'])
    searched('bmn', f'search.checkpoint={single}', 'search.num_images=150')
    searched('vanilla')
    reference = f'search.branching={tree(here / "bmtas")}'
    searched('permutation', reference, drawn, 'search.count=1', after=['bmtas'])
    init = f'model.encoder.init_from={single}'
    for name in ('cross_stitch', 'nddr'):
        add(name, lambda out, n=name: trained(n, out, init), 'single')
    add('mtan', lambda out: trained('mtan', out), 'single')
    for name, keep in KEEP_RATIOS.items():
        masks = (f'model.encoder.keep_ratio={keep}', f'model.encoder.seed={seed}')
        add(name, lambda out, m=masks: trained('routed', out, *m), 'single')
    return jobs


def keep(root: Path, folder: Path) -> None:
    """Copy what is small of every finished run: scores, time, tree, without paths of a machine."""
    for results in sorted(root.glob('seed*/*/results.json')):
        for name in ('results.json', 'time.json', 'search/branching.json', 'search/search.json'):
            source = results.parent / name
            if source.is_file():
                text = source.read_text().replace(f'{root.absolute()}/', '').replace(f'{root}/', '')
                write_text(folder / source.relative_to(root), text)


def differences(root: Path, method: str) -> str:
    """Delta_m of a method less that of each other one, seed by seed: mean, 95 % interval, seeds.

    Delta_m is against the mean of the single-task networks; the interval is Student's.
    """
    runs: dict[str, dict[str, dict]] = {}
    for path in root.glob('seed*/*/results.json'):
        results = read_json(path, 'results')
        runs.setdefault(path.parent.name, {})[path.parent.parent.name] = results
    single = [results['scores'] for results in runs['single'].values()]
    base = {task: np.mean([scores[task] for scores in single]) for task in single[0]}
    gains = {
        name: {
            seed: delta_m(results['scores'], base, results['higher_is_better'])
            for seed, results in found.items()
        }
        for name, found in runs.items()
    }
    rows = []
    for name in sorted(gains, key=lambda n: float(np.mean(list(gains[n].values())))):
        seeds = sorted(gains[name].keys() & gains[method].keys())
        if name == method or len(seeds) < 2:
            continue
        less = np.array([gains[method][seed] - gains[name][seed] for seed in seeds])
        half = stats.t.ppf(0.975, len(less) - 1) * less.std(ddof=1) / np.sqrt(len(less))
        cells = [f'{less.mean():+.2f}', f'[{less.mean() - half:+.2f}, {less.mean() + half:+.2f}]']
        rows.append([name, *cells, ' '.join(f'{value:+.1f}' for value in less)])
    return markdown(['less that of', f'Delta_m of {method}', '95 %', 'seed by seed'], rows)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=Path('work_dirs/comparison'))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3])
    parser.add_argument('--iters', type=int, default=400, help='updates of every training')
    parser.add_argument('--jobs', type=int, default=2, help='runs side by side')
    parser.add_argument('--budget', default=BUDGET, help='of every tree')
    parser.add_argument('--only', nargs='+', help='names of jobs, e.g. 0/single')
    parser.add_argument('--methods', nargs='+', help='of all seeds, e.g. single shared')
    parser.add_argument(
        '--keep', type=Path, metavar='DIR', help='copy the scores and trees of what is finished'
    )
    parser.add_argument(
        '--differences', metavar='METHOD', help='print its Delta_m less that of the others'
    )
    args = parser.parse_args()
    if args.differences:
        return print(differences(args.root, args.differences))
    if args.keep:
        return keep(args.root, args.keep)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.chdir(REPO)
    root = args.root
    jobs = [job for seed in args.seeds for job in jobs_of_seed(root, seed, args.iters, args.budget)]
    if args.methods:
        jobs = [job for job in jobs if job.folder.name in args.methods]
    if args.only:
        unknown = sorted(set(args.only) - {job.name for job in jobs})
        if unknown:
            parser.error(f'--only: unknown job {unknown[0]}, there are {[j.name for j in jobs]}')
        jobs = [job for job in jobs if job.name in args.only]
    start = time.time()
    outcomes = run_jobs(jobs, Processes(args.jobs))
    for job in jobs:
        outcome = outcomes.get(job.name)
        if outcome is not None and not outcome.failure:
            spent = dict(wall_s=outcome.wall_s, cpu_s=outcome.cpu_s)
            write_json(job.folder / 'time.json', spent)
    print(f'{(time.time() - start) / 60:.1f} min')
    failed = [name for name, outcome in outcomes.items() if outcome.failure]
    if failed:
        sys.exit(f'not finished: {", ".join(failed)}')


if __name__ == '__main__':
    main()
