"""Computation sharing on ShapeScenes: train all ways of docs/computation_sharing.md, tabulate them.

    python benchmarks/sharing_comparison.py run --dir D [--seed 0] [--tasks normals depth edge]
    python benchmarks/sharing_comparison.py table --dir D [--out docs/images]

A run goes on where it was interrupted; rows that have results are skipped.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

DATA = {
    'train_dataloader.dataset.length': 1000,
    'test_dataloader.dataset.length': 300,
    **{f'{part}_dataloader.num_workers': 0 for part in ('train', 'val', 'test')},
    **{f'{part}_dataloader.persistent_workers': False for part in ('train', 'val', 'test')},
    'train_dataloader.batch_size': 8,
}
BASE = 'semseg'
ELEMENTS, ROWS = (0.5, 0.7, 0.9), (0.3, 0.5, 0.7)
MAIN = 'sparse5'

NETWORKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    MAIN: ('vit_shapescenes', {}),
    'rank8': ('vit_lowrank_shapescenes', {}),
    'finetuned': ('vit_finetuned_shapescenes', {}),
    'rank4': ('vit_lowrank_shapescenes', {'model.encoder.delta.rank': 4}),
    'from3': ('vit_shapescenes', {'model.encoder.from_layer': 3}),
}
"""Rows that share: config and overrides."""
OTHERS = ('single', 'shared', 'branched')


def config(
    name: str,
    folder: Path,
    args: argparse.Namespace,
    options: Mapping[str, Any],
    tasks: list[str] | None = None,
) -> Any:
    """A config with the data of the comparison, reduced to its tasks."""
    from bmtas.engine.config import load_config, select_tasks

    cfg = load_config(name, {**DATA, 'randomness.seed': args.seed, **options}, work_dir=folder)
    select_tasks(cfg, tasks or [BASE, *args.tasks])
    cfg.launcher, cfg.experiment_name = 'none', folder.name
    return cfg


def run_other(kind: str, folder: Path, args: argparse.Namespace) -> None:
    """Networks without deltas, all tasks at once."""
    from bmtas.engine.checkpoint import checkpoints_of
    from bmtas.engine.test import run_test
    from bmtas.engine.train import run_training

    def cfg() -> Any:
        # the base is itself a ViT from scratch
        tasks = args.tasks if kind == 'single' else [BASE, *args.tasks]
        own = config(f'{kind}/vit_shapescenes', folder, args, {}, tasks)
        own.param_scheduler = config(
            f'sharing/{NETWORKS[MAIN][0]}', folder, args, {}
        ).param_scheduler
        if kind == 'branched':
            count = len(args.tasks) + 1
            own.model.encoder.routes = [[0] * count] * 3 + [list(range(count))] * 4
        return own

    training = cfg()
    training.resume = bool(checkpoints_of(folder))
    if not (folder / f'iter_{training.train_cfg.max_iters}.pth').is_file():
        run_training(training)
    run_test(cfg(), checkpoints_of(folder)[0], out=folder / 'results.json', sheet=0)


def run_network(name: str, folder: Path, args: argparse.Namespace) -> None:
    """A network with deltas: train it, then test it at its thresholds."""
    from bmtas.sharing.share import share

    path, options = NETWORKS[name]
    main = folder.parent / MAIN / BASE
    if name != MAIN and main.is_dir() and not (folder / BASE).is_dir():
        shutil.copytree(main, folder / BASE)  # the same base: its config and seed are equal
    cfg = config(f'sharing/{path}', folder, args, options)
    if not (folder / 'results.json').is_file():
        share(cfg, None, resume=True, sheet=6)


def thresholded(name: str, folder: Path, args: argparse.Namespace) -> None:
    """Test a network at each of its thresholds."""
    path, options = NETWORKS[name]
    goals = [('rows', share) for share in ROWS]
    if name in (MAIN, 'from3'):
        goals = [('elements', share) for share in ELEMENTS] + goals
    for goal, share in goals if name != 'finetuned' else []:
        cfg = config(f'sharing/{path}', folder, args, options)
        at_thresholds(cfg, folder, f'{goal}{round(100 * share)}', goal, share, args)


def at_thresholds(
    cfg: Any, folder: Path, label: str, goal: str, share: float, args: argparse.Namespace
) -> None:
    """Calibrate ``network.pth`` of a folder and test it."""
    from mmengine.config import Config

    from bmtas.engine.test import run_test
    from bmtas.sharing.calibrate import calibrate

    out = folder / f'results_{label}.json'
    if out.is_file():
        return
    thresholds = folder / f'thresholds_{label}.json'
    again = Config(cfg._cfg_dict.to_dict(), filename=cfg.filename)
    found, facts = calibrate(cfg, str(folder / 'network.pth'), goal, share)
    found.save(thresholds, **facts)
    again.model.encoder.update(thresholds=str(thresholds), rows=goal == 'rows')
    again.experiment_name = f'{folder.name}-{label}'
    again.work_dir = str(folder)
    run_test(again, folder / 'network.pth', out=out, sheet=0)


def unaligned(folder: Path, args: argparse.Namespace) -> None:
    """The sparse network before its align stage, at the middle thresholds."""
    from bmtas.sharing.share import write_network

    target = folder.parent / 'unaligned'
    cfg = config(f'sharing/{NETWORKS[MAIN][0]}', folder, args, {})
    cfg.sharing.stages.pop('align')
    if not (target / 'network.pth').is_file():
        write_network(cfg, target)
    for goal, share in (('elements', 0.7), ('rows', 0.5)):
        at_thresholds(cfg, target, f'{goal}{round(100 * share)}', goal, share, args)


def run(args: argparse.Namespace) -> None:
    """Train and test every row that is missing, the main one first."""
    torch.set_num_threads(1)
    top = args.dir / f'seed{args.seed}'
    for name in args.rows or (MAIN, 'single', 'rank8', 'finetuned', 'shared', *NETWORKS, *OTHERS):
        folder = top / name
        if name in NETWORKS:
            run_network(name, folder, args)
            thresholded(name, folder, args)
            if name == MAIN:
                unaligned(folder, args)
        elif not (folder / 'results.json').is_file():
            run_other(name, folder, args)
        print(f'row {name} is finished', flush=True)


def results(top: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of every result of one seed."""
    for folder in sorted(top.iterdir()):
        for path in sorted(folder.glob('results*.json')):
            label = path.stem.removeprefix('results').strip('_')
            yield f'{folder.name} {label}'.strip(), json.loads(path.read_text())


def baseline(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The ViTs from scratch: the base, and those of the sub-tasks."""
    if not {MAIN, 'single'} <= set(rows):
        return None
    single, main = rows['single'], rows[MAIN]
    keys = ('scores', 'score_names', 'higher_is_better', 'metrics')
    own = {key: {BASE: main[key][BASE], **single[key]} for key in keys}
    return {**main, **own, 'tasks': [BASE, *single['tasks']]}


def table(args: argparse.Namespace) -> None:
    """Print the rows, and draw Delta_m against cost and size."""
    from bmtas.evaluation import compare_results

    for top in sorted(args.dir.glob('seed*')):
        rows = dict(results(top))
        single = baseline(rows)
        print(f'\n{top.name}')
        points = {}
        for name, found in rows.items():
            delta = compare_results(found, single) if single and name != 'single' else 0.0
            scores = ' | '.join(f'{score:.2f}' for score in found['scores'].values())
            madds = [found.get(k, found['madds']) / 1e6 for k in ('madds_dense', 'madds_effective')]
            latency = sum(found['latency_ms'].values()) if 'latency_ms' in found else float('nan')
            size = found.get('stored', 4 * found['params']) / 1e6
            print(
                f'| {name} | {scores} | {delta:+.2f} | {madds[0]:.0f} | {madds[1]:.0f} | '
                f'{found["madds"] / 1e6:.0f} | {latency:.1f} | {size:.1f} |'
            )
            points[name] = (delta, found['madds'] / 1e6, size)
        if args.out is not None:
            draw(points, args.out)


def draw(points: Mapping[str, tuple[float, float, float]], out: Path) -> None:
    """Two plots: Delta_m against executed multiply-adds, and against the stored size."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    out.mkdir(parents=True, exist_ok=True)
    axes = (('madds', 1, 'executed MMAdds'), ('size', 2, 'stored MB (fp32)'))
    for name, column, label in axes:
        figure, axis = pyplot.subplots(figsize=(7.5, 5))
        families = dict.fromkeys(key.split()[0] for key in points)
        for number, family in enumerate(families):
            own = {k: v for k, v in points.items() if k.split()[0] == family}
            if name == 'size':  # thresholds do not change what is stored
                own = {k: v for k, v in own.items() if k == family}
            x, y = [v[column] for v in own.values()], [v[0] for v in own.values()]
            axis.scatter(x, y, color=f'C{number}', label=family)
            for key, value in own.items():
                axis.annotate(key.split()[-1], (value[column], value[0]), fontsize=7)
        axis.axhline(0, color='grey', linewidth=0.8)
        axis.set_xlabel(label)
        axis.set_ylabel('Delta_m against ViTs from scratch, %')
        axis.legend(fontsize=8)
        figure.tight_layout()
        figure.savefig(out / f'sharing_{name}.png', dpi=110)
        pyplot.close(figure)


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('command', choices=('run', 'table'))
    parser.add_argument('--dir', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--tasks', nargs='+', default=['normals', 'depth', 'edge'])
    parser.add_argument('--rows', nargs='+', help='names of rows; all by default')
    parser.add_argument('--out', type=Path, help='folder of the plots')
    args = parser.parse_args(argv)
    (run if args.command == 'run' else table)(args)


if __name__ == '__main__':
    main()
