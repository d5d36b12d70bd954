"""Write the tree that a search has found so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook

from bmtas.engine.dist import unwrap
from bmtas.engine.hooks.branching_log_hook import argmax_tree
from bmtas.files import write_json
from bmtas.registry import HOOKS

BRANCHING, ALPHA = 'branching.json', 'alpha.json'


@HOOKS.register_module()
class SaveBranchingHook(Hook):
    """Writes the argmax tree to ``branching.json`` and alpha to ``alpha.json`` in the work dir.

    Acts after an update and at the end of the run, on the main process. A file is replaced whole.

    Args:
        interval: Updates between two writings; 0 writes at the end only.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000) -> None:
        self.interval = interval

    @master_only
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write on schedule."""
        if self.every_n_train_iters(runner, self.interval):
            self._save(runner, runner.iter + 1)

    @master_only
    def after_train(self, runner: Any) -> None:
        """Write the result."""
        self._save(runner, runner.iter)

    def _save(self, runner: Any, updates: int) -> None:
        encoder = unwrap(runner.model).encoder
        folder = Path(runner.work_dir)
        argmax_tree(runner.model).to_file(folder / BRANCHING, runner.train_loop.table)
        content = dict(
            updates=updates,
            tasks=encoder.tasks,
            layers=encoder.layer_names,
            alpha=encoder.alpha.detach().cpu().tolist(),
        )
        write_json(folder / ALPHA, content, indent=None)
