"""Time and peak memory of one update of the search, as ratios to single-task training.

    python benchmarks/search_step.py [--batch 4] [--size 128] [--amp] [--device cpu] [--rounds 5]

MobileNetV2, the 5 tasks of PASCAL-Context, random images. Time is compared with one training step
of the T separate single-task networks on the same batch in the same run (all updates are measured
in turn, medians over the rounds; processor time on a CPU). Memory of every kind of update is
compared with a step of one single-task network: on a CPU the growth of the resident size of a
fresh process, on a GPU the peak of the allocator, both with the network and its optimizer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from bmtas.engine.optim.autocast import AutocastOptimWrapper
from bmtas.models import MultiTaskModel
from bmtas.registry import MODELS
from bmtas.search.gradient import alpha_update, split_parameters, warmup_update, weight_update
from bmtas.tasks import MultiTaskSample, Task, TaskMaps, build_tasks

BASES = Path(__file__).resolve().parent.parent / 'configs' / '_base_'
# upper bounds: time for each kind of update, and memory for weight updates; K candidates
GOALS = {
    'warm-up': (lambda k: 1.2, lambda k: None),
    'alpha, soft': (lambda k: 1.1 * k, lambda k: None),
    'weights, soft': (lambda k: 1.1 * k, lambda k: 1.1 * k),
    'alpha, hard': (lambda k: 1.6, lambda k: None),
    'weights, hard': (lambda k: 1.6, lambda k: 1.1 * k),
}
Step = Callable[[], Any]


def random_batch(tasks: tuple[Task, ...], size: int, batch: int) -> dict[str, list]:
    """Images of noise with labels of noise."""
    generator = torch.Generator().manual_seed(0)

    def label(task: Task) -> torch.Tensor:
        blank = task.kind.blank((size, size))
        if not blank.is_floating_point():
            return torch.randint(0, max(2, task.channels), blank.shape, generator=generator)
        values = torch.rand(blank.shape, generator=generator) + 0.5
        return nn.functional.normalize(values, dim=0) if blank.ndim == 3 else values

    images = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
    samples = [MultiTaskSample(labels=TaskMaps({t.label: label(t) for t in tasks})) for _ in images]
    return dict(inputs=list(images), data_samples=samples)


def build(encoder: str, tasks: tuple[Task, ...], device: str) -> MultiTaskModel:
    """MobileNetV2 model of a base config, from random weights."""
    cfg = Config.fromfile(BASES / 'models' / f'mobilenetv2_{encoder}.py').model
    cfg.encoder.backbone.weights = None
    return MODELS.build(dict(cfg, tasks=tasks)).to(device)


def optimizer(parameters: list[nn.Parameter], amp: bool) -> OptimWrapper:
    wrapper = AutocastOptimWrapper if amp else OptimWrapper
    return wrapper(torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4))


def single_step(tasks: tuple[Task, ...], args: argparse.Namespace) -> Step:
    """One training step of a separate network for each of the tasks."""
    model = build('single', tasks, args.device)
    wrapper = optimizer(list(model.parameters()), args.amp)
    batch = random_batch(tasks, args.size, args.batch)

    def step() -> None:
        data = model.data_preprocessor(batch, True)
        for task in tasks:
            with wrapper.optim_context(model):
                losses = model(**data, mode='loss', tasks=[task.name])
            wrapper.backward(sum(losses.values()))
        wrapper.step()
        wrapper.zero_grad()

    return step


def search_steps(tasks: tuple[Task, ...], args: argparse.Namespace) -> dict[str, Step]:
    """Every kind of update of one supergraph."""
    model = build('supergraph', tasks, args.device)
    weights, alpha = split_parameters(model)
    optimizers = OptimWrapperDict(
        weights=optimizer(weights, args.amp), alpha=optimizer(alpha, args.amp)
    )
    batch = random_batch(tasks, args.size, args.batch)
    generator = torch.Generator().manual_seed(0)

    def sample(hard: bool) -> torch.Tensor:
        return model.encoder.sample_weights(1.0, generator, hard)

    return {
        'warm-up': lambda: warmup_update(model, batch, optimizers),
        'alpha, soft': lambda: alpha_update(model, batch, optimizers, sample(False)),
        'weights, soft': lambda: weight_update(model, batch, optimizers, sample(False)),
        'alpha, hard': lambda: alpha_update(model, batch, optimizers, sample(True)),
        'weights, hard': lambda: weight_update(model, batch, optimizers, sample(True)),
    }


def seconds(step: Step, device: str) -> float:
    """Processor time of a step on the CPU, wall time on a GPU."""
    clock = time.process_time if device == 'cpu' else time.perf_counter
    if device != 'cpu':
        torch.cuda.synchronize()
    start = clock()
    step()
    if device != 'cpu':
        torch.cuda.synchronize()
    return clock() - start


def peak_bytes(make: Callable[[], Step], device: str) -> int:
    """Growth of the peak memory by building what a step needs and running it twice."""
    if device != 'cpu':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step = make()
        step(), step()
        return torch.cuda.max_memory_allocated() - before
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        before = _resident('VmRSS')
        step = make()
        # from here on, the peak is the step's own
        Path('/proc/self/clear_refs').write_text('5')
        step(), step()
        os.write(write, str(_resident('VmHWM') - before).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return int(pipe.read())


def _resident(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f'{key}:'))


def measure(args: argparse.Namespace) -> dict[str, tuple[float, int]]:
    """Median seconds and peak bytes by name; the first entries are the two references."""
    tasks = build_tasks(Config.fromfile(BASES / 'datasets' / 'pascal.py').tasks)
    console = Console(stderr=True)
    makers: dict[str, Callable[[], Step]] = {
        'one single-task net': lambda: single_step(tasks[:1], args),
        f'{len(tasks)} single-task nets': lambda: single_step(tasks, args),
    }
    for name in GOALS:
        makers[name] = lambda name=name: search_steps(tasks, args)[name]
    memory = {
        name: peak_bytes(make, args.device)
        for name, make in track(makers.items(), 'memory', console=console)
    }
    steps = {name: make() for name, make in list(makers.items())[:2]} | search_steps(tasks, args)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in track(range(args.rounds + 1), 'time', console=console):
        for name, step in steps.items():
            elapsed = seconds(step, args.device)
            if round_:  # the first round allocates
                times[name].append(elapsed)
    return {name: (statistics.median(times[name]), memory[name]) for name in steps}


def report(results: dict[str, tuple[float, int]], args: argparse.Namespace) -> bool:
    """Print the table; return whether all goals are met."""
    (_, one_memory), (all_time, _) = list(results.values())[:2]
    title = (
        f'{args.device}, batch {args.batch}, {args.size}x{args.size}, '
        f'{"bfloat16" if args.amp else "float32"}, {torch.get_num_threads()} threads'
    )
    table = Table('update', 'ms', 'time', 'goal', 'MiB', 'memory', 'goal', title=title)
    met, num_candidates = True, 5
    for name, (elapsed, memory) in results.items():
        ratios = (elapsed / all_time, memory / one_memory)
        goals = [goal(num_candidates) for goal in GOALS.get(name, (lambda k: None,) * 2)]
        met &= all(goal is None or ratio <= goal for ratio, goal in zip(ratios, goals))
        shown = ['' if goal is None else f'{goal:.2f}' for goal in goals]
        row = (f'{1e3 * elapsed:.1f}', f'{ratios[0]:.2f}', shown[0])
        table.add_row(name, *row, f'{memory / 2**20:.0f}', f'{ratios[1]:.2f}', shown[1])
    Console(width=100).print(table)
    return met


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time and memory of the updates of a search.')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--batch', type=int, help='images; 4 on a CPU, 16 on a GPU')
    parser.add_argument('--size', type=int, help='pixels; 128 on a CPU, 256 on a GPU')
    parser.add_argument('--amp', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--rounds', type=int, default=5, help='rounds, of which medians count')
    args = parser.parse_args()
    on_cpu = args.device == 'cpu'
    args.batch = args.batch or (4 if on_cpu else 16)
    args.size = args.size or (128 if on_cpu else 256)
    return args


def main() -> int:
    args = parse_args()
    return 0 if report(measure(args), args) else 1


if __name__ == '__main__':
    sys.exit(main())
