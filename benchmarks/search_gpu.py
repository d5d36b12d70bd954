"""Updates of the search on a GPU: layouts, bfloat16, CUDA graphs; grouped candidates.

    python benchmarks/search_gpu.py [--batch 16] [--size 256] [--rounds 10] [--variants amp ...]
    python benchmarks/search_gpu.py --grouped

MobileNetV2, the 5 tasks of PASCAL-Context, random images. Every way of running is measured in the
same process: the updates of ``search_step.py``, and one training step of the T separate networks.
Times are medians of the rounds, the loader's batch copied to the GPU included; memory is the peak
that the allocator reserved for a soft weight update. ``graphs`` is ``model.cuda_graphs``;
straight-through samples run other candidates in every update and are not captured.

``--grouped`` compares the K candidates of every layer with one widened layer whose last
convolution has K groups, forward and backward.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict
from rich.console import Console
from rich.table import Table
from search_step import BASES, optimizer, random_batch, seconds
from torch import nn

from bmtas.engine import summed_losses
from bmtas.models import MultiTaskModel
from bmtas.models.backbones import build_backbone
from bmtas.registry import MODELS
from bmtas.search.gradient import alpha_update, split_parameters, warmup_update, weight_update
from bmtas.tasks import build_tasks

Step = Callable[[], Any]
VARIANTS = {
    'eager': {},
    'eager, NCHW': dict(channels_last=False),
    'amp': dict(amp=True),
    'amp, NCHW': dict(amp=True, channels_last=False),
    'amp, cudnn.benchmark': dict(amp=True, search_kernels=True),
    'graphs': dict(graphs=True),
    'NCHW, graphs': dict(channels_last=False, graphs=True),
    'amp, graphs': dict(amp=True, graphs=True),
    'amp, NCHW, graphs': dict(amp=True, channels_last=False, graphs=True),
}
CANDIDATES = 5  # one for each of the tasks
UPDATES = ('warm-up', 'alpha, soft', 'weights, soft', 'alpha, hard', 'weights, hard')
SINGLE = 'T single nets'


class Bench:
    """The updates of one way of running.

    Args:
        args: Command line.
        channels_last: Layout of images and weights.
        amp: Autocast to bfloat16.
        graphs: ``model.cuda_graphs``.
        search_kernels: ``torch.backends.cudnn.benchmark``.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        channels_last: bool = True,
        amp: bool = False,
        graphs: bool = False,
        search_kernels: bool = False,
    ) -> None:
        torch.backends.cudnn.benchmark = search_kernels
        self.args, self.amp, self.graphs = args, amp, graphs
        self.layout = channels_last
        self.tasks = build_tasks(Config.fromfile(BASES / 'datasets' / 'pascal.py').tasks)
        batch = random_batch(self.tasks, args.size, args.batch)
        batch['inputs'] = torch.stack(batch['inputs'])
        self.batch = batch

    def model(self, encoder: str) -> MultiTaskModel:
        """MobileNetV2 from random weights, the same for every variant."""
        torch.manual_seed(0)
        cfg = Config.fromfile(BASES / 'models' / f'mobilenetv2_{encoder}.py').model
        cfg.encoder.backbone.weights = None
        cfg = dict(cfg, tasks=self.tasks, channels_last=self.layout, cuda_graphs=self.graphs)
        return MODELS.build(cfg).to(self.args.device)

    def single(self) -> Step:
        """One training step of a separate network for each of the tasks."""
        model = self.model('single')
        wrapper = optimizer(list(model.parameters()), self.amp)

        def step() -> None:
            data = model.data_preprocessor(self.batch, True)
            with wrapper.optim_context(model):
                total, _ = summed_losses(model, data)
            wrapper.update_params(total)

        return step

    def search(self) -> dict[str, Step]:
        """Every kind of update of one supergraph."""
        model = self.model('supergraph')
        weights, alpha = split_parameters(model)
        wrappers = OptimWrapperDict(
            weights=optimizer(weights, self.amp), alpha=optimizer(alpha, self.amp)
        )
        generator = torch.Generator(self.args.device).manual_seed(0)

        def sample(hard: bool) -> torch.Tensor:
            return model.encoder.sample_weights(1.0, generator, hard)

        return {
            'warm-up': lambda: warmup_update(model, self.batch, wrappers),
            'alpha, soft': lambda: alpha_update(model, self.batch, wrappers, sample(False)),
            'weights, soft': lambda: weight_update(model, self.batch, wrappers, sample(False)),
            'alpha, hard': lambda: alpha_update(model, self.batch, wrappers, sample(True)),
            'weights, hard': lambda: weight_update(model, self.batch, wrappers, sample(True)),
        }


def capture(step: Step) -> Step:
    """A CUDA graph of a step."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def measure(args: argparse.Namespace, variant: str) -> tuple[dict[str, float], float]:
    """Median seconds by update, and the peak of a soft weight update in GiB, 0 if captured."""
    bench = Bench(args, **VARIANTS[variant])
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    steps = bench.search()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):  # the second of a kind is captured
        steps['weights, soft']()
    peak = torch.cuda.max_memory_reserved() - before
    steps[SINGLE] = bench.single()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(args.rounds + 3):
        for name, step in steps.items():
            elapsed = seconds(step, args.device)
            if round_ > 2:  # the first rounds allocate, choose kernels and capture
                times[name].append(elapsed)
    return {name: statistics.median(values) for name, values in times.items()}, peak / 2**30


def report(args: argparse.Namespace, found: Mapping[str, tuple[dict[str, float], float]]) -> Table:
    """Milliseconds, in brackets the ratio to the T single-task steps run the same way."""
    title = f'{torch.cuda.get_device_name()}, torch {torch.__version__}, batch {args.batch}, '
    table = Table('ms', *UPDATES, SINGLE, 'GiB', title=f'{title}{args.size}x{args.size}')
    for variant, (times, peak) in found.items():
        cells = [f'{1e3 * times[n]:.0f} ({times[n] / times[SINGLE]:.2f})' for n in UPDATES]
        table.add_row(variant, *cells, f'{1e3 * times[SINGLE]:.0f}', f'{peak:.1f}')
    return table


class Grouped(nn.Module):
    """K inverted residuals of one input as one: widened, the last convolution in K groups."""

    def __init__(self, layer: nn.Module, copies: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        convs = [m for m in layer.modules() if isinstance(m, nn.Conv2d)]
        for index, conv in enumerate(convs):
            last, depthwise = index == len(convs) - 1, conv.groups > 1
            same_input = index == 0 and not depthwise
            width = conv.in_channels * (1 if same_input else copies)
            groups = conv.groups * copies if depthwise else 1 if same_input else copies
            parts += [
                nn.Conv2d(
                    width,
                    conv.out_channels * copies,
                    conv.kernel_size,
                    conv.stride,
                    conv.padding,
                    conv.dilation,
                    groups,
                    bias=False,
                ),
                nn.BatchNorm2d(conv.out_channels * copies),
                *([] if last else [nn.ReLU6(inplace=True)]),
            ]
        self.copies = copies
        self.residual = layer.use_res_connect
        # a depthwise convolution at the input wants a copy of it for every candidate
        self.repeats = copies if convs[0].groups > 1 else 1
        self.body = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, C, H, W) -> K outputs."""
        outputs = self.body(x.repeat(1, self.repeats, 1, 1)).chunk(self.copies, dim=1)
        return tuple(x + output for output in outputs) if self.residual else outputs


class Separate(nn.Module):
    """K inverted residuals, one after the other."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, C, H, W) -> K outputs."""
        return tuple(layer(x) for layer in self.layers)


def grouped(args: argparse.Namespace) -> Iterator[tuple[str, float, float]]:
    """Milliseconds of K separate layers and of one grouped one, summed over the layers, by way."""
    cfg = Config.fromfile(BASES / 'models' / 'mobilenetv2_supergraph.py').model.encoder.backbone
    cfg.weights = None
    backbone = build_backbone(cfg)
    inputs, x = [], torch.rand(args.batch, 3, args.size, args.size)
    with torch.no_grad():
        x = backbone.copy_stem()(x)
        for index in range(backbone.num_layers - 1):  # all but the R-ASPP
            inputs.append(x)
            x = backbone.copy_layer(index)(x)
    makes = (
        lambda layer: Separate(copy.deepcopy(layer) for _ in range(CANDIDATES)),
        lambda layer: Grouped(layer, CANDIDATES),
    )
    layouts = dict(NCHW=torch.contiguous_format, NHWC=torch.channels_last)
    for amp, layout, graphs in itertools.product((False, True), layouts, (False, True)):
        way = ', '.join(['bfloat16' if amp else 'float32', layout, *(['graph'] if graphs else [])])
        totals = [
            sum(
                layer_seconds(
                    make(backbone.copy_layer(index)), x, amp, layouts[layout], graphs, args
                )
                for index, x in enumerate(inputs)
            )
            for make in makes
        ]
        yield way, 1e3 * totals[0], 1e3 * totals[1]


def layer_seconds(
    module: nn.Module,
    x: torch.Tensor,
    amp: bool,
    layout: torch.memory_format,
    graphs: bool,
    args: argparse.Namespace,
) -> float:
    """Median seconds of one pass forward and backward."""
    module = module.to(args.device, memory_format=layout)
    x = x.to(args.device, memory_format=layout).requires_grad_()

    def step() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = None
        context = torch.autocast('cuda', torch.bfloat16) if amp else nullcontext()
        with context:
            total = sum(out.float().square().mean() for out in module(x))
        total.backward()

    run = capture(step) if graphs else step
    for _ in range(3):
        run()
    return statistics.median(seconds(run, args.device) for _ in range(args.rounds))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Ways of running the updates of a search.')
    parser.add_argument('--batch', type=int, default=16, help='images')
    parser.add_argument('--size', type=int, default=256, help='pixels')
    parser.add_argument('--rounds', type=int, default=10, help='rounds, of which medians count')
    parser.add_argument('--variants', nargs='+', choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument('--grouped', action='store_true', help='K candidates as one grouped layer')
    args = parser.parse_args()
    args.device = 'cuda'
    return args


def main() -> int:
    args = parse_args()
    console = Console(width=130)
    if not torch.cuda.is_available():
        console.print('search_gpu.py: torch finds no GPU; search_step.py measures on a CPU')
        return 2
    if args.grouped:
        console.print(f'{CANDIDATES} candidates, all layers of MobileNetV2, forward and backward')
        for way, separate, together in grouped(args):
            speed = separate / together
            console.print(f'{way}: {separate:.1f} ms, grouped {together:.1f} ms, speed {speed:.2f}')
        return 0
    found = {}
    for variant in args.variants:
        found[variant] = measure(args, variant)
        console.print(report(args, {variant: found[variant]}))
        torch.cuda.empty_cache()
    console.print(report(args, found))
    return 0


if __name__ == '__main__':
    sys.exit(main())
