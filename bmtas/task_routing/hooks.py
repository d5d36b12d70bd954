"""Hooks of routed networks: their mask file, and masks that roam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from bmtas.engine import position_rng, unwrap
from bmtas.registry import HOOKS
from bmtas.task_routing.mask_table import MaskTable
from bmtas.task_routing.picture import draw_masks
from bmtas.task_routing.routed import RoutedEncoder

MASKS = 'masks.json'
ROAMING = 72
"""Purpose of the random numbers, see ``bmtas.engine.seeding``."""


def _encoder(runner: Any) -> RoutedEncoder:
    encoder = unwrap(runner.model).encoder
    if not isinstance(encoder, RoutedEncoder):
        raise ValueError(
            f'custom_hooks: masks are those of a RoutedEncoder, not of {type(encoder).__name__}; '
            'leave out MaskFileHook and RoamingHook'
        )
    return encoder


@HOOKS.register_module()
class MaskFileHook(Hook):
    """Writes the masks of a routed network into the work dir, as a file and as a picture.

    Acts before the first update, after what a checkpoint may have brought, and once more at the
    end. A mask file of other tasks, layers, scheme or seed in the work dir stops the run.
    """

    priority = 'LOW'

    def before_train(self, runner: Any) -> None:
        """Compare with what stands there, and write."""
        path = Path(runner.work_dir) / MASKS
        masks = _encoder(runner).masks
        if runner._resume and path.is_file():
            difference = MaskTable.from_file(path).difference(masks, rows=False)
            if difference:
                raise ValueError(
                    f'{path}: the run was started with other masks ({difference}); resume with the '
                    'same scheme and seed, or choose another work dir'
                )
        self._write(runner, masks)
        found = masks.statistics().values()
        means = {key: np.mean([row[key] for row in found]) for key in ('both', 'jaccard', 'dead')}
        runner.logger.info(
            f'masks: {len(masks.layers)} layers, {100 * masks.keep_ratio:.0f} % kept; of two tasks '
            f'{100 * means["both"]:.0f} % of the channels are common (Jaccard '
            f'{means["jaccard"]:.2f}), {100 * means["dead"]:.0f} % used by nobody'
        )

    def after_train(self, runner: Any) -> None:
        """Write the masks that the run ended with."""
        self._write(runner, _encoder(runner).masks)

    def _write(self, runner: Any, masks: MaskTable) -> None:
        if is_main_process():
            masks.to_file(Path(runner.work_dir) / MASKS)
            draw_masks(masks, Path(runner.work_dir) / 'masks.png')


@HOOKS.register_module()
class RoamingHook(Hook):
    """Moves the masks during training, as Maximum Roaming does.

    Every ``interval`` updates, in each layer and for each task: one unit that the task has never
    used is taken in and one of those that it uses is dropped, both at random. A layer stops after
    round(ratio * (C - kept)) moves, or when some task has seen every unit. Pascal et al., AAAI
    2021; there the interval is a tenth of an epoch.

    Acts after an update; what it draws is a function of (seed, update, layer). The units that were
    seen are kept in checkpoints, so a resumed run moves as the uninterrupted one.

    Args:
        interval: Updates between two moves.
        ratio: Share of the units outside a task's mask that it comes to see.

    Raises:
        ValueError: A value out of range.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int, ratio: float = 1.0) -> None:
        if interval < 1:
            raise ValueError(f'RoamingHook: interval must be at least 1, got {interval}')
        if not 0 < ratio <= 1:
            raise ValueError(f'RoamingHook: ratio must lie in (0, 1], got {ratio}')
        self.interval, self.ratio = interval, ratio
        self.seen: dict[str, np.ndarray] = {}
        self.moves: dict[str, int] = {}

    def before_train(self, runner: Any) -> None:
        """Begin with the masks as they are."""
        if not self.seen:
            layers = _encoder(runner).masks.layers
            self.seen = {name: mask.copy() for name, mask in layers.items()}
            self.moves = dict.fromkeys(layers, 0)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move on schedule."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        encoder = _encoder(runner)
        layers = {}
        for index, (name, mask) in enumerate(encoder.masks.layers.items()):
            rng = position_rng(runner.seed or 0, ROAMING, runner.iter, index)
            layers[name] = self._move(name, mask.copy(), rng)
        encoder.set_masks(replace(encoder.masks, layers=layers))

    def _move(self, name: str, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen = self.seen[name]
        limit = round(self.ratio * int((~mask).sum(1).min()))
        if self.moves[name] >= limit or seen.all(1).any():
            return mask
        for row, known in zip(mask, seen):
            new, old = rng.choice(np.flatnonzero(~known)), rng.choice(np.flatnonzero(row))
            row[new] = known[new] = True
            row[old] = False
        self.moves[name] += 1
        return mask

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add what was seen under ``roaming``."""
        seen = {name: torch.from_numpy(mask) for name, mask in self.seen.items()}
        checkpoint['roaming'] = dict(seen=seen, moves=dict(self.moves))

    def after_load_checkpoint(self, runner: Any, checkpoint: Mapping) -> None:
        """Take it back in a resumed run."""
        if runner._resume and 'roaming' in checkpoint:
            state = checkpoint['roaming']
            self.seen = {name: mask.numpy().copy() for name, mask in state['seen'].items()}
            self.moves = dict(state['moves'])
