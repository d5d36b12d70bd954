"""One forward pass of a base network and its sub-tasks, place by place in step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmtas.resources import evaluation_mode
from bmtas.sharing.deltas import Product
from bmtas.sharing.ops import Reference, SharedOp, intercepted, plain
from bmtas.sharing.penalty import AlignPenalty, penalised
from bmtas.sharing.places import Place
from bmtas.sharing.thresholds import TASK, TEMPORAL
from bmtas.sharing.video import VideoState

if TYPE_CHECKING:
    from bmtas.sharing.encoder import DeltaEncoder

BASE_STAGES = ('base', 'temporal')

Cache = dict[str, Reference]
"""References of one place by the operator's name inside it."""


class ForwardPass:
    """What one pass carries from place to place.

    Args:
        encoder: Whose networks run.
        images: (N, 3, H, W).
        tasks: Tasks that are asked for.
        frames: (N, F, 3, H, W) frames near the images.
        video: State of the clips whose next frames the images are.

    Attributes:
        now: By task (the base among them): output of the last place.
        before: The same for a neighbouring frame; empty where none is compared.
        penalties: By name, of the places so far.
        cache_sizes: Bytes of the references of each place, if work is counted.
    """

    def __init__(
        self,
        encoder: DeltaEncoder,
        images: Tensor,
        tasks: Sequence[str],
        frames: Tensor | None = None,
        video: VideoState | None = None,
    ) -> None:
        self.encoder, self.video, self.meter = encoder, video, encoder.meter
        self.base, self.asks_base = encoder.base_task, encoder.base_task in tasks
        self.subs = [task for task in tasks if task != self.base]
        seed = encoder.generator_seed if encoder.training else None
        self.generator = None if seed is None else torch.Generator(images.device).manual_seed(seed)
        near = self._neighbour(images, frames)
        self.now = dict.fromkeys((self.base, *self.subs), images)
        self.before = {} if near is None else dict.fromkeys(self.now, near)
        self.penalties: dict[str, AlignPenalty] = {}
        self.cache_sizes: list[int] = []
        self.needed: set[int] | None = None

    def _neighbour(self, images: Tensor, frames: Tensor | None) -> Tensor | None:
        """One of the frames near the images, the same for all of them, if they are compared."""
        encoder = self.encoder
        if not (encoder.training and encoder.temporal_weight):
            return None
        if encoder.stage not in ('temporal', 'align'):
            return None
        if frames is None or not frames.shape[1]:
            raise ValueError(
                f'stage {encoder.stage!r}: temporal_weight is {encoder.temporal_weight}, but the '
                'samples carry no frames; set neighbours of the data set'
            )
        index = torch.randint(frames.shape[1], (), generator=self.generator, device=images.device)
        return frames[:, int(index)].contiguous(memory_format=torch.channels_last)

    def run(self, place: Place) -> None:
        """Go through one place."""
        own = self.subs if self.encoder.is_own(place) else []
        cache: Cache = {}
        if self._needs_base(place):
            self._run_base(place, cache, bool(own))
        for task in own:
            self._run_task(place, task, cache)
        for task in () if own else self.subs:
            self.now[task] = self.now[self.base]
            if self.before:
                self.before[task] = self.before[self.base]
        if self.meter is not None:
            self.cache_sizes.append(sum(t.nbytes for pair in cache.values() for t in pair))

    def _needs_base(self, place: Place) -> bool:
        if self.asks_base or (self.subs and not self.encoder.is_own(place)):
            return True
        if self.video is not None:
            return self.video.is_key or place.index < self.video.switch_layer
        return self._compares(place)

    def _compares(self, place: Place) -> bool:
        """Whether sub-tasks look at the base's activations."""
        if self.encoder.training:
            return self.encoder.stage == 'align' and self.encoder.is_own(place)
        return self.encoder.thresholds is not None and not place.is_meta

    def _run_base(self, place: Place, cache: Cache, is_reference: bool) -> None:
        """The base's network at one place; its references go into ``cache``."""
        task, module, encoder = self.base, place.module, self.encoder
        if encoder.training and encoder.stage in BASE_STAGES:
            if self.before:
                self._penalised(place, task, module, [])
            else:
                self.now[task] = module(self.now[task])
            return
        if self.video is not None and not self.video.is_key:
            handle = partial(self._shared, place, task, TEMPORAL, {}, cache)
        else:
            handle = partial(self._kept, place, task, cache)
        watched = is_reference or self.video is not None or self.meter is not None
        points = penalised(module, encoder.align_on) if encoder.training else place.ops
        with frozen(module) if encoder.training else nullcontext():
            with intercepted(points if watched else [], handle):
                self.now[task] = module(self.now[task])
            if self.before and not is_reference:
                self.before[task] = module(self.before[task])
        self._note(place, task)

    def _run_task(self, place: Place, task: str, cache: Cache) -> None:
        """A sub-task's network at one place."""
        parts, video = self.encoder.task_place(place, task, self.generator), self.video
        if self.encoder.training and self.encoder.stage == 'align':
            against = [('align', cache)] if self.encoder.align_weight else []
            self._penalised(place, task, parts, against)
            return
        handle = None
        if video is not None and not video.is_key and place.index >= video.switch_layer:
            handle = partial(self._shared, place, task, TEMPORAL, {}, {})
        elif self._compares(place) or video is not None:
            handle = partial(self._shared, place, task, TASK, parts.products, cache)
            self.needed = self._needed_still(task, cache)
        elif self.meter is not None:
            handle = partial(self._kept, place, task, {})
        with intercepted(parts.ops, handle) if handle else nullcontext():
            self.now[task] = parts(self.now[task])
        self._note(place, task)

    def _needed_still(self, task: str, cache: Cache) -> set[int] | None:
        """Storages that somebody reads after this task's operators; None for all."""
        last = task == self.subs[-1] and self.video is None and self.meter is None
        if not last or torch.is_grad_enabled():
            return None
        tensors = (self.now[self.base], *(x for x, _ in cache.values()))
        return {t.untyped_storage().data_ptr() for t in tensors}

    def _penalised(
        self,
        place: Place,
        task: str,
        call: Callable[[Tensor], Tensor],
        against: list[tuple[str, Cache]],
    ) -> None:
        """Run a network at one place and penalise its differences from the references."""
        side = self.encoder.align_on
        points = penalised(place.module, side)
        if self.before:
            old: Cache = {}
            with torch.no_grad(), intercepted(points, partial(_keep, old)):
                self.before[task] = call(self.before[task])
            against = [*against, ('temporal', old)]
        pairs = [(self.penalties.setdefault(k, AlignPenalty(side)), c) for k, c in against]

        def compare(name: str, module: nn.Module, x: Tensor) -> Tensor:
            y = plain(module, x)
            for penalty, references in pairs:
                penalty.add(x, y, references[name])
            return y

        with intercepted(points, compare):
            self.now[task] = call(self.now[task])

    def _kept(
        self, place: Place, task: str, cache: Cache, name: str, op: nn.Module, x: Tensor
    ) -> Tensor:
        """Run an operator by itself and keep its reference."""
        y = _keep(cache, name, op, x)
        if self.video is not None:
            self.video.kept[task, place.full_name(name)] = (x, y)
        if self.meter is not None:
            self.meter.dense(task, place.name, name, op, x, y)
        return y

    def _shared(
        self,
        place: Place,
        task: str,
        kind: str,
        products: Mapping[str, tuple[Product | None, int]],
        cache: Cache,
        name: str,
        op: nn.Module,
        x: Tensor,
    ) -> Tensor:
        """Run an operator by its difference from a reference."""
        encoder, video, full = self.encoder, self.video, place.full_name(name)
        product, cost = products.get(name, (None, 0))
        threshold = 0.0
        if encoder.thresholds is not None:
            threshold = encoder.thresholds.tau(kind, task, full)
        shared = SharedOp(threshold, encoder.threshold_on, encoder.rows, product, cost)
        shared.same_weights = kind == TEMPORAL
        shared.keep = video is not None
        pair = cache[name] if kind == TASK else video.kept[task, full]
        if kind == TASK and self.needed is not None:
            shared.spent = pair[1].untyped_storage().data_ptr() not in self.needed
        if self.meter is not None:
            shared.count = self.meter.op(task, place.name, name)
        pair = shared(op, x, pair)
        if kind == TEMPORAL:
            cache[name] = pair
        if video is not None:
            video.kept[task, full] = pair
        return pair[1]

    def _note(self, place: Place, task: str) -> None:
        if self.meter is not None:
            self.meter.run(task, place.name, len(self.now[task]))

    def finish(self, images: int) -> None:
        """Note that the pass is over."""
        if self.video is not None:
            self.video.frame += 1
        if self.meter is not None:
            self.meter.images += images
            self.meter.caches(self.cache_sizes, images)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, for a while."""
    with evaluation_mode(module), torch.no_grad():
        yield


def _keep(cache: Cache, name: str, module: nn.Module, x: Tensor) -> Tensor:
    """Run a module and keep its reference."""
    y = plain(module, x)
    cache[name] = (x, y)
    return y
