"""Training passes captured as CUDA graphs, where Python is slower than the GPU."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bmtas.models.buffers import kept_buffers
from bmtas.models.encoders.base import Work

MOST = 64
"""Kinds of passes that are captured; each keeps memory of its own."""
REMEMBERED = 10_000
"""Kinds of passes that are recognised."""
Logits = dict[str, Tensor]
Replay = Callable[..., tuple[Tensor, ...]]


class CapturedPasses:
    """Forward and backward passes of a model, replayed as graphs from the second of a kind on.

    A kind is what decides which kernels run on which memory: the tasks, the routing, the shape of
    the images, what trains, mixed precision. The first pass of a kind runs as ever, before the
    second it is captured with ``torch.cuda.make_graphed_callables``. All graphs share one pool of
    memory, so a pass ends with its only backward pass before the next begins; anything else is an
    error. Where gradients of earlier passes wait to be added to, the pass runs as ever: a replay
    would write over them.

    Args:
        model: Whose ``logits`` are captured; its parameters stay the same objects.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._parameters: list[nn.Parameter] = []
        self._buffers: list[Tensor] = []
        self._seen: set[int] = set()
        self._replays: dict[Hashable, Replay] = {}
        self._pool: Any = None
        self.turn = 0
        self.enabled = True

    def __reduce__(self) -> tuple[type[CapturedPasses], tuple[nn.Module]]:
        """A copy of the model captures its own passes."""
        return type(self), (self.model,)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Passes inside run as ever, e.g. for several backward passes of one forward pass."""
        before, self.enabled = self.enabled, False
        try:
            yield
        finally:
            self.enabled = before

    def logits(
        self, inputs: Tensor, tasks: Sequence[str], routing: Mapping[str, Any]
    ) -> Logits | None:
        """Logits of a training pass, valid until the next one; None if it has to run as ever."""
        if not (self.enabled and self._capturable(inputs)):
            return None
        if not self._parameters:  # a model that moves to a GPU gets other buffers
            self._parameters = list(self.model.parameters())
            self._buffers = list(self.model.buffers())
        work = self.model.encoder.work(tasks, **routing)
        if work is None or any(p.grad is not None for p in self._parameters):
            return None
        names = tuple(routing)
        given = (inputs, *(routing[name] for name in names))
        kind = self._kind(given, tuple(tasks), names, work)
        if kind not in self._replays:
            if not self._seen_before(kind) or len(self._replays) == MOST:
                return None
            self._replays[kind] = self._capture(_Pass(self.model, tasks, names, work), given)
            if len(self._replays) == MOST:
                print_log(
                    f'model.cuda_graphs: {MOST} kinds of passes are captured, others run as ever',
                    'current',
                    logging.WARNING,
                )
        self.turn += 1
        return dict(zip(tasks, _OneBackward.apply(self, *self._replays[kind](*given))))

    def _seen_before(self, kind: Hashable) -> bool:
        """Straight-through samples bring new kinds for ever: few are remembered, by their hash."""
        number = hash(kind)
        before = number in self._seen
        if len(self._seen) == REMEMBERED:
            self._seen.clear()
        self._seen.add(number)
        return before

    def _capturable(self, inputs: Tensor) -> bool:
        return inputs.is_cuda and torch.is_grad_enabled()

    def _kind(self, given: Sequence[Tensor], *rest: Hashable) -> Hashable:
        """The addresses are part of it: a graph reads and writes where the weights were."""
        shapes = tuple((x.shape, x.stride(), x.dtype, x.requires_grad) for x in given)
        precision = torch.is_autocast_enabled('cuda'), torch.get_autocast_dtype('cuda')
        state = tuple((x.data_ptr(), x.requires_grad) for x in (*self._parameters, *self._buffers))
        return (shapes, precision, hash(state), *rest)

    def _capture(self, run: _Pass, given: Sequence[Tensor]) -> Replay:
        """Raises RuntimeError if something in the pass cannot be captured."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        precision = torch.is_autocast_enabled('cuda'), torch.get_autocast_dtype('cuda')
        try:
            # trial runs must not move statistics and random numbers
            with (
                _no_garbage(),
                warnings.catch_warnings(),
                kept_buffers(self.model),
                torch.random.fork_rng([given[0].device]),
                torch.autocast('cuda', precision[1], precision[0], cache_enabled=False),
            ):
                # trial runs and capture have a stream each in torch before 2.14
                warnings.filterwarnings('ignore', "The AccumulateGrad node's stream")
                trained = run.trained(given)
                # copies of their own for autograd, which knows a weight by the stream on which it
                # was seen first; their memory is that of the weights
                copies = [x.detach().requires_grad_() for x in trained.values()]
                inputs = [x.detach().clone().requires_grad_(x.requires_grad) for x in given]
                graph = torch.cuda.make_graphed_callables(
                    run.function(trained), (*inputs, *copies), pool=self._pool
                )
        except RuntimeError as error:
            if 'out of memory' in str(error):
                raise
            cause: BaseException = error
            while cause.__context__ is not None:  # that the capture ended in disorder comes last
                cause = cause.__context__
            raise RuntimeError(
                'model.cuda_graphs: a training pass of this model cannot be captured '
                f'({str(cause).strip().partition(chr(10))[0]}); leave cuda_graphs out'
            ) from error
        weights = tuple(trained.values())
        return lambda *given: graph(*given, *weights)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Frees nothing inside: memory of a GPU that is freed during a capture ends the capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Pass(nn.Module):
    """The logits of some tasks as a function of tensors only."""

    def __init__(
        self, model: nn.Module, tasks: Sequence[str], names: Sequence[str], work: Work
    ) -> None:
        super().__init__()
        self.model = model
        self.tasks, self.names, self.work = list(tasks), names, work

    def forward(self, inputs: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        routing = dict(zip(self.names, given)) | dict(self.work)
        return tuple(self.model.logits(inputs, self.tasks, routing).values())

    def trained(self, given: Sequence[Tensor]) -> dict[str, nn.Parameter]:
        """The parameters that get a gradient, by name."""
        candidates = {k: p for k, p in self.named_parameters() if p.requires_grad}
        if not candidates:
            return {}
        total = sum(logits.sum() for logits in self(*given))
        found = torch.autograd.grad(total, list(candidates.values()), allow_unused=True)
        return {k: p for (k, p), grad in zip(candidates.items(), found) if grad is not None}

    def function(self, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
        """A function of the inputs, and of the parameters of these names behind them."""
        names, count = list(names), 1 + len(self.names)

        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            weights = dict(zip(names, tensors[count:]))
            return torch.func.functional_call(self, weights, tensors[:count])

        return run


class _OneBackward(torch.autograd.Function):
    """Sees that a replayed pass gets one backward pass, and before the next pass."""

    @staticmethod
    def forward(ctx, passes: CapturedPasses, *outputs: Tensor) -> tuple[Tensor, ...]:
        ctx.passes, ctx.turn = passes, passes.turn
        return tuple(output.view_as(output) for output in outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.turn != ctx.passes.turn:
            raise RuntimeError(
                'model.cuda_graphs: this pass was followed by another one, or had its backward '
                'pass already, and its activations are gone; leave cuda_graphs out'
            )
        ctx.passes.turn += 1
        return None, *grads
