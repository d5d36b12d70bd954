"""Run every method of docs/comparison.md through the tools, on the same data and schedule.

    python benchmarks/comparison.py --jobs 2 [--network mobilenetv2]

One folder per seed and method under work_dirs/comparison/NETWORK; what is finished is skipped, so
that the script can be stopped and started again. All strategies get the same budget; the permuted
tree is that of the surrogate. All networks and searches minimise log losses, the scale of Delta_m.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from bmtas.engine.executors import PROGRAM, Job, Processes
from bmtas.engine.jobs import run_jobs
from bmtas.evaluation import delta_m
from bmtas.files import read_json, write_json, write_text
from bmtas.resources import markdown

REPO = Path(__file__).resolve().parents[1]
ONE_SCALE = 'train_cfg.log_losses=True'


@dataclass(frozen=True)
class Setting:
    """One comparison.

    Args:
        config: Path of the config of a method, for ``format``.
        budget: Between the shared and the separate network, in the middle.
        iters: Updates of every training.
        relu: Activation of the encoders of soft sharing.
        routed: Parts of the channels that task routing keeps; it cannot follow a pixel shuffle.
        seeds: What is run where nothing else is asked for.
    """

    config: str
    budget: str
    iters: int
    relu: str
    routed: Sequence[float]
    seeds: Sequence[int]

    def of(self, method: str) -> str:
        """The config of a method, as the tools take it."""
        return self.config.format(method)


SETTINGS = {
    'conv4': Setting('configs/{}/conv4_shapescenes.py', '6.5M', 300, 'relu', (), range(5)),
    'mobilenetv2': Setting(
        'configs/comparison/{}.py', '0.15G', 400, 'relu6', (0.5, 0.75), range(4)
    ),
}


def _train(
    setting: Setting,
    config: str,
    out: Path,
    seed: int,
    single: Path,
    *options: str,
    tree: Path | None = None,
) -> list[Sequence[str]]:
    """Commands that train one network and test it against the single-task networks' folder."""
    cfg_options = ['--cfg-options', f'method={out.name}', f'randomness.seed={seed}']
    cfg_options += [f'train_cfg.max_iters={setting.iters}', ONE_SCALE]
    common = [setting.of(config), '--work-dir', str(out)]
    train = ['train', *common, '--resume', *(['--branching', str(tree)] if tree else [])]
    test = ['test', *common, str(out / f'iter_{setting.iters}.pth'), '--losses']
    if out.name != 'single':
        test += ['--baseline', str(single / 'results.json')]
    return [[*train, *cfg_options, *options], [*test, *cfg_options, *options]]


def jobs_of_seed(root: Path, seed: int, setting: Setting) -> list[Job]:
    """All jobs of one seed: what others need, the trees, then other ways of sharing."""
    jobs: list[Job] = []
    here, iters = root / f'seed{seed}', setting.iters
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
        search = ['search', setting.of(config), '--work-dir', str(out / 'search'), '--resume']
        search += ['--budget', setting.budget, '--cfg-options', f'randomness.seed={seed}']
        done = tree(out).is_file()
        train = _train(setting, 'branched', out, seed, here / 'single', tree=tree(out))
        return [*([] if done else [[*search, *options]]), *train]

    def trained(config: str, out: Path, *options: str) -> list[Sequence[str]]:
        """Train a network that needs no search."""
        return _train(setting, config, out, seed, here / 'single', *options)

    def searched(name: str, *options: str, after: Sequence[str] = ()) -> None:
        add(name, lambda out: found(name, out, *options), 'single', *after)

    def soft(name: str, encoder: str, *options: str) -> None:
        kind = f'model.encoder.type={encoder}'
        add(name, lambda out: trained('single', out, kind, *options), 'single')

    add('single', lambda out: trained('single', out))
    add('shared', lambda out: trained('shared', out), 'single')
    lam = ('search.resource_loss.follow=True', 'search.resource_loss.weight=0.2')
    searched('bmtas', 'search.log_losses=True', *lam)
    drawn = f'search.seed={seed}'
    rows = (drawn, f'train_cfg.max_iters={iters}', ONE_SCALE)
    searched('surrogate', *rows)
    searched('best_of_random', *rows)
    searched('random', drawn)
    images = (f'search.checkpoint={shared}', 'search.num_images=300')
    within = 'search.rule=at_most'
    searched('fafs', *images, within, after=['shared'])
    searched('bmn', f'search.checkpoint={single}', 'search.num_images=150')
    searched('vanilla', within)
    reference = f'search.branching={tree(here / "surrogate")}'
    searched('permutation', reference, drawn, 'search.count=1', after=['surrogate'])
    init, relu = f'model.encoder.init_from={single}', f'model.encoder.activation={setting.relu}'
    soft('cross_stitch', 'CrossStitchEncoder', init)
    soft('nddr', 'NDDREncoder', init, relu)
    soft('mtan', 'MTANEncoder', 'model.encoder.separable=True', relu)
    for keep in setting.routed:
        masks = (f'model.encoder.keep_ratio={keep}', f'model.encoder.seed={seed}')
        plug_in = 'custom_imports.imports=bmtas.task_routing'
        soft(
            f'routed_{100 * keep:.0f}',
            'RoutedEncoder',
            plug_in,
            'model.encoder.kept_only=True',
            *masks,
        )
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
    parser.add_argument('--network', choices=SETTINGS, default='conv4')
    parser.add_argument('--root', type=Path, help='work_dirs/comparison/NETWORK by default')
    parser.add_argument('--seeds', type=int, nargs='+', help='by default those of the page')
    parser.add_argument('--jobs', type=int, default=2, help='runs side by side')
    parser.add_argument('--only', nargs='+', help='names of jobs, e.g. 0/single')
    parser.add_argument('--methods', nargs='+', help='of all seeds, e.g. single shared')
    parser.add_argument(
        '--keep', type=Path, metavar='DIR', help='copy the scores and trees of what is finished'
    )
    parser.add_argument(
        '--differences', metavar='METHOD', help='print its Delta_m less that of the others'
    )
    args = parser.parse_args()
    setting = SETTINGS[args.network]
    root = args.root or Path('work_dirs/comparison') / args.network
    if args.differences:
        return print(differences(root, args.differences))
    if args.keep:
        return keep(root, args.keep)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    os.chdir(REPO)
    seeds = args.seeds or setting.seeds
    jobs = [job for seed in seeds for job in jobs_of_seed(root, seed, setting)]
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
