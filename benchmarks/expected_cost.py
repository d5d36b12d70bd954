"""Time and memory of the expected cost, forward and backward, by number of tasks.

    python benchmarks/expected_cost.py [--layers 18] [--threads 2] [--repeats 7]

One line per number of tasks T (with T candidates in each layer). Times are medians. Memory is the
growth of the peak resident size of a fresh process by one forward and backward pass.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import time

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bmtas.branching import expected_cost

TASKS = {
    'exact': [2, 3, 4, 5, 6, 8, 10, 12, 14, 16],
    'paper': [2, 3, 4, 5, 6, 7, 8],
    'sampled': [2, 4, 5, 8, 10, 12, 14, 16, 24, 32, 40, 64],
}


def one_pass(mode: str, logits: torch.Tensor, costs: torch.Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    logits.grad = None
    start = time.perf_counter()
    expected_cost(logits, costs, mode).backward()
    return time.perf_counter() - start


def measure(job: tuple[str, int, int, int, int]) -> tuple[float, float]:
    """Median seconds and the growth of the peak memory in MiB, in this process."""
    mode, num_tasks, num_layers, threads, repeats = job
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    costs = torch.rand(num_layers, generator=generator)
    one_pass(mode, torch.zeros(num_layers, 2, 2, requires_grad=True), costs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    logits = torch.randn(num_layers, num_tasks, num_tasks, generator=generator).requires_grad_()
    one_pass(mode, logits, costs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = statistics.median(one_pass(mode, logits, costs) for _ in range(repeats))
    return seconds, peak / 1024


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time and memory of the expected cost.')
    parser.add_argument('--layers', type=int, default=18, help='number of layers')
    parser.add_argument('--threads', type=int, default=2, help='threads of torch')
    parser.add_argument('--repeats', type=int, default=7, help='passes, of which the median counts')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    columns = {}
    jobs = [(mode, num) for mode, nums in TASKS.items() for num in nums]
    # a fresh process for each, for its peak memory
    context = multiprocessing.get_context('spawn')
    for mode, num in track(jobs, 'measuring', console=Console(stderr=True), transient=True):
        with context.Pool(1) as pool:
            job = (mode, num, args.layers, args.threads, args.repeats)
            columns[mode, num] = pool.apply(measure, (job,))
    table = Table(title=f'expected cost, {args.layers} layers, {args.threads} threads')
    table.add_column('T', justify='right')
    for mode in TASKS:
        table.add_column(f'{mode} ms', justify='right')
        table.add_column('MiB', justify='right')
    for num in sorted({num for nums in TASKS.values() for num in nums}):
        cells = [str(num)]
        for mode in TASKS:
            seconds, peak = columns.get((mode, num), (None, None))
            cells += ['-', '-'] if seconds is None else [f'{1e3 * seconds:.2f}', f'{peak:.0f}']
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == '__main__':
    main()
