"""Report where a gradient search stands, and write what it has found so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.image import imread
from mmengine.dist import master_only
from mmengine.hooks import Hook

from bmtas.branching import BranchingTree
from bmtas.engine import unwrap
from bmtas.files import write_json
from bmtas.registry import HOOKS
from bmtas.search.context import BRANCHING
from bmtas.search.gradient.history import HISTORY, append_history, trim_history
from bmtas.search.gradient.hooks import SearchState, mean_sharing, search_state
from bmtas.search.gradient.resource_loss import EXACT_TASKS
from bmtas.visualization import draw_alpha

ALPHA_FILE = 'alpha.json'
ROWS = 'history_rows'
"""In the message hub: rows of the history that the run has written."""
PAPER_TASKS = 8
"""Largest number of tasks for which the recursion over partitions is logged."""


def argmax_tree(model: Any) -> BranchingTree:
    """The tree of the largest logits of a model with a supergraph."""
    encoder = unwrap(model).encoder
    return BranchingTree.from_routes(encoder.routes().tolist(), encoder.tasks, encoder.layer_names)


def cost_state(loop: SearchState, model: Any, update: int = 0) -> dict[str, float]:
    """Costs of the whole network in the loop's unit: expected (exact, paper) and of the argmax.

    With more than ``EXACT_TASKS`` tasks the expected cost is an estimate, key ``cost/sampled``;
    its draws follow from ``update``.
    """
    term = loop.resource
    table, alpha = term.table, unwrap(model).encoder.alpha.detach()
    mode = 'exact' if alpha.shape[1] <= EXACT_TASKS else 'sampled'
    generator = torch.Generator(alpha.device).manual_seed(update)
    state = {f'cost/{mode}': term.whole(alpha, generator)}
    if alpha.shape[1] <= PAPER_TASKS:
        fixed = (table.stem + sum(table.heads.values())) / term.scale
        state['cost/paper'] = fixed + float(term.cost(alpha, 'paper'))
    state['cost/tree'] = argmax_tree(model).cost(table) / term.scale
    return state


@HOOKS.register_module()
class BranchingLogHook(Hook):
    """Logs expected cost (exact and paper form), the argmax tree and its cost, and alpha's entropy.

    Acts after an update, before LoggerHook. Costs are those of the whole network, stem and heads
    included. Each report also becomes a row of ``history.jsonl`` in the work dir: update, phase,
    temperature, costs, mean losses since the last report, groups per layer, routes of the
    argmax, probabilities.

    Args:
        interval: Updates between two reports; the last update always makes one.
        heat_maps: Updates between two heat maps of softmax(alpha), ``vis/alpha/<update>.png``; 0
            for none. A finished search draws the last one in any case.
    """

    def __init__(self, interval: int = 50, heat_maps: int = 5000) -> None:
        self.interval = interval
        self.heat_maps = heat_maps

    def before_train(self, runner: Any) -> None:
        """Continue the history of the run that is resumed, or start a new one."""
        runner.message_hub.update_info('cost_unit', search_state(runner).resource.unit_name)
        self._trim(runner)

    @master_only
    def _trim(self, runner: Any) -> None:
        path = Path(runner.work_dir) / HISTORY
        found, written = trim_history(path, runner.iter), runner.message_hub.get_info(ROWS, 0)
        if found < written:
            runner.logger.warning(
                f'{path} is missing or cut: {written - found} of {written} rows on the course of '
                'earlier updates are lost'
            )

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Name the phase for the log line."""
        loop = search_state(runner)
        runner.message_hub.update_info('phase', loop.schedule.phase(loop.iter))

    @master_only
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Report every ``interval`` updates, draw alpha every ``heat_maps`` updates."""
        if self.every_n_train_iters(runner, self.heat_maps):
            self._draw_alpha(runner)
        if not (self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)):
            return
        state = cost_state(search_state(runner), runner.model, runner.iter)
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
        hub, loop = runner.message_hub, search_state(runner)
        alpha = unwrap(runner.model).encoder.alpha.detach()
        losses = {key: float(hub.get_scalar(f'train/{key}').mean(self.interval)) for key in outputs}
        probabilities = torch.softmax(alpha.double(), -1).cpu()
        entropy = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(-1).mean(-1)
        tree = argmax_tree(runner.model)
        row = dict(
            update=loop.iter,
            phase=loop.schedule.phase(loop.iter),
            tau=loop.temperature,
            **{key.replace('/', '_'): value for key, value in state.items()},
            losses=losses,
            groups=tree.num_groups,
            routes=tree.routes.tolist(),
            probabilities=[[[round(p, 3) for p in r] for r in t] for t in probabilities.tolist()],
            entropy=[round(value, 6) for value in entropy.tolist()],
        )
        append_history(Path(runner.work_dir) / HISTORY, row)
        hub.update_info(ROWS, hub.get_info(ROWS, 0) + 1)


@HOOKS.register_module()
class SaveBranchingHook(Hook):
    """Writes the argmax tree to ``branching.json`` and alpha to ``alpha.json`` in the work dir.

    ``alpha.json`` holds the logits (L, T, K) and, as ``shared`` (L, T, T), how probable it is that
    two tasks share a layer, see ``MemoryHook``.

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
        argmax_tree(runner.model).to_file(folder / BRANCHING, search_state(runner).resource.table)
        content = dict(
            updates=updates,
            tasks=encoder.tasks,
            layers=encoder.layer_names,
            alpha=encoder.alpha.detach().cpu().tolist(),
            shared=mean_sharing(search_state(runner), runner.model).tolist(),
        )
        write_json(folder / ALPHA_FILE, content, indent=None)
