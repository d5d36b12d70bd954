"""Speed of task routing, as ratios in one run.

    python benchmarks/task_routing.py [--rounds 7] [--only NAME ...]

One thread, eager, channels_last, random images; both sides of a ratio are measured in turn and the
least of the rounds is taken (processor time).
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from operator import truediv
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bmtas.models import MultiTaskModel
from bmtas.models.backbones import LayeredBackbone
from bmtas.resources import count_model
from bmtas.task_routing import RoutedEncoder
from bmtas.task_routing.sampling_loop import labelled_tasks
from bmtas.tasks import MultiTaskSample, TaskMaps

VGG = dict(type='LayeredBackbone', arch='vgg11_bn', output_stride=32, aspp=False)
COMPACT = {0.75: 0.75, 0.5: 0.40, 0.25: 0.18}
"""Keep ratio -> upper bound of compact / masked latency."""


def least(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Least processor time of each call, in seconds, the calls taking turns."""
    found = [float('inf')] * len(calls)
    for call in calls:
        call()
    for _ in range(rounds):
        for index, call in enumerate(calls):
            start = time.process_time()
            call()
            found[index] = min(found[index], time.process_time() - start)
    return found


def model_of(count: int, width: float = 1.0, pool_size: int = 1, **encoder: Any) -> MultiTaskModel:
    """A routed network with ``count`` attributes."""
    tasks = {f't{n}': dict(kind='category', num_classes=2) for n in range(count)}
    return MultiTaskModel(
        tasks,
        dict(type='RoutedEncoder', backbone=dict(VGG, width=width), **encoder),
        dict(type='PooledLinearHead', pool_size=pool_size),
    )


def images(batch: int, size: int) -> Tensor:
    """Noise, channels last."""
    return torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)


@torch.no_grad()
def compact_against_masked(rounds: int, keep_ratio: float) -> float:
    """Latency of the compact network, folded, against the masked one: VGG-11-BN, 4 of 128x128."""
    encoder = RoutedEncoder(LayeredBackbone(**_args()), ('a', 'b'), keep_ratio)
    encoder.to(memory_format=torch.channels_last).eval()
    small, x = encoder.compact(['a'], fold=True).eval(), images(4, 128)
    masked, compact = least(rounds, lambda: encoder(x, ['a']), lambda: small(x, ['a']))
    return compact / masked


def _args() -> dict[str, Any]:
    return {key: value for key, value in VGG.items() if key != 'type'}


@torch.no_grad()
def routed_against_plain(rounds: int) -> float:
    """One task through the routed network against the same network without routers."""
    backbone = LayeredBackbone(**_args())
    encoder = RoutedEncoder(backbone, ('a', 'b'))
    encoder.to(memory_format=torch.channels_last).eval()
    parts = [backbone.copy_stem(), *map(backbone.copy_layer, range(backbone.num_layers))]
    plain = torch.nn.Sequential(*parts).to(memory_format=torch.channels_last).eval()
    x = images(4, 128)
    routed, without = least(rounds, lambda: encoder(x, ['a']), lambda: plain(x))
    return routed / without


class Step:
    """A training step on 64 images of 64x64: one task for each image, or one for all."""

    def __init__(self, count: int, mixed: bool, **encoder: Any) -> None:
        torch.manual_seed(0)
        self.model = model_of(count, 0.25, **(encoder or dict(norm='shared'))).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        names = [task.name for task in self.model.tasks]
        labels = TaskMaps({name: torch.tensor(1) for name in names})
        samples = [MultiTaskSample() for _ in range(64)]
        for sample in samples:
            sample.labels = TaskMaps(labels)
        self.data = dict(inputs=images(64, 64), data_samples=samples)
        self.rows: dict[str, list[int]] = {}
        generator = torch.Generator().manual_seed(0)
        for image, task in enumerate(torch.randint(count, (64,), generator=generator).tolist()):
            self.rows.setdefault(names[task if mixed else 0], []).append(image)
        self.mixed = mixed

    def __call__(self) -> None:
        """Draw, forward, backward, step."""
        routing = {}
        if self.mixed:
            labelled_tasks(self.model.tasks, self.data['data_samples'])
            routing = dict(rows=self.rows)
        self.optimizer.zero_grad(set_to_none=True)
        losses = self.model(**self.data, mode='loss', tasks=list(self.rows), **routing)
        shares = {name: len(rows) / 64 for name, rows in self.rows.items()}
        sum(losses[f'loss_{name}'] * share for name, share in shares.items()).backward()
        self.optimizer.step()


def mixed_against_one_task(rounds: int) -> float:
    """64 images of 40 tasks against 64 of one task."""
    mixed, one = least(rounds, Step(40, True), Step(40, False))
    return mixed / one


def many_tasks_against_forty(rounds: int) -> float:
    """The mixed step with 312 tasks against the one with 40."""
    many, forty = least(rounds, Step(312, True), Step(40, True))
    return many / forty


def kept_against_masked(rounds: int) -> float:
    """A training step on the kept half of the channels alone against the masked one."""
    kept, masked = (Step(40, False, kept_only=only) for only in (True, False))
    return truediv(*least(rounds, kept, masked))


def compacting_resnet50() -> float:
    """Seconds to cut one task out of a ResNet-50."""
    encoder = RoutedEncoder(LayeredBackbone('resnet50'), ('a', 'b')).eval()
    start = time.process_time()
    encoder.compact(['a'])
    return time.process_time() - start


def many_tasks_seconds() -> float:
    """Seconds to build, count and test one batch with 312 tasks, VGG-11 at width 0.25."""
    start = time.process_time()
    torch.manual_seed(0)
    model = model_of(312, 0.25, pool_size=7)
    count_model(model, (64, 64))
    with torch.no_grad():
        model.eval()(images(16, 64), mode='predict')
    return time.process_time() - start


def peak_gigabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def rows_of(rounds: int) -> list[tuple[str, Callable[[], float], float]]:
    """Name, measurement and upper bound of each row."""
    rows = [
        ('312 tasks: s', many_tasks_seconds, 60.0),
        ('312 tasks: GB', peak_gigabytes, 2.0),
        ('compact ResNet-50: s', compacting_resnet50, 2.0),
    ]
    for keep_ratio, bound in COMPACT.items():
        name = f'compact / masked, keep {keep_ratio}'
        rows.append((name, lambda k=keep_ratio: compact_against_masked(rounds, k), bound))
    return [
        *rows,
        ('routed / plain', lambda: routed_against_plain(rounds), 1.15),
        ('mixed / one task', lambda: mixed_against_one_task(rounds), 1.25),
        ('312 / 40 tasks', lambda: many_tasks_against_forty(rounds), 1.15),
        ('kept only / masked step, keep 0.5', lambda: kept_against_masked(rounds), 0.75),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=7, help='repetitions of each measurement')
    parser.add_argument('--only', nargs='+', default=[''], help='rows whose name holds this')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    table, missed = Table('what', 'measured', 'at most'), 0
    for name, measure, bound in rows_of(args.rounds):
        if any(word in name for word in args.only):
            value = measure()
            missed += value > bound
            table.add_row(name, f'{value:.3g}', f'{bound:g}', style='red' if value > bound else '')
    Console().print(table)
    return int(missed > 0)


if __name__ == '__main__':
    sys.exit(main())
