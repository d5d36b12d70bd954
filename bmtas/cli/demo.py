"""Search, retrain and test a network on rendered scenes, and show what came out."""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from bmtas.cli.base import ToolParser

STRATEGIES = {
    'surrogate': 'surrogate/conv4_shapescenes',
    'bmtas': 'bmtas/conv4_shapescenes',
}
RETRAIN = 'branched/conv4_shapescenes'
BUDGET = '6.5M'
"""In the middle between the shared and the separate network."""


def parse_args(argv: Sequence[str] | None) -> Any:
    """Parse the command line."""
    parser = ToolParser(
        'demo',
        description='Search a branching tree for four tasks on rendered scenes, train the branched '
        'network, test it, and draw pictures; some minutes on two CPU cores.',
    )
    parser.add_argument('--work-dir', default='work_dirs/demo', metavar='DIR', help='results')
    parser.add_argument(
        '--speed',
        type=float,
        default=1.0,
        metavar='X',
        help='do only 1/X of the updates; the network learns less',
    )
    parser.add_argument(
        '--strategy',
        choices=STRATEGIES,
        default='surrogate',
        help='surrogate: 24 trainings, what won in the benchmark of trees; bmtas: one supergraph',
    )
    parser.add_argument(
        '--jobs', type=int, default=1, metavar='N', help='trainings of the surrogate side by side'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace an earlier demo in the same folder'
    )
    return parser.parse_args(argv)


def search(strategy: str, work_dir: Path, speed: float, overwrite: bool, jobs: int = 1) -> None:
    """Search a tree; leaves branching.json and its company in the work dir."""
    from bmtas.engine import load_config, make_executor
    from bmtas.search import run_search

    cfg = load_config(STRATEGIES[strategy], work_dir=work_dir)
    cfg.overwrite, cfg.budget = overwrite, BUDGET
    if strategy == 'surrogate':
        _shorten(cfg.train_cfg, speed, 'max_iters')
    else:
        _shorten(cfg.search, speed, 'warmup_updates', 'weight_updates')
        _shorten(cfg.search, speed, 'alpha_phase', 'weight_phase')
    run_search(cfg, make_executor(jobs))


def _shorten(table: MutableMapping[str, Any], speed: float, *keys: str) -> None:
    for key in keys:
        table[key] = max(1, round(table[key] / speed))


def retrain(branching: Path, work_dir: Path, speed: float, overwrite: bool) -> Path:
    """Train the network of a tree; returns its checkpoint."""
    from bmtas.engine import checkpoints_of, load_config, run_training

    cfg = load_config(RETRAIN, work_dir=work_dir)
    cfg.overwrite = overwrite
    _shorten(cfg.train_cfg, speed, 'max_iters')
    run_training(cfg, branching)
    return checkpoints_of(work_dir)[0]


def test(checkpoint: Path, work_dir: Path) -> dict[str, Any]:
    """Test a checkpoint; returns the content of results.json."""
    from bmtas.engine import load_config, run_test

    return run_test(load_config(RETRAIN, work_dir=work_dir), checkpoint, sheet=5)


def constants(work_dir: Path) -> dict[str, float]:
    """Scores of the best constant predictions."""
    from bmtas.engine import load_config
    from bmtas.evaluation import constant_scores
    from bmtas.registry import DATASETS
    from bmtas.tasks import build_tasks

    cfg = load_config(RETRAIN, work_dir=work_dir)
    train, held_out = (
        DATASETS.build(cfg[f'{split}_dataloader'].dataset) for split in ('train', 'test')
    )
    return constant_scores(build_tasks(cfg.tasks), train, held_out, max_images=200)


def score_table(results: Mapping[str, Any], constant: Mapping[str, float]) -> Any:
    """Each task's score beside that of the constant predictor."""
    from rich.table import Table

    from bmtas.evaluation import relative_gains

    gains = relative_gains(results['scores'], constant, results['higher_is_better'])
    table = Table(title='Scores on test scenes (↑ higher is better, ↓ lower)', title_justify='left')
    for column in ('task', 'metric'):
        table.add_column(column)
    for column in ('branched', 'constant', 'gain'):
        table.add_column(column, justify='right')
    for task in results['tasks']:
        arrow = '↑' if results['higher_is_better'][task] else '↓'
        metric = f'{results["score_names"][task]} {arrow}'
        score, floor = results['scores'][task], constant[task]
        table.add_row(task, metric, f'{score:.4g}', f'{floor:.4g}', f'{gains[task]:+.0f} %')
    table.caption = 'constant: the best constant prediction, fitted to the training labels'
    return table


def cost_table(work_dir: Path, results: Mapping[str, Any]) -> Any:
    """Cost of the found network, what a supergraph expected, and the two extremes."""
    from rich.table import Table

    from bmtas.branching import BranchingTree
    from bmtas.resources import UNITS, ResourceTable
    from bmtas.search.gradient import HISTORY, read_history

    resources = ResourceTable.from_file(work_dir / 'resources.json')
    tree = BranchingTree.from_file(work_dir / 'branching.json')
    table = Table(title='Cost of the whole network', title_justify='left')
    table.add_column('network')
    height, width = resources.input_size
    cost, size = UNITS['madds'], UNITS['params']
    for column in (f'{cost.label} at {height}x{width}', size.label):
        table.add_column(column, justify='right')

    def row(name: str, madds: float, params: float | None) -> None:
        shown = '' if params is None else f'{params / size.scale:.3g}'
        table.add_row(name, f'{madds / cost.scale:.4g}', shown)

    tasks, layers = len(tree.tasks), tree.num_layers
    row('shared by all tasks', resources.shared, resources.params.total())
    row('branched: the tree that was found', results['madds'], results['params'])
    if (work_dir / HISTORY).is_file():
        expected = read_history(work_dir / HISTORY)[-1]['cost_exact'] * cost.scale
        row('branched: expected at the end of the search', expected, None)
    row('separate after the stem', resources.separate, resources.params.total([tasks] * layers))
    separate = resources.params.total([tasks] * layers, stems=tasks)
    row('separate networks', resources.single, separate)
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if not args.speed > 0:
        raise ValueError(f'--speed must be positive, got {args.speed}')
    if args.jobs != 1 and args.strategy != 'surrogate':
        raise ValueError('--jobs: of --strategy surrogate alone, the search of bmtas is one run')
    from rich.console import Console

    console = Console()
    work_dir, start = Path(args.work_dir), time.monotonic()
    trained = work_dir / 'branched'

    def announce(text: str) -> None:
        console.rule(f'[bold]{text}[/bold] ({time.monotonic() - start:.0f} s)', align='left')

    announce('1/3 search a tree')
    search(args.strategy, work_dir, args.speed, args.overwrite, args.jobs)
    announce('2/3 train the branched network')
    checkpoint = retrain(work_dir / 'branching.json', trained, args.speed, args.overwrite)
    announce('3/3 test it')
    results = test(checkpoint, trained)
    announce('done')
    console.print(score_table(results, constants(work_dir)))
    console.print(cost_table(work_dir, results))
    console.print('pictures:')
    for folder in (work_dir, trained):
        for path in sorted((folder / 'vis').glob('*.png')):
            console.print(f'  {path.stem:<12}{path}', soft_wrap=True, highlight=False)
