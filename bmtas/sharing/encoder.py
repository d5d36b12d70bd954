"""The encoder of a base task and of tasks that differ from it a little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone
from bmtas.models.encoders import Encoder, Features, Part
from bmtas.registry import MODELS
from bmtas.sharing.deltas import TaskDelta
from bmtas.sharing.meter import Meter
from bmtas.sharing.passes import BASE_STAGES, ForwardPass
from bmtas.sharing.penalty import SIDES
from bmtas.sharing.places import (
    Place,
    TaskPlace,
    load_parts,
    merged_place,
    places_of,
    trained_place,
)
from bmtas.sharing.thresholds import load_thresholds
from bmtas.sharing.video import VideoState

STAGES = (*BASE_STAGES, 'gates', 'support', 'align')
FORMS = ('sum', 'product')


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
        for key, value, known in (
            ('threshold_on', threshold_on, SIDES),
            ('align_on', align_on, SIDES),
            ('gate_form', gate_form, FORMS),
            ('stage', stage, (None, *STAGES)),
        ):
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
        self._places = places_of(self.stem, self.layers)
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
        self._in_use: dict[tuple[str, str], TaskPlace] = {}

    @property
    def sub_tasks(self) -> tuple[str, ...]:
        """The tasks but the base task."""
        return tuple(task for task in self.tasks if task != self.base_task)

    def places(self) -> list[Place]:
        """Stem and layers of the base network."""
        return self._places

    def is_own(self, place: Place) -> bool:
        """Whether sub-tasks have deltas there."""
        return self.from_layer == 0 or place.index >= self.from_layer

    def own_operators(self) -> list[str]:
        """Names of the operators with deltas, e.g. ``layers.3.attn.qkv``."""
        return [
            place.full_name(name)
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
        state, low = ForwardPass(self, images, tasks, frames, video), {}
        for place in self.places():
            state.run(place)
            if place.index == self.low_level_index:
                low = dict(state.now)
        state.finish(len(images))
        self._extra = self._losses(state) if self.training else {}
        return {task: (state.now[task], low[task]) for task in tasks}

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

    def task_place(
        self, place: Place, task: str, generator: torch.Generator | None = None
    ) -> TaskPlace:
        """A sub-task's network at one place; merged ones are kept while nothing is trained."""
        if self.training or place.is_meta:
            return trained_place(place, self.deltas[task], generator)
        if torch.is_grad_enabled():  # somebody may change the weights
            return merged_place(place, self.deltas[task])
        key = (task, place.name)
        if key not in self._in_use:
            self._in_use[key] = merged_place(place, self.deltas[task])
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

    def _losses(self, state: ForwardPass) -> dict[str, Tensor]:
        weights = dict(align=self.align_weight, temporal=self.temporal_weight)
        losses = {name: weights[name] * p.mean() for name, p in state.penalties.items()}
        if self.stage == 'gates' and self.gate_weight:
            deltas = [d for task in self.deltas.values() for _, d in task.deltas()]
            penalty = torch.stack([delta.penalty(self.gate_form) for delta in deltas]).sum()
            losses['gates'] = self.gate_weight * penalty
        return losses

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
