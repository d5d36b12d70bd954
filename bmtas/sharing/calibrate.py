"""Thresholds for a share of reused entries, a budget, or a largest loss of score.

Operators are calibrated in the order in which they run, each behind the thresholds of those before
it: one forward pass over the images sets them all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from bmtas.engine import build_runner, require, trained_model, unwrap
from bmtas.models.encoders import encoder_class
from bmtas.registry import DATASETS
from bmtas.sharing.accounting import head_costs, latencies, place_costs, total_madds
from bmtas.sharing.encoder import DeltaEncoder
from bmtas.sharing.meter import Meter
from bmtas.sharing.thresholds import TEMPORAL, Thresholds

STEPS = 7
"""Halvings of the share in a search for a budget or a loss: to 1/128."""


class Calibrator(Thresholds):
    """Thresholds that set themselves so that a share of an operator's entries is reused.

    Args:
        shares: By task.
        rows: Whether entries are rows.
        fixed: Thresholds that are known already, kind -> task -> operator -> value.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        rows: bool,
        fixed: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
    ) -> None:
        super().__init__({kind: dict(tasks) for kind, tasks in (fixed or {}).items()}, rows)
        self.shares = shares

    def tau(self, kind: str, task: str, op: str) -> float | Callable[[Tensor], float]:
        """The known threshold, or a function that sets it from the differences' sizes."""
        known = self.values.setdefault(kind, {}).setdefault(task, {})
        if op in known:
            return known[op]

        def choose(size: Tensor) -> float:
            known[op] = quantile(size, self.shares[task])
            return known[op]

        return choose


def quantile(size: Tensor, share: float) -> float:
    """The threshold below which this share of the entries lies."""
    flat = size.flatten().float()
    below = round(share * flat.numel())
    if below >= flat.numel():
        top = flat.max()
        return float(torch.nextafter(top, torch.full_like(top, torch.inf)))
    return float(flat.kthvalue(below + 1).values)


@torch.no_grad()
def thresholds_for(
    encoder: DeltaEncoder, frames: list[Tensor], shares: Mapping[str, float]
) -> tuple[Thresholds, Meter]:
    """Thresholds at which these shares are reused, and what the images then cost.

    Args:
        encoder: In evaluation mode; its own thresholds are set aside.
        frames: Images (N, 3, H, W); further ones are the next frames of the same clips.
        shares: Share that is reused, by task.
    """
    calibrator, meter, own = Calibrator(shares, encoder.rows), Meter(), encoder.thresholds
    encoder.thresholds, encoder.meter = calibrator, meter
    try:
        encoder(frames[0], encoder.tasks)
        encoder.meter = None
        if len(frames) > 1:
            # a key frame and those after it: what is left are the thresholds in time
            video = encoder.new_video()
            video.interval = len(frames)
            for images in frames:
                encoder(images, encoder.tasks, video=video)
    finally:
        encoder.thresholds, encoder.meter = own, None
    return Thresholds(calibrator.values, encoder.rows), meter


def bisect(fits: Callable[[float], bool]) -> float:
    """The largest share that fits, to 1 / 2^STEPS; 0 if none does."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def load_network(cfg: Config, checkpoint: str) -> Any:
    """The network of a checkpoint, ready to predict.

    Raises:
        ValueError: It is of another network.
    """
    cfg.model.encoder.thresholds = None
    model = trained_model(cfg, checkpoint)
    if not model.encoder.sub_tasks or model.encoder.base_task not in model.encoder.tasks:
        raise ValueError(f'checkpoint {checkpoint}: no base with sub-tasks; take network.pth')
    return model.eval()


def images_of(cfg: Config, model: Any, split: str, count: int) -> list[Tensor]:
    """Images spread over a split; where the network has video options and the data set clips,
    the first two frames of as many clips."""
    dataset = DATASETS.build(dict(cfg[f'{split}_dataloader']['dataset']))
    length = getattr(dataset, 'clip', 1) or 1
    steps = 2 if cfg.model.encoder.get('video') and length > 1 else 1
    clips = len(dataset) // length
    first = [number * clips // min(count, clips) * length for number in range(min(count, clips))]
    return [
        model.data_preprocessor(
            dict(inputs=[dataset[index + step]['inputs'] for index in first], data_samples=None),
            False,
        )['inputs']
        for step in range(steps)
    ]


def calibrate(
    cfg: Config,
    checkpoint: str,
    goal: str,
    value: float,
    split: str = 'val',
    count: int = 64,
) -> tuple[Thresholds, dict[str, Any]]:
    """Find thresholds for a trained network.

    Args:
        cfg: A complete config.
        checkpoint: ``network.pth``.
        goal: ``elements`` or ``rows``: the share of entries that is reused; ``budget``: largest
            share of the separate networks' multiply-adds (executed ones with rows, else
            effective); ``drop``: largest loss of a sub-task's score in percent, on the split.
        value: The goal's number.
        split, count: Images that are used.

    Returns:
        Thresholds, and what is written beside them.
    """
    if goal != 'drop' and not 0 <= value <= 1 or value < 0:
        raise ValueError(f'--{goal}: must be in 0 to 1, got {value:g}')
    if goal == 'drop' and split == 'train':
        raise ValueError('--drop: scores are taken on a split that ends; --split val or test')
    require(cfg, 'model', 'tasks', 'input_size', f'{split}_dataloader')
    if not issubclass(encoder_class(cfg.model.encoder), DeltaEncoder):
        raise ValueError(
            f'{cfg.filename}: model.encoder.type: {cfg.model.encoder.type} has no thresholds; '
            'calibrate needs a DeltaEncoder'
        )
    if goal in ('elements', 'rows'):
        cfg.model.encoder.rows = goal == 'rows'
    model = load_network(cfg, checkpoint)
    encoder, frames = model.encoder, images_of(cfg, model, split, count)
    if goal == 'drop':
        shares = _shares_for_drop(cfg, checkpoint, model, frames, value, split)
    elif goal == 'budget':
        shares = _shares_for_budget(cfg, model, frames, value)
    else:
        shares = dict.fromkeys(encoder.tasks, value)
    found, meter = thresholds_for(encoder, frames, shares)
    found.network = model.network
    if len(frames) == 1:
        found.values.pop(TEMPORAL, None)
    heads, costs = head_costs(model, cfg.input_size), place_costs(encoder, cfg.input_size)
    totals = total_madds(encoder, meter, heads, costs)
    facts = dict(goal=goal, value=value, split=split, images=len(frames[0]))
    encoder.thresholds = found
    return found, dict(facts, shares=shares, madds=totals, latency_ms=latencies(model, frames[0]))


def _shares_for_budget(
    cfg: Config, model: Any, frames: list[Tensor], budget: float
) -> dict[str, float]:
    encoder, heads = model.encoder, head_costs(model, cfg.input_size)
    costs = place_costs(encoder, cfg.input_size)
    kind = 'executed' if encoder.rows else 'effective'

    def cost(share: float) -> float:
        shares = dict.fromkeys(encoder.tasks, share)
        meter = thresholds_for(encoder, frames[:1], shares)[1]
        totals = total_madds(encoder, meter, heads, costs)
        return totals[kind] / totals['dense']

    # the budget holds, so the share is the smallest that meets it
    least = cost(1.0)
    if least > budget:
        raise ValueError(
            f'--budget: {budget:g} of the separate networks cannot be had, the least is {least:.3f}'
        )
    share = 1 - bisect(lambda kept: cost(1 - kept) <= budget)
    return dict.fromkeys(encoder.tasks, share)


def _shares_for_drop(
    cfg: Config, checkpoint: str, model: Any, frames: list[Tensor], drop: float, split: str
) -> dict[str, float]:
    """Bisection of all tasks at once: a sub-task's score depends on its own thresholds only."""
    own = copy.deepcopy(cfg)
    own.test_dataloader, own.load_from = own[f'{split}_dataloader'], str(checkpoint)
    own.test_evaluator, own.test_cfg = own[f'{split}_evaluator'], dict(type='TestLoop')
    own.experiment_name = 'calibration'
    runner = build_runner(own, 'test')
    runner.call_hook('before_run')
    runner.load_or_resume()
    tested = unwrap(runner.model)

    def scores(found: Thresholds | None) -> dict[str, float]:
        tested.encoder.thresholds = found
        metrics = runner.test_loop.run()
        return {task.name: metrics[f'{task.name}/{task.score}'] for task in tested.tasks}

    best, tasks = scores(None), {task.name: task for task in tested.tasks}
    low = dict.fromkeys(model.encoder.sub_tasks, 0.0)
    high = dict.fromkeys(low, 1.0)
    for _ in range(STEPS):
        middle = {name: (low[name] + high[name]) / 2 for name in low}
        found = scores(thresholds_for(model.encoder, frames[:1], middle)[0])
        for name in low:
            sign = 1 if tasks[name].higher_is_better else -1
            # of a score of zero nothing can be lost
            loss = 100 * sign * (best[name] - found[name]) / (abs(best[name]) or 1.0)
            (low if loss <= drop else high)[name] = middle[name]
    return {model.encoder.base_task: min(low.values()), **low}
