"""Does a search step stay linear in the number of tasks? Time and memory for 5 to 40 tasks.

    python benchmarks/search_tasks.py [--tasks 5 10 20 40] [--candidates 4] [--rounds 3]
    python benchmarks/search_tasks.py --config bmtas/resnet18_shapes20 --size 32 --tasks 5 10 20

MobileNetV2 with masks as tasks, or the supergraph of a config with the first of its tasks; K
candidates whatever the number of tasks, the resource term in mode 'sampled', random images. Every
kind of update is timed in turn (medians; processor time on a CPU); the memory is the growth of the
resident size of a fresh process on a CPU, the allocator's peak on a GPU. Shown are the values per
task, as ratios to the smallest number of tasks: 1 is linear.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from rich.console import Console
from rich.progress import track
from rich.table import Table
from search_step import BASES, optimizer, peak_bytes, random_batch, seconds

from bmtas.registry import MODELS
from bmtas.resources import count_table
from bmtas.search.gradient import alpha_update, split_parameters, warmup_update, weight_update
from bmtas.search.gradient.resource_loss import ResourceLoss, ResourceTerm
from bmtas.tasks import build_tasks

LIMIT = 1.25
"""Largest cost per task, as a ratio to that of the smallest number of tasks, that is linear."""


def network(num_tasks: int, args: argparse.Namespace) -> dict:
    """Config of a supergraph for this number of tasks."""
    if args.config:
        whole = Config.fromfile(BASES.parent / f'{args.config}.py')
        cfg, names = whole.model, list(whole.tasks)[:num_tasks]
        tasks = {name: whole.tasks[name] for name in names}
    else:
        cfg = Config.fromfile(BASES / 'models' / 'mobilenetv2_supergraph.py').model
        tasks = [dict(name=f'mask{i}', kind='mask') for i in range(num_tasks)]
    cfg.encoder.backbone.weights = None
    cfg.encoder.num_candidates = args.candidates
    return dict(cfg, tasks=tasks)


def steps_of(num_tasks: int, args: argparse.Namespace) -> dict:
    """Every kind of update of one supergraph for this number of tasks."""
    cfg = network(num_tasks, args)
    table = count_table(cfg, (args.size, args.size))
    torch.manual_seed(0)
    model = MODELS.build(cfg).to(args.device)
    weights, alpha = split_parameters(model)
    optimizers = OptimWrapperDict(weights=optimizer(weights, False), alpha=optimizer(alpha, False))
    term = ResourceTerm(table, ResourceLoss(0.1, 'sampled'))
    batch = random_batch(build_tasks(cfg['tasks']), args.size, args.batch)
    generator = torch.Generator().manual_seed(0)

    def sample(hard: bool) -> torch.Tensor:
        return model.encoder.sample_weights(1.0, generator, hard)

    def alpha_step() -> None:
        alpha_update(model, batch, optimizers, sample(False), term, generator)

    return {
        'warm-up': lambda: warmup_update(model, batch, optimizers),
        'alpha, soft': alpha_step,
        'weights, soft': lambda: weight_update(model, batch, optimizers, sample(False)),
        'weights, hard': lambda: weight_update(model, batch, optimizers, sample(True)),
    }


def measure(args: argparse.Namespace) -> dict[str, dict[int, tuple[float, float]]]:
    """Seconds and bytes per task, by kind of update and number of tasks."""
    found: dict[str, dict[int, tuple[float, float]]] = {}
    console = Console(stderr=True)
    for number in track(args.tasks, 'numbers of tasks', console=console):
        steps = steps_of(number, args)
        for name, step in steps.items():
            step()  # allocates
            elapsed = statistics.median(seconds(step, args.device) for _ in range(args.rounds))
            memory = peak_bytes(lambda t=number, n=name: steps_of(t, args)[n], args.device)
            found.setdefault(name, {})[number] = (elapsed / number, memory / number)
        del steps
    return found


def report(found: dict, args: argparse.Namespace) -> bool:
    """Print the table; whether every kind of update is linear."""
    title = (
        f'{args.device}, K = {args.candidates}, batch {args.batch}, {args.size}x{args.size}, '
        f'{torch.get_num_threads()} threads; per task, against {args.tasks[0]} tasks'
    )
    columns = [f'{n} tasks: {what}' for n in args.tasks[1:] for what in ('time', 'memory')]
    table = Table('update', 'ms', 'MiB', *columns, title=title)
    linear = True
    for name, by_number in found.items():
        first = by_number[args.tasks[0]]
        ratios = [x / y for n in args.tasks[1:] for x, y in zip(by_number[n], first)]
        linear &= max(ratios) <= LIMIT
        shown = (f'{1e3 * first[0]:.1f}', f'{first[1] / 2**20:.1f}')
        table.add_row(name, *shown, *(f'{ratio:.2f}' for ratio in ratios))
    Console(width=110).print(table)
    return linear


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time and memory of search updates by tasks.')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--tasks', type=int, nargs='+', default=[5, 10, 20, 40])
    parser.add_argument('--config', metavar='CONFIG', help='below configs/, without .py')
    parser.add_argument('--candidates', type=int, default=4)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--size', type=int, default=64)
    parser.add_argument('--rounds', type=int, default=3)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    return 0 if report(measure(args), args) else 1


if __name__ == '__main__':
    sys.exit(main())
