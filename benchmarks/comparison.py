"""Run every method of docs/comparison.md through the tools, on the same data and schedule.

    python benchmarks/comparison.py --jobs 2

One folder per seed and method under work_dirs/comparison; what is finished is skipped, so that the
script can be stopped and started again. BMTAS searches at two values of lambda; the trees of the
other strategies get the cost of the tree that it found with the same seed, those with the suffix _1
that of bmtas_1, those with _2 that of bmtas_2. Strategies that draw at random are run several times
for each seed, in folders named by the seed of the draw.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bmtas.engine.executors import PROGRAM, Job, Processes
from bmtas.engine.jobs import run_jobs
from bmtas.files import write_json

REPO = Path(__file__).resolve().parents[1]
CONFIGS = Path('configs/comparison')
LAMBDAS = {'bmtas_1': 60.0, 'bmtas_2': 15.0}
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
    method = out.parent.name if out.name.startswith('seed') else out.name
    cfg_options = ['--cfg-options', f'method={method}', f'randomness.seed={seed}']
    cfg_options.append(f'train_cfg.max_iters={iters}')
    common = [str(CONFIGS / f'{config}.py'), '--work-dir', str(out)]
    train = ['train', *common, '--resume', *(['--branching', str(tree)] if tree else [])]
    test = ['test', *common, str(out / f'iter_{iters}.pth'), '--losses']
    if config != 'single':
        test += ['--baseline', str(single / 'results.json')]
    return [[*train, *cfg_options, *options], [*test, *cfg_options, *options]]


def _cost(branching: Path) -> int:
    return int(json.loads(branching.read_text())['cost'])


def jobs_of_seed(root: Path, seed: int, iters: int, draws: int) -> list[Job]:
    """All jobs of one seed, in an order that a single worker could follow."""
    jobs: list[Job] = []

    def add(name: str, commands: Callable[[Path], list[Sequence[str]]], after: Sequence[str] = ()):
        out = root / f'seed{seed}' / name
        jobs.append(
            Job(
                f'{seed}/{name}',
                out,
                lambda: [[*PROGRAM, *command] for command in commands(out)],
                (out / 'results.json').is_file,
                tuple(after),
            )
        )

    def tree(out: Path) -> Path:
        return out / 'search' / 'branching.json'

    def found(config: str, out: Path, *options: str) -> list[Sequence[str]]:
        """Search and train."""
        search = ['search', str(CONFIGS / f'{config}.py'), '--work-dir', str(out / 'search')]
        search += ['--cfg-options', f'randomness.seed={seed}', *options]
        done = tree(out).is_file()
        train = _train('branched', out, seed, iters, here / 'single', tree=tree(out))
        return [*([] if done else [search]), *train]

    def trained(config: str, out: Path, *options: str) -> list[Sequence[str]]:
        """Train a network that needs no search."""
        return _train(config, out, seed, iters, here / 'single', *options)

    def other_trees(name: str, reference: Path, suffix: str) -> None:
        """Trees of the other strategies at the cost of the reference's."""
        after = [f'{seed}/{name}']

        def at_cost(method: str, *options: str) -> Callable[[Path], list[Sequence[str]]]:
            return lambda out: found(method, out, f'budget={_cost(reference)}', *options)

        add(f'vanilla{suffix}', at_cost('vanilla'), after)
        for index in range(draws):
            draw = draws * seed + index
            options = (f'search.branching={reference}', f'search.index={index}')
            options += (f'search.count={draws}', f'search.seed={seed}')
            add(
                f'permutation{suffix}/seed{draw}',
                lambda out, o=options: found('permutation', out, *o),
                after,
            )
            add(f'random{suffix}/seed{draw}', at_cost('random', f'search.seed={draw}'), after)
        images = (f'search.checkpoint={shared}', 'search.num_images=300')
        add(f'fafs{suffix}', at_cost('fafs', *images), [*after, f'{seed}/shared'])
        images = (f'search.checkpoint={single}', 'search.num_images=150')
        add(
            f'bmn{suffix}',
            lambda out, i=images: found(
                'bmn', out, f'budget={round(_cost(reference) * 1.001)}', *i
            ),
            [*after, f'{seed}/single'],
        )

    here = root / f'seed{seed}'
    single = here / 'single' / f'iter_{iters}.pth'
    shared = here / 'shared' / f'iter_{iters}.pth'
    need_single = [f'{seed}/single']
    add('single', lambda out: trained('single', out))
    add('shared', lambda out: trained('shared', out), need_single)
    for name, weight in LAMBDAS.items():
        add(
            name,
            lambda out, w=weight: found('search', out, f'search.resource_loss.weight={w}'),
            need_single,
        )
    for name in LAMBDAS:
        other_trees(name, tree(here / name), name.removeprefix('bmtas'))
    for name in ('cross_stitch', 'nddr'):
        add(
            name,
            lambda out, n=name: trained(n, out, f'model.encoder.init_from={single}'),
            need_single,
        )
    add('mtan', lambda out: trained('mtan', out), need_single)
    for name, keep in KEEP_RATIOS.items():
        masks = (f'model.encoder.keep_ratio={keep}', f'model.encoder.seed={seed}')
        add(name, lambda out, m=masks: trained('routed', out, *m), need_single)
    return jobs


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=Path('work_dirs/comparison'))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--iters', type=int, default=600, help='updates of every training')
    parser.add_argument('--jobs', type=int, default=2, help='runs side by side')
    parser.add_argument(
        '--draws', type=int, default=2, help='permuted and random trees for each seed'
    )
    parser.add_argument('--only', nargs='+', help='names of jobs, e.g. 0/single')
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.chdir(REPO)
    root = args.root
    jobs = [job for seed in args.seeds for job in jobs_of_seed(root, seed, args.iters, args.draws)]
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
