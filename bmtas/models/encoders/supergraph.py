"""The encoder with K candidates in every layer and architecture logits."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from bmtas.models.backbones import LayeredBackbone, build_backbone, keeps_scale
from bmtas.models.encoders.base import STEM, Features, Part, SearchableEncoder, Work
from bmtas.models.encoders.routing import gumbel_softmax, mix
from bmtas.registry import MODELS

Outputs = dict[tuple[int, int], Tensor]
"""Of one layer, by the id of the input and the number of the candidate."""
Needed = tuple[tuple[tuple[int, ...], ...], ...]
"""Candidates that run, by layer and task."""


@MODELS.register_module()
class SupergraphEncoder(SearchableEncoder):
    """K parallel candidates of every layer; each task mixes them by its routing weights.

    Bruggemann et al., "Automated Search for Resource-Efficient Branched Multi-Task Networks",
    BMVC 2020. The norm at a candidate's end has no scale and shift and dropout is off, so that the
    mixing weights alone decide how much of a candidate is seen; layers that end without a norm are
    named in the log.

    A candidate runs only for non-zero weights, and once for all tasks that bring the same input:
    in the first layer always, later while the tasks have made the same one-hot choices.

    Args:
        backbone: Template or its config.
        tasks: T task names.
        num_candidates: K, by default T.

    Attributes:
        alpha: Architecture logits (L, T, K), zeros at first.
    """

    def __init__(
        self,
        backbone: LayeredBackbone | Mapping[str, Any],
        tasks: Sequence[str],
        num_candidates: int | None = None,
    ) -> None:
        backbone = build_backbone(backbone)
        super().__init__(tasks, **backbone.features)
        self.low_level_index = backbone.low_level_index
        self.num_candidates = len(self.tasks) if num_candidates is None else num_candidates
        if self.num_candidates < 1:
            raise ValueError(f'num_candidates must be positive, got {num_candidates}')
        if self.num_candidates == 1 and len(self.tasks) > 1:
            warnings.warn(
                'model.encoder.num_candidates: 1 leaves nothing to choose, all tasks share all '
                'layers; leave it out for one candidate for each task',
                stacklevel=2,
            )
        self.stem = backbone.copy_stem()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                backbone.copy_layer(index, last_affine=False, dropout=0.0)
                for _ in range(self.num_candidates)
            )
            for index in range(backbone.num_layers)
        )
        kept = [name for name, x in zip(self.layer_names, self.layers) if keeps_scale(x[0])]
        if kept:
            print_log(
                f'supergraph: {len(kept)} layers (the first is {kept[0]}) end without a norm; '
                'their candidates keep scales of their own',
                'current',
                logging.WARNING,
            )
        shape = (backbone.num_layers, len(self.tasks), self.num_candidates)
        self.alpha = nn.Parameter(torch.zeros(shape))
        self._kept: list[tuple[Tensor, Outputs]] | None = None
        self._read: tuple[Tensor, int, Needed] | None = None

    def forward(
        self,
        images: Tensor,
        tasks: Sequence[str],
        weights: Tensor | None = None,
        needed: Needed | None = None,
    ) -> Features:
        """Encode images for the named tasks.

        Args:
            images: (N, 3, H, W).
            tasks: Names of the tasks to run.
            weights: (L, T, K) mixing weights for all T tasks, see ``sample_weights`` and
                ``warmup_weights``; None takes the largest logit of each row. Gradients reach
                the logits through them.
            needed: The candidates that run where that is known; reading it off the weights waits
                for a GPU.

        Raises:
            ValueError: Weights of another shape, or a row of zeros.
        """
        rows = self.task_indices(tasks)
        if weights is None:
            weights = self._one_hot(self.routes())
        if needed is None:
            needed = self._needed(weights)
        x, first = self._start(images)
        current, low = [x] * len(rows), [x] * len(rows)
        for index, candidates in enumerate(self.layers):
            outputs: Outputs = first if index == 0 else {}
            current = [
                self._run_row(x, candidates, weights[index, row], needed[index][row], outputs)
                for x, row in zip(current, rows)
            ]
            if index == self.low_level_index:
                low = current
        return {task: (deep, tap) for task, deep, tap in zip(tasks, current, low)}

    @contextmanager
    def same_images(self) -> Iterator[None]:
        """Keep the stem's output and the first layer's candidates, which alpha cannot change."""
        self._kept = []
        try:
            yield
        finally:
            self._kept = None

    def alike(self) -> nn.Module:
        """The stem and the first layer's candidates."""
        return nn.ModuleList([self.stem, self.layers[0]])

    def _start(self, images: Tensor) -> tuple[Tensor, Outputs]:
        """The stem's output and what the first layer has run for it so far."""
        if self._kept is None:
            return self.stem(images), {}
        if not self._kept:
            self._kept.append((self.stem(images), {}))
        return self._kept[0]

    @staticmethod
    def _run_row(
        x: Tensor,
        candidates: nn.ModuleList,
        weights: Tensor,
        needed: Sequence[int],
        outputs: Outputs,
    ) -> Tensor:
        """Output of one layer for one task; ``outputs`` holds what this layer has run so far."""
        for k in needed:
            # the caller keeps x alive while the layer runs, so that its id is its own
            if (id(x), k) not in outputs:
                outputs[id(x), k] = candidates[k](x)
        found = [outputs[id(x), k] for k in needed]
        if len(needed) == 1 and not weights.requires_grad:
            return found[0]
        if len(needed) < len(weights):
            # not by an index, which would travel to the GPU
            weights = torch.stack([weights[k] for k in needed])
        return mix(found, weights)

    def work(self, tasks: Sequence[str], weights: Tensor | None = None) -> Work | None:
        """The candidates of these tasks."""
        if weights is None:
            return None
        needed, rows = self._needed(weights), self.task_indices(tasks)
        own = tuple(tuple(x if i in rows else () for i, x in enumerate(y)) for y in needed)
        return (('needed', own),)

    def _needed(self, weights: Tensor) -> Needed:
        """Candidates with a non-zero weight, by layer and task."""
        # the tasks of an update come in turn with the same weights, and reading waits for a GPU
        if self._read and self._read[0] is weights and self._read[1] == weights._version:
            return self._read[2]
        if weights.shape != self.alpha.shape:
            raise ValueError(
                f'supergraph: weights are {tuple(weights.shape)}, '
                f'expected (layers, tasks, candidates) = {tuple(self.alpha.shape)}'
            )
        used = (weights.detach() != 0).tolist()
        needed = tuple(
            tuple(tuple(k for k, use in enumerate(row) if use) for row in layer) for layer in used
        )
        if not all(row for layer in needed for row in layer):
            raise ValueError('supergraph: a task has no candidate with a weight in some layer')
        if not weights.is_inference() and weights.grad_fn is None:  # which would be kept alive
            self._read = weights, weights._version, needed
        return needed

    def sample_weights(
        self,
        temperature: float,
        generator: torch.Generator | None = None,
        hard: bool = False,
        floor: float = 0.0,
        top_k: int | None = None,
    ) -> Tensor:
        """Draw mixing weights (L, T, K) by Gumbel-softmax, one independent row per layer and task.

        With ``hard`` the rows are one-hot and a single candidate runs; the gradient of the
        chosen weight is passed to the logits straight through, the weights of the candidates
        that did not run get none. Soft, candidates with a weight below ``floor`` or beyond the
        largest ``top_k`` do not run either.
        """
        return gumbel_softmax(self.alpha, temperature, generator, hard, floor, top_k)

    def warmup_weights(self) -> Tensor:
        """One-hot weights (L, T, K): task t on candidate t (modulo K)."""
        own = torch.arange(len(self.tasks)) % self.num_candidates
        return self._one_hot(own.expand(self.num_layers, -1))

    def routes(self) -> Tensor:
        """Candidate with the largest logit, the first of equals: (L, T) integers on the CPU."""
        # numpy documents which of equal entries it returns, torch does not
        return torch.from_numpy(self.alpha.detach().float().cpu().numpy().argmax(-1))

    def _one_hot(self, routes: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(routes, self.num_candidates)
        return one_hot.to(device=self.alpha.device, dtype=self.alpha.dtype)

    def parts(self) -> list[Part]:
        """All share the stem; whose a candidate is, is not decided yet."""
        candidates = [
            self.part(f'layers.{index}.{k}', index)
            for index in range(self.num_layers)
            for k in range(self.num_candidates)
        ]
        return [self.part('stem', STEM, self.tasks), *candidates]

    @classmethod
    def config_of_tree(cls, cfg: Mapping[str, Any], routes: Any) -> dict[str, Any]:
        """The branched network of the same backbone."""
        return dict(type='BranchedEncoder', backbone=cfg['backbone'], routes=routes)
