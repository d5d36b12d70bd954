"""What sharing computation costs and saves: ratios of one run, one thread.

    OMP_NUM_THREADS=1 python benchmarks/sharing.py [--quick] [--profile]

Each row prints a ratio and its bound; unstructured deltas are printed without one. Times are
processor times of one thread, which other programs on the machine disturb least. ``--profile``
says what a sub-task's encoder spends them on when 10 % of its rows changed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bmtas.models.backbones import LayeredViT
from bmtas.sharing import DeltaEncoder
from bmtas.sharing.calibrate import thresholds_for
from bmtas.sharing.delta_file import base_hash, read_delta, write_delta
from bmtas.sharing.merge import merged_state
from bmtas.sharing.meter import Meter
from bmtas.sharing.rows import LowRankProduct
from bmtas.sharing.thresholds import Thresholds

SIZE = (256, 256)  # 256 tokens of 16x16
LOW_RANK = dict(type='LowRankDelta', rank=8)
SPARSE = dict(type='SparseDelta')


def encoder(delta: dict, tasks: tuple = ('base', 'a'), depth: int = 12, **options: Any):
    """A ViT with D = 384 and random deltas."""
    torch.manual_seed(0)
    network = DeltaEncoder(
        LayeredViT(dim=384, depth=depth, heads=6, patch=16), tasks, 'base', delta, **options
    )
    with torch.no_grad():
        for _, d in network.deltas.named_parameters():
            nn.init.normal_(d, std=0.02)
    return network


def thin(network: DeltaEncoder, density: float) -> None:
    """Keep a random share of each sparse delta."""
    for name, buffer in network.deltas.named_buffers():
        if name.endswith('support'):
            buffer.copy_(torch.rand(buffer.shape) < density)


def fastest(call: Callable, repeats: int) -> float:
    """Processor seconds of the fastest of some calls, after one to warm up (one thread)."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def report(name: str, value: float, bound: float | None) -> None:
    """One line of the table."""
    state = '' if bound is None else f'   bound {bound:g} {"ok" if value <= bound else "MISSED"}'
    print(f'{name:<72}{value:8.3f}{state}', flush=True)


@torch.no_grad()
def rows(delta: dict, label: str, bounds: dict[float, float | None], repeats: int) -> None:
    """Sub-task's encoder with a share of the rows changed, against the dense encoder."""
    network, images = encoder(delta, rows=True).eval(), torch.randn(1, 3, *SIZE)
    if delta is SPARSE:
        thin(network, float(label.split()[0]) / 100)
    for share, bound in bounds.items():
        found, _ = thresholds_for(network, [images], dict.fromkeys(network.tasks, 1 - share))
        known = Thresholds(found.values, True)
        # interleaved, so that the load of the machine falls on all
        calls = ((known, ['base', 'a']), (known, ['base']), (None, ['base']))
        times = [[spent(network, images, *call) for call in calls] for _ in range(repeats + 1)]
        ratio = median((both - alone) / dense for both, alone, dense in times[1:])
        report(f'{label}, {share:.0%} of rows changed / dense', ratio, bound)


def spent(network: DeltaEncoder, images: torch.Tensor, found: Any, tasks: list[str]) -> float:
    """Processor seconds of one pass at these thresholds."""
    network.thresholds = found
    start = time.process_time()
    network(images, tasks)
    return time.process_time() - start


class OpTimes(TorchDispatchMode):
    """Processor seconds of torch's operators while the mode is on, by kind of work."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.search = Counter(), LowRankProduct.changed_rows

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = time.thread_time()
        found = func(*args, **(kwargs or {}))
        self.seconds[self._kind(func.overloadpacket.__name__)] += time.thread_time() - start
        return found

    @staticmethod
    def _kind(name: str) -> str:
        if 'scaled_dot_product' in name:
            return 'attention'
        return 'products of rows' if name in ('addmm', 'mm') else 'norms, GELU, sums, copies'

    def __enter__(self) -> OpTimes:
        def timed(*args: Any) -> Any:
            start, others = time.thread_time(), self.seconds.total()
            found = self.search(*args)
            inside = self.seconds.total() - others  # of torch's operators
            self.seconds['which rows changed, dW x0'] += time.thread_time() - start - inside
            return found

        LowRankProduct.changed_rows = timed
        return super().__enter__()

    def __exit__(self, *args: Any) -> None:
        LowRankProduct.changed_rows = self.search
        super().__exit__(*args)


@torch.no_grad()
def profile(share: float, repeats: int) -> None:
    """What a sub-task's encoder spends, in shares of a dense encoder."""
    network, images = encoder(LOW_RANK, rows=True).eval(), torch.randn(1, 3, *SIZE)
    found, _ = thresholds_for(network, [images], dict.fromkeys(network.tasks, 1 - share))
    known, times = Thresholds(found.values, True), {}
    spent(network, images, known, ['base', 'a'])
    for key, tasks in (('both', ['base', 'a']), ('base', ['base'])):
        times[key] = OpTimes()
        with times[key]:
            for _ in range(repeats):
                spent(network, images, known, tasks)
    base, both = times['base'].seconds, times['both'].seconds
    for kind, seconds in both.most_common():
        report(f'{kind}, {share:.0%} of rows changed / dense',
               (seconds - base[kind]) / base.total(), None)  # fmt: skip


@torch.no_grad()
def prefix(repeats: int) -> None:
    """Half of the layers shared exactly."""
    network, images = encoder(LOW_RANK, from_layer=6).eval(), torch.randn(1, 3, *SIZE)
    dense = fastest(lambda: network(images, ['base']), repeats)
    both = fastest(lambda: network(images, ['base', 'a']), repeats)
    report('from_layer 6 of 12, tau 0: base and sub-task / two dense', both / (2 * dense), 0.80)


def training(stage: str, bound: float, repeats: int) -> None:
    """A training step of a stage against a plain one."""
    images, times, states = torch.randn(8, 3, *SIZE), {}, {}
    for name, tasks in (('base', ('base',)), (stage, ('a',))):
        network = encoder(SPARSE, tasks, 4, stage=name, gate_weight=1e-6, align_weight=1.0).train()
        network.generator_seed = 0
        trained = [p for p in network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained)

        def step(network=network, optimizer=optimizer, tasks=tasks) -> None:
            optimizer.zero_grad()
            features = network(images, tasks)
            loss = features[tasks[0]][0].square().mean() + sum(network.extra_losses().values())
            loss.backward()
            optimizer.step()

        times[name] = fastest(step, repeats)
        kept = [*network.parameters(), *network.buffers()]
        kept += [p.grad for p in trained]
        kept += [v for s in optimizer.state.values() for v in s.values() if torch.is_tensor(v)]
        states[name] = sum(t.numel() * t.element_size() for t in kept)
    report(f'{stage} stage / plain step, time', times[stage] / times['base'], bound)
    if stage == 'gates':
        report('gates stage / plain step, bytes of parameters and states',
               states[stage] / states['base'], 4)  # fmt: skip


@torch.no_grad()
def caches() -> None:
    """References alive at once."""
    network = encoder(LOW_RANK).eval()
    network.thresholds, network.meter = Thresholds(0.1), Meter()
    network(torch.randn(1, 3, *SIZE), network.tasks)
    report('references: one place at a time / all kept',
           network.meter.cache_bytes / network.meter.all_bytes, 0.2)  # fmt: skip


def files() -> None:
    """Delta file of a ViT-B with 5 % of the weights."""
    network = DeltaEncoder(LayeredViT(), ['a'], 'base', SPARSE)
    thin(network, 0.05)
    state = {f'encoder.{k}': v for k, v in network.state_dict().items()}
    dense = sum(p.numel() * 4 for part in (network.stem, network.layers) for p in part.parameters())
    with tempfile.TemporaryDirectory() as folder:
        path, base, times = Path(folder) / 'a.delta', base_hash(state), {}
        for name, call in (
            ('writing', lambda: write_delta(path, state, 'a', base, {})),
            ('reading', lambda: read_delta(path)),
            ('merging', lambda: merged_state(network, 'a')),
        ):
            start = time.process_time()
            call()
            times[name] = time.process_time() - start
        report('stored 5 % sparse delta / dense encoder, fp32', path.stat().st_size / dense, 0.085)
    for name, seconds in times.items():
        report(f'{name} the delta of a ViT-B, seconds', seconds, 5)


def main(argv: list[str] | None = None) -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='fewer repeats')
    parser.add_argument('--profile', action='store_true', help='what rows are spent on, only')
    args = parser.parse_args(argv)
    repeats = 5 if args.quick else 25
    torch.set_num_threads(1)
    if args.profile:
        return profile(0.1, repeats)
    rows(LOW_RANK, 'rank 8', {0.3: 0.75, 0.1: 0.55}, repeats)
    for density in (5, 1):
        rows(SPARSE, f'{density} % sparse', {0.3: None, 0.1: None}, repeats)
    prefix(repeats)
    training('gates', 2.5, max(2, repeats // 5))
    training('align', 1.8, max(2, repeats // 5))
    caches()
    files()


if __name__ == '__main__':
    main()
