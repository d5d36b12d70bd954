"""The encoder of a base task and of tasks that differ from it a little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bmtas.files import load_state
from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders import STEM, Encoder, Features, Part
from bmtas.registry import MODELS
from bmtas.sharing.deltas import TaskDelta
from bmtas.sharing.meter import Meter
from bmtas.sharing.ops import Reference, SharedOp, intercepted, operators, plain
from bmtas.sharing.penalty import SIDES, AlignPenalty, penalised
from bmtas.sharing.thresholds import TASK, TEMPORAL, load_thresholds
from bmtas.sharing.video import VideoState

STAGES = ('base', 'temporal', 'gates', 'support', 'align')
FORMS = ('sum', 'product')

Cache = dict[str, Reference]
"""References of one place by the operator's name inside it."""


@dataclass
class Place:
    """Stem or layer of the base network."""

    name: str
    index: int
    module: nn.Module
    ops: list[tuple[str, nn.Module]]


@dataclass
class _TaskPlace:
    """A task's tensors of one place, and its operators' deltas: product, bias, cost."""

    tensors: dict[str, Tensor]
    products: dict[str, tuple[Any, Tensor | None, int]]


@dataclass
class _Pass:
    """What one forward pass carries along."""

    generator: torch.Generator | None = None
    video: VideoState | None = None
    penalties: dict[str, AlignPenalty] = field(default_factory=dict)
    cache_sizes: list[int] = field(default_factory=list)


@MODELS.register_module()
class DeltaEncoder(Encoder):
    """A base network; every other task is that network plus a delta of its weights.

    Base and sub-tasks run place by place (the stem, then each layer) in step, so that the
    references of one place are alive at a time. Places below ``from_layer`` belong to the base
    alone and run once. With thresholds, an operator of a sub-task reuses the base's, see ``ops``.

    Args:
        backbone: Template or its config.
        tasks: Names of the tasks that it serves; the base task need not be among them.
        base_task: Name of the base task; by default the first.
        delta: Config of a delta, ``dict(type='SparseDelta')`` or
            ``dict(type='LowRankDelta', rank=8)``.
        base: Checkpoint of the base task's network to start from.
        from_layer: First layer with deltas; with 0 the stem has one, too.
        thresholds: None for merged weights without thresholds, a number for all operators, or the
            file of ``bmtas calibrate``.
        threshold_on: 'input', or 'output' as in the public code, which saves nothing.
        rows: Keep or drop whole rows (tokens), whose work is then really skipped.
        video: Arguments of ``VideoState`` for clips.
        stage: What is trained: the base in 'base' and 'temporal'; a sub-task's deltas with gates in
            'gates', on their support in 'support', near the base's activations in 'align'. None
            for a network in use.
        gate_weight: Weight of the gates' penalty.
        gate_form: 'sum' as in the public code, or 'product', the expected number of open gates.
        align_weight, temporal_weight: Weights of the mean absolute differences of activations
            against the base and against another frame.
        align_on: 'input': at what the operators read; 'output': the public code's six places.

    Attributes:
        generator_seed: Seed of the gates' noise and of the neighbour frame of the next training
            pass; whoever trains sets it.
        meter: Where a pass in evaluation counts its work, None for no counting.

    Raises:
        ValueError: Arguments that do not fit each other.
        FileNotFoundError: A checkpoint or a file of thresholds that is not there.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        base_task: str | None = None,
        delta: Mapping[str, Any] = MappingProxyType(dict(type='SparseDelta')),
        base: str | None = None,
        from_layer: int = 0,
        thresholds: Any = None,
        threshold_on: str = 'input',
        rows: bool = False,
        video: Mapping[str, Any] | None = None,
        stage: str | None = None,
        gate_weight: float = 0.0,
        gate_form: str = 'sum',
        align_weight: float = 0.0,
        temporal_weight: float = 0.0,
        align_on: str = 'input',
    ) -> None:
        backbone = build_backbone(backbone)
        super().__init__(tasks, **backbone.features)
        choices = (
            ('threshold_on', threshold_on, SIDES),
            ('align_on', align_on, SIDES),
            ('gate_form', gate_form, FORMS),
            ('stage', stage, (None, *STAGES)),
        )
        for key, value, known in choices:
            if value not in known:
                raise ValueError(f'model.encoder.{key}: {value!r}, choose from {known}')
        if not 0 <= from_layer < self.num_layers:
            raise ValueError(
                f'model.encoder.from_layer: {from_layer} must be 0 to {self.num_layers - 1}'
            )
        self.base_task = self.tasks[0] if base_task is None else base_task
        self.from_layer, self.stage = from_layer, stage
        self.threshold_on, self.rows, self.align_on = threshold_on, rows, align_on
        self.gate_weight, self.gate_form = gate_weight, gate_form
        self.align_weight, self.temporal_weight = align_weight, temporal_weight
        self.low_level_index = backbone.low_level_index
        # frames are compared without the noise of dropped branches
        dropout = 0.0 if stage == 'temporal' or stage in STAGES[2:] else None
        self.stem = backbone.copy_stem()
        self.layers = nn.ModuleList(
            backbone.copy_layer(index, dropout=dropout) for index in range(self.num_layers)
        )
        self._base = base
        if base is not None:
            load_parts(self, base, ('stem.', 'layers.'), 'encoder.')
        own = {place.name: place.module for place in self.places() if self.is_own(place)}
        self.deltas = nn.ModuleDict(
            {task: TaskDelta(own, delta, stage == 'gates') for task in self.sub_tasks}
        )
        self._delta_cfg = dict(delta)
        self._video = dict(video or {})
        VideoState(**self._video)
        self.thresholds = load_thresholds(thresholds)
        if self.thresholds is not None:
            self.thresholds.check(list(self.sub_tasks), self.own_operators(), rows)
        if stage in STAGES[2:]:
            for part in (self.stem, self.layers):
                part.requires_grad_(False)
        self.generator_seed: int | None = None
        self.meter: Meter | None = None
        self._extra: dict[str, Tensor] = {}
        self._in_use: dict[tuple[str, str], _TaskPlace] = {}

    @property
    def sub_tasks(self) -> tuple[str, ...]:
        """The tasks but the base task."""
        return tuple(task for task in self.tasks if task != self.base_task)

    def places(self) -> list[Place]:
        """Stem and layers of the base network."""
        named = [('stem', STEM, self.stem)]
        named += [(f'layers.{index}', index, layer) for index, layer in enumerate(self.layers)]
        return [Place(*place, operators(place[-1])) for place in named]

    def is_own(self, place: Place) -> bool:
        """Whether sub-tasks have deltas there."""
        return self.from_layer == 0 or place.index >= self.from_layer

    def own_operators(self) -> list[str]:
        """Names of the operators with deltas, e.g. ``layers.3.attn.qkv``."""
        return [
            f'{place.name}.{name}'.rstrip('.')
            for place in self.places()
            if self.is_own(place)
            for name, _ in place.ops
        ]

    def new_video(self) -> VideoState:
        """A state for a clip, as the config has it; hand it to ``forward``, frame by frame."""
        return VideoState(**self._video)

    def forward(
        self,
        images: Tensor,
        tasks: Sequence[str],
        frames: Tensor | None = None,
        video: VideoState | None = None,
    ) -> Features:
        """Encode images for the named tasks.

        Args:
            images: (N, 3, H, W); with ``video`` the next frames of N clips.
            tasks: Names of the tasks to run.
            frames: (N, F, 3, H, W) frames near the images, for the temporal penalty in training.
            video: State of the clips, changed by the call.
        """
        self.task_indices(tasks)
        self._check_training()
        self._extra = {}
        generator = self._generator(images.device) if self.training else None
        state = _Pass(generator, video)
        near = self._neighbour(images, frames, state)
        subs = [task for task in tasks if task != self.base_task]
        now, low = dict.fromkeys((self.base_task, *subs), images), {}
        before = {} if near is None else dict.fromkeys(now, near)
        for place in self.places():
            own = subs if self.is_own(place) else []
            cache: Cache = {}
            if self._needs_base(place, tasks, subs, state):
                self._run_base(place, now, before, cache, state, bool(own))
            for task in own:
                self._run_task(place, task, now, before, cache, state)
            for task in () if own else subs:
                now[task] = now[self.base_task]
                if before:
                    before[task] = before[self.base_task]
            self._note_caches(cache, state)
            if place.index == self.low_level_index:
                low = dict(now)
        self._finish(state, len(images))
        return {task: (now[task], low[task]) for task in tasks}

    def _check_training(self) -> None:
        if not self.training:
            return
        if self.stage is None:
            raise ValueError(
                f'model.encoder.stage: a DeltaEncoder is trained in stages, choose from {STAGES} '
                '(bmtas share runs them all)'
            )
        if self.stage == 'gates' and self.generator_seed is None:
            raise ValueError("stage 'gates' needs train_cfg.type='SharingTrainLoop'")

    def _needs_base(
        self, place: Place, tasks: Sequence[str], subs: Sequence[str], state: _Pass
    ) -> bool:
        if self.base_task in tasks or (subs and not self.is_own(place)):
            return True
        if state.video is not None:
            return state.video.is_key or place.index < state.video.switch_layer
        return self._compares(place)

    def _compares(self, place: Place) -> bool:
        """Whether sub-tasks look at the base's activations."""
        if self.training:
            return self.stage == 'align' and self.is_own(place)
        return self.thresholds is not None and not place_is_meta(place)

    def _generator(self, device: torch.device) -> torch.Generator | None:
        if self.generator_seed is None:
            return None
        return torch.Generator(device).manual_seed(self.generator_seed)

    def _neighbour(self, images: Tensor, frames: Tensor | None, state: _Pass) -> Tensor | None:
        """One of the frames near the images, the same for all of them, if they are compared."""
        if not (self.training and self.temporal_weight and self.stage in ('temporal', 'align')):
            return None
        if frames is None or not frames.shape[1]:
            raise ValueError(
                f'stage {self.stage!r}: temporal_weight is {self.temporal_weight}, but the samples '
                'carry no frames; set neighbours of the data set'
            )
        index = torch.randint(frames.shape[1], (), generator=state.generator, device=images.device)
        return frames[:, int(index)].contiguous(memory_format=torch.channels_last)

    def _run_base(
        self,
        place: Place,
        now: dict[str, Tensor],
        before: dict[str, Tensor],
        cache: Cache,
        state: _Pass,
        is_reference: bool,
    ) -> None:
        """The base's network at one place; its references go into ``cache``."""
        task, module, video = self.base_task, place.module, state.video
        if self.stage in STAGES[:2] and self.training:
            if before:
                self._penalised(place, task, now, before, [], state)
            else:
                now[task] = module(now[task])
            return
        modes = [(m, m.training) for m in module.modules()]
        module.eval()
        frozen = torch.no_grad() if self.training else nullcontext()
        with frozen:
            if video is not None and not video.is_key:
                handle = partial(self._shared, place, task, TEMPORAL, state, {}, cache)
            else:
                handle = partial(self._kept, place, task, state, cache)
            watched = is_reference or video is not None or self.meter is not None
            points = penalised(module, self.align_on) if self.training else place.ops
            with intercepted(points if watched else [], handle):
                now[task] = module(now[task])
            if before and not is_reference:
                before[task] = module(before[task])
        for m, mode in modes:
            m.training = mode
        self._note(place, task, now, state)

    def _run_task(
        self,
        place: Place,
        task: str,
        now: dict[str, Tensor],
        before: dict[str, Tensor],
        cache: Cache,
        state: _Pass,
    ) -> None:
        """A sub-task's network at one place."""
        parts = self._task_place(place, task, state.generator)
        call = partial(functional_call, place.module, parts.tensors)
        if self.training and self.stage == 'align':
            against = [('align', cache)] if self.align_weight else []
            self._penalised(place, task, now, before, against, state, call)
            return
        video, handle = state.video, None
        temporal = video is not None and not video.is_key and place.index >= video.switch_layer
        if temporal:
            handle = partial(self._shared, place, task, TEMPORAL, state, {}, {})
        elif self._compares(place) or video is not None:
            handle = partial(self._shared, place, task, TASK, state, parts.products, cache)
        elif self.meter is not None:
            handle = partial(self._kept, place, task, state, {})
        with intercepted(place.ops, handle) if handle else nullcontext():
            now[task] = call((now[task],))
        self._note(place, task, now, state)

    def _penalised(
        self,
        place: Place,
        task: str,
        now: dict[str, Tensor],
        before: dict[str, Tensor],
        against: list[tuple[str, Cache]],
        state: _Pass,
        call: Any = None,
    ) -> None:
        """Run a network at one place and penalise its differences from the references."""
        call = call or (lambda args: place.module(*args))
        points = penalised(place.module, self.align_on)
        if before:
            old: Cache = {}
            with torch.no_grad(), intercepted(points, partial(keep, old)):
                before[task] = call((before[task],))
            against = [*against, ('temporal', old)]
        pairs = [
            (state.penalties.setdefault(k, AlignPenalty(self.align_on)), c) for k, c in against
        ]

        def compare(name: str, module: nn.Module, x: Tensor) -> Tensor:
            y = plain(module, x)
            for penalty, references in pairs:
                penalty.add(x, y, references[name])
            return y

        with intercepted(points, compare):
            now[task] = call((now[task],))

    def _kept(
        self, place: Place, task: str, state: _Pass, cache: Cache, name: str, op: nn.Module, x
    ) -> Tensor:
        """Run an operator by itself and keep its reference."""
        y = plain(op, x)
        self._keep(place, task, state, cache, name, (x, y))
        if self.meter is not None:
            self.meter.dense(task, place.name, name, op, x, y)
        return y

    def _keep(
        self,
        place: Place,
        task: str,
        state: _Pass,
        cache: Cache,
        name: str,
        pair: Reference,
    ) -> None:
        cache[name] = pair
        if state.video is not None:
            state.video.kept[task, f'{place.name}.{name}'] = pair

    def _shared(
        self,
        place: Place,
        task: str,
        kind: str,
        state: _Pass,
        products: Mapping[str, tuple[Any, Tensor | None, int]],
        cache: Cache,
        name: str,
        op: nn.Module,
        x: Tensor,
    ) -> Tensor:
        """Run an operator by its difference from a reference."""
        key = f'{place.name}.{name}'
        product, bias, cost = products.get(name, (None, None, 0))
        threshold = 0.0
        if self.thresholds is not None:
            threshold = self.thresholds.tau(kind, task, key.rstrip('.'))
        shared = SharedOp(threshold, self.threshold_on, self.rows, product, bias, cost)
        shared.keep = state.video is not None
        if self.meter is not None:
            shared.count = self.meter.op(task, place.name, name)
        reference = cache[name] if kind == TASK else state.video.kept[task, key]
        pair = shared(op, x, reference)
        self._keep(place, task, state, {} if kind == TASK else cache, name, pair)
        return pair[1]

    def _task_place(self, place: Place, task: str, generator: torch.Generator | None) -> _TaskPlace:
        """The task's tensors; kept between passes while nothing is trained."""
        if self.training or torch.is_grad_enabled() or place_is_meta(place):
            return self._build_place(place, task, generator)
        key = (task, place.name)
        if key not in self._in_use:
            self._in_use[key] = self._build_place(place, task, None)
        return self._in_use[key]

    def train(self, mode: bool = True) -> DeltaEncoder:
        """Switch to training or evaluation; merged weights are made anew."""
        self._in_use = {}
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> DeltaEncoder:
        self._in_use = {}
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._in_use = {}
        super()._load_from_state_dict(*args)

    def _build_place(
        self, place: Place, task: str, generator: torch.Generator | None
    ) -> _TaskPlace:
        delta = self.deltas[task]
        tensors = delta.tensors(place.name, place.module, generator)
        if self.training or place_is_meta(place):
            return _TaskPlace(tensors, {})
        products = {}
        for name, op in place.ops:
            prefix = f'{place.name}.{name}'.rstrip('.')
            weight = delta.get_submodule(f'{prefix}.weight')
            bias = None if op.bias is None else delta.get_submodule(f'{prefix}.bias').dense()
            products[name] = (weight.product, bias, weight.cost())
        return _TaskPlace(tensors, products)

    def _note(self, place: Place, task: str, now: dict[str, Tensor], state: _Pass) -> None:
        if self.meter is not None:
            self.meter.run(task, place.name, len(now[task]))

    def _note_caches(self, cache: Cache, state: _Pass) -> None:
        if self.meter is not None:
            state.cache_sizes.append(sum(t.nbytes for pair in cache.values() for t in pair))

    def _finish(self, state: _Pass, images: int) -> None:
        if state.video is not None:
            state.video.frame += 1
        if self.meter is not None:
            self.meter.images += images
            self.meter.caches(state.cache_sizes, images)
        if not self.training:
            return
        weights = dict(align=self.align_weight, temporal=self.temporal_weight)
        for name, penalty in state.penalties.items():
            self._extra[name] = weights[name] * penalty.mean()
        if self.stage == 'gates' and self.gate_weight:
            deltas = [d for task in self.deltas.values() for _, d in task.deltas()]
            penalty = torch.stack([delta.penalty(self.gate_form) for delta in deltas]).sum()
            self._extra['gates'] = self.gate_weight * penalty

    def extra_losses(self) -> dict[str, Tensor]:
        """``gates``, ``align`` and ``temporal`` of the last pass in training."""
        return self._extra

    def init_heads(self, heads: nn.ModuleDict) -> None:
        """Start the base task's head from the checkpoint ``base``."""
        if self._base is not None and self.base_task in heads:
            load_parts(heads, self._base, (f'{self.base_task}.',), 'heads.')

    def parts(self) -> list[Part]:
        """The base's stem and layers, and each sub-task's deltas."""
        parts = [self.part(p.name, p.index, [self.base_task]) for p in self.places()]
        return parts + [self.part(f'deltas.{task}', None, [task]) for task in self.sub_tasks]

    def for_export(self, tasks: Sequence[str]) -> Encoder:
        """The merged network of one task.

        Raises:
            ValueError: Several tasks, whose deltas an exported program could not share.
        """
        from bmtas.sharing.merge import merged_encoder

        if len(tasks) != 1:
            raise ValueError(
                f'--task: a base with deltas is exported merged, one task at a time; choose one of '
                f'{", ".join(self.tasks)}'
            )
        return merged_encoder(self, tasks[0])

    def checkpoint_state(self) -> dict[str, Any]:
        """What the weights were trained as."""
        return dict(
            tasks=list(self.tasks),
            base=None,
            base_task=self.base_task,
            delta=self._delta_cfg,
            from_layer=self.from_layer,
            stage=self.stage,
        )


def place_is_meta(place: Place) -> bool:
    """Whether a place only propagates shapes: then nothing can be compared."""
    return any(p.is_meta for p in place.module.parameters())


def keep(cache: Cache, name: str, module: nn.Module, x: Tensor) -> Tensor:
    """Run a module and keep its reference."""
    y = plain(module, x)
    cache[name] = (x, y)
    return y


def load_parts(module: nn.Module, path: str, starts: tuple[str, ...], prefix: str) -> None:
    """Load the tensors of a module that start so from a checkpoint, where they have a prefix.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A tensor is missing or of another shape.
    """
    state = load_state(path)
    state = state.get('state_dict', state)
    own = {k: v for k, v in module.state_dict().items() if k.startswith(starts)}
    found = {k: state.get(f'{prefix}{k}') for k in own}
    wrong = [k for k, v in own.items() if found[k] is None or found[k].shape != v.shape]
    if wrong:
        raise ValueError(
            f'model.encoder.base: {path} has no {prefix}{wrong[0]} of this shape (and '
            f'{len(wrong) - 1} more); it must be a checkpoint of the base task'
        )
    module.load_state_dict(found, strict=False)
