"""Report where a search stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.image import imread
from mmengine.dist import master_only
from mmengine.hooks import Hook

from bmtas.branching import BranchingTree
from bmtas.engine.dist import unwrap
from bmtas.engine.history import FILE, append_history, trim_history
from bmtas.registry import HOOKS
from bmtas.visualization import draw_alpha

PAPER_TASKS = 8
"""Largest number of tasks for which the recursion over partitions is logged."""


def argmax_tree(model: Any) -> BranchingTree:
    """The tree of the largest logits of a model with a supergraph."""
    encoder = unwrap(model).encoder
    return BranchingTree.from_routes(encoder.routes().tolist(), encoder.tasks, encoder.layer_names)


def cost_state(loop: Any, model: Any) -> dict[str, float]:
    """Costs of the whole network in the loop's unit: expected (exact, paper) and of the argmax."""
    term, table = loop.resource, loop.table
    alpha = unwrap(model).encoder.alpha.detach()
    fixed = (table.stem + sum(table.heads.values())) / term.scale
    state = {'cost/exact': fixed + float(term.cost(alpha, 'exact'))}
    if alpha.shape[1] <= PAPER_TASKS:
        state['cost/paper'] = fixed + float(term.cost(alpha, 'paper'))
    state['cost/tree'] = argmax_tree(model).cost(table) / term.scale
    return state


@HOOKS.register_module()
class BranchingLogHook(Hook):
    """Logs expected cost (exact and paper form), the argmax tree and its cost, and alpha's entropy.

    Acts after an update, before LoggerHook. Costs are those of the whole network, stem and heads
    included. Each report also becomes a row of ``history.jsonl`` in the work dir: update, phase,
    temperature, costs, mean losses since the last report, groups per layer, probabilities.

    Args:
        interval: Updates between two reports; the last update always makes one.
        heat_maps: Updates between two heat maps of softmax(alpha), ``vis/alpha/<update>.png``; 0
            for none. tools/search.py draws the last one in any case.
    """

    def __init__(self, interval: int = 50, heat_maps: int = 0) -> None:
        self.interval = interval
        self.heat_maps = heat_maps

    def before_train(self, runner: Any) -> None:
        """Continue the history of the run that is resumed, or start a new one."""
        runner.message_hub.update_info('cost_unit', runner.train_loop.resource.unit_name)
        self._trim(runner)

    @master_only
    def _trim(self, runner: Any) -> None:
        trim_history(Path(runner.work_dir) / FILE, runner.iter)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Name the phase for the log line."""
        runner.message_hub.update_info('phase', runner.train_loop.schedule.phase(runner.iter))

    @master_only
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Report every ``interval`` updates, draw alpha every ``heat_maps`` updates."""
        if self.every_n_train_iters(runner, self.heat_maps):
            self._draw_alpha(runner)
        if not (self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)):
            return
        state = cost_state(runner.train_loop, runner.model)
        for key, value in state.items():
            runner.message_hub.update_scalar(f'train/{key}', value)
        self._write_row(runner, state, outputs or {})

    def _draw_alpha(self, runner: Any) -> None:
        encoder = unwrap(runner.model).encoder
        update = runner.iter + 1
        path = Path(runner.work_dir) / 'vis' / 'alpha' / f'{update:06d}.png'
        probabilities = torch.softmax(encoder.alpha.detach().double(), -1).cpu().numpy()
        draw_alpha(probabilities, encoder.tasks, encoder.layer_names, path)
        # to the log's back-ends, e.g. TensorBoard
        pixels = (imread(path)[..., :3] * 255).round().astype('uint8')
        runner.visualizer.add_image('alpha', pixels, step=update)

    def _write_row(self, runner: Any, state: dict[str, float], outputs: dict[str, Any]) -> None:
        hub, loop = runner.message_hub, runner.train_loop
        alpha = unwrap(runner.model).encoder.alpha.detach()
        losses = {key: float(hub.get_scalar(f'train/{key}').mean(self.interval)) for key in outputs}
        probabilities = torch.softmax(alpha.double(), -1).cpu()
        entropy = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(-1).mean(-1)
        row = dict(
            update=runner.iter,
            phase=loop.schedule.phase(runner.iter),
            tau=loop.temperature,
            **{key.replace('/', '_'): value for key, value in state.items()},
            losses=losses,
            groups=argmax_tree(runner.model).num_groups,
            entropy=[round(value, 6) for value in entropy.tolist()],
        )
        append_history(Path(runner.work_dir) / FILE, row)
