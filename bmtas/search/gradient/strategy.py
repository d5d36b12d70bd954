"""The search of BMTAS: alpha and weights of a supergraph by gradients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from bmtas.branching import MAX_ITEMS, BranchingTree
from bmtas.engine import LogLosses, MultiTaskRunner, build_runner
from bmtas.models.encoders import encoder_class
from bmtas.registry import HOOKS, STRATEGIES
from bmtas.resources import ResourceTable, unit_named
from bmtas.search.context import PICTURES, SearchContext, SearchResult, Strategy
from bmtas.search.gradient.decoding import risk_front
from bmtas.search.gradient.history import HISTORY, read_history
from bmtas.search.gradient.hooks import (
    GumbelTemperatureHook,
    ResetOptimizerStateHook,
    mean_sharing,
)
from bmtas.search.gradient.log import BranchingLogHook, SaveBranchingHook, argmax_tree
from bmtas.search.gradient.resource_loss import ResourceLoss
from bmtas.typed import ArgumentsOf, Count, Fraction, Natural, NonNegative, Range
from bmtas.visualization import draw_affinity, draw_alpha, draw_curves

Options = Mapping[str, Any] | None


@STRATEGIES.register_module()
class GradientSearch(Strategy):
    """Branched Multi-Task Architecture Search by Bruggemann et al., BMVC 2020.

    Trains a supergraph (``SupergraphEncoder``): warm-up, then cycles of alpha updates and weight
    updates on disjoint parts of the training data, with an annealed Gumbel temperature and a
    resource term. Without any argument it is the search of the paper for PASCAL-Context.

    Args:
        warmup_updates, weight_updates, alpha_phase, weight_phase: See ``SearchSchedule``; phases
            are one pass over their part of the data by default.
        alpha_fraction, joint, hard, skip_below, top_k, alpha_init_std: See
            ``BranchingSearchLoop``.
        resource_loss: Arguments of ``ResourceLoss``: ``weight`` is lambda, which with ``follow``
            follows the budget.
        temperature: Arguments of ``GumbelTemperatureHook``.
        reset_batch_norm: Whether ``ResetBatchNormHook`` acts.
        reset_optimizer: Arguments of ``ResetOptimizerStateHook``.
        log: Arguments of ``BranchingLogHook``.
        save: Arguments of ``SaveBranchingHook``.
        log_losses: See ``BranchingSearchLoop``. lambda is then free of units: 1 means that twice
            the shared network's cost must buy 1/T relative loss in every task.
        average: See ``MemoryHook``.
        decode: How the tree is read from alpha: 'argmax' takes every task's largest logit (paper)
            and meets no budget; 'risk' takes the tree of the least expected number of wrong
            decisions about pairs of tasks within the budget, see ``risk_front``. By default 'risk'
            with a budget, 'argmax' without. The best trees for all budgets are found in any case.
        val_interval, val_begin: See ``UpdateLoop``; a search validates if the config has a
            ``val_cfg``.

    A hook of one of these types in the config's ``custom_hooks`` replaces the strategy's own.
    """

    distributed = True
    builds_runner = True

    def __init__(
        self,
        warmup_updates: Natural = 2000,
        weight_updates: Natural = 40000,
        alpha_phase: Count | None = None,
        weight_phase: Count | None = None,
        alpha_fraction: Annotated[float, Range(0, 1, open=True)] = 0.2,
        joint: bool = False,
        hard: Literal[False, True, 'weights'] = False,
        skip_below: Fraction = 0.0,
        top_k: Count | None = None,
        alpha_init_std: NonNegative = 1e-3,
        resource_loss: Annotated[Options, ArgumentsOf(ResourceLoss)] = None,
        temperature: Annotated[Options, ArgumentsOf(GumbelTemperatureHook)] = None,
        reset_batch_norm: bool = True,
        reset_optimizer: Annotated[Options, ArgumentsOf(ResetOptimizerStateHook)] = None,
        log: Annotated[Options, ArgumentsOf(BranchingLogHook)] = None,
        save: Annotated[Options, ArgumentsOf(SaveBranchingHook)] = None,
        log_losses: LogLosses = False,
        average: Fraction = 1 / 3,
        decode: Literal['argmax', 'risk'] | None = None,
        val_interval: Count = 1000,
        val_begin: Natural = 1,
    ) -> None:
        if log_losses:
            resource_loss = {'unit': 'shared', **(resource_loss or {})}
        self.loop = dict(
            type='BranchingSearchLoop',
            warmup_updates=warmup_updates,
            weight_updates=weight_updates,
            alpha_phase=alpha_phase,
            weight_phase=weight_phase,
            alpha_fraction=alpha_fraction,
            joint=joint,
            hard=hard,
            skip_below=skip_below,
            top_k=top_k,
            alpha_init_std=alpha_init_std,
            resource_loss=dict(resource_loss or {}),
            log_losses=log_losses,
            val_interval=val_interval,
            val_begin=val_begin,
        )
        self.decode = decode
        hooks = dict(
            GumbelTemperatureHook=temperature,
            ResetBatchNormHook=None,
            ResetOptimizerStateHook=reset_optimizer,
            BranchingLogHook=log,
            SaveBranchingHook=save,
            MemoryHook=dict(average=average),
        )
        if not reset_batch_norm:
            del hooks['ResetBatchNormHook']
        self.hooks: dict[str, Hook] = {
            name: HOOKS.get(name)(**(arguments or {})) for name, arguments in hooks.items()
        }

    def runner(self, context: SearchContext) -> MultiTaskRunner:
        """The runner of the search.

        Raises:
            ValueError: The config's encoder is no supergraph.
        """
        cfg = context.cfg
        encoder = cfg.model.get('encoder') or {}
        if not encoder_class(encoder).searchable:
            raise ValueError(
                f'{cfg.filename}: model.encoder.type: a search by gradients needs a '
                f'SupergraphEncoder, not {encoder.get("type")}'
            )
        cfg.train_cfg = self.loop
        runner = build_runner(cfg, 'train')  # looks at the data before anything is counted
        runner.loop_arguments = dict(table=context.table, budget=context.budget)
        given = {str(hook.get('type')) for hook in cfg.get('custom_hooks') or ()}
        for name, hook in self.hooks.items():
            if name not in given:
                runner.register_hook(hook)
        return runner

    def run(self, context: SearchContext) -> SearchResult:
        """Search; resumes from the newest checkpoint of the work dir if the config says so."""
        if context.budget is not None and self.decode == 'argmax':
            raise ValueError("search.decode: 'argmax' meets no budget; leave it out or the budget")
        runner = self.runner(context)
        runner.train()
        shared = mean_sharing(runner.train_loop, runner.model).numpy()
        if len(context.names) > MAX_ITEMS:
            context.log(f'{len(context.names)} tasks: the best trees are found by beam search')
        front = risk_front(shared, context.table)
        if self.decode == 'risk' or context.budget is not None:
            tree = front.trees[front.best(context.budget)]
        else:
            tree = argmax_tree(runner.model)
        if is_main_process():
            alpha = runner.model.encoder.alpha.detach().cpu()
            pictures = draw_search(context.work_dir, tree, context.table, alpha, shared)
            context.log(f'drawn: {", ".join(map(str, pictures))}')
        report = dict(spent=dict(updates=runner.train_loop.max_iters))
        return SearchResult(tree, tree.cost(context.table), front, report)


def history_curves(rows: list[dict[str, Any]]) -> dict[str, list]:
    """Rows of a history file as the lists that ``draw_curves`` takes."""
    keys = ('update', 'cost_exact', 'cost_sampled', 'cost_paper', 'cost_tree', 'tau')
    curves = {key: [row.get(key) for row in rows] for key in keys if any(key in r for r in rows)}
    names = [
        {k: v for k, v in row['losses'].items() if k.startswith('loss_') and k != 'loss_resource'}
        for row in rows
    ]
    return dict(curves, losses=names)


def draw_search(
    work_dir: Path,
    tree: BranchingTree,
    table: ResourceTable,
    alpha: torch.Tensor,
    shared: np.ndarray,
) -> list[Path]:
    """Draw what a finished search knows into the work dir; returns the files.

    Args:
        work_dir: Holds the history.
        tree: The tree that was found.
        table: Costs of the layers.
        alpha: (L, T, K) logits.
        shared: (L, T, T) probability that two tasks share a layer.
    """
    folder = work_dir / PICTURES
    unit = unit_named(table.unit)
    probabilities = alpha.double().softmax(-1).numpy()
    pictures = [
        draw_alpha(probabilities, tree.tasks, tree.layers, folder / 'alpha.png'),
        draw_affinity(
            shared, tree.tasks, tree.layers, folder / 'pairs.png', tree, 'probability of sharing'
        ),
    ]
    rows = read_history(work_dir / HISTORY) if (work_dir / HISTORY).is_file() else []
    if rows:
        curves = history_curves(rows)
        extremes = dict(shared=table.shared / unit.scale, separate=table.separate / unit.scale)
        pictures.append(draw_curves(curves, folder / 'curves.png', unit.label, **extremes))
    return pictures
