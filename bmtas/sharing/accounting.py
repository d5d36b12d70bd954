"""What the tasks cost: weights, activations, multiply-adds, bytes, time."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from bmtas.engine import plain_number
from bmtas.resources import count_madds, measure_latency
from bmtas.sharing.delta_file import sizes
from bmtas.sharing.encoder import DeltaEncoder, Place
from bmtas.sharing.meter import Meter
from bmtas.sharing.ops import OpCount, intercepted, plain

KINDS = ('dense', 'effective', 'executed')
PlaceCosts = tuple[dict[str, dict[str, int]], dict[str, int]]
"""Multiply-adds of one image by place: of each operator, and of all else (scaled dot products)."""


def place_costs(encoder: DeltaEncoder, size: Sequence[int]) -> PlaceCosts:
    """Multiply-adds of the base's network for one image of ``size`` = (H, W)."""
    ops, rest = {}, {}
    x = torch.empty(1, 3, *size, device='meta')
    for place in encoder.places():
        module = copy.deepcopy(place.module).to('meta').eval()
        found = ops.setdefault(place.name, {})

        def count(name: str, op: nn.Module, x: Any, found: dict[str, int] = found) -> Any:
            y = plain(op, x)
            found[name] = y.numel() // op.weight.shape[0] * op.weight.numel()
            return y

        total = count_madds(module, x)
        points = [(name, module.get_submodule(name)) for name, _ in place.ops]
        with torch.no_grad(), intercepted(points, count):
            x = module(x)
        rest[place.name] = total - sum(found.values())
    return ops, rest


def head_costs(model: Any, size: Sequence[int]) -> dict[str, int]:
    """Multiply-adds of each task's head for one image."""
    encoder, x, low = model.encoder, torch.empty(1, 3, *size, device='meta'), None
    for place in encoder.places():
        x = copy.deepcopy(place.module).to('meta').eval()(x).detach()
        low = x if place.index == encoder.low_level_index else low
    heads = {name: copy.deepcopy(head).to('meta') for name, head in model.heads.items()}
    return {name: count_madds(head, x, low) for name, head in heads.items()}


def total_madds(
    encoder: DeltaEncoder,
    meter: Meter,
    heads: Mapping[str, int],
    costs: PlaceCosts,
    task: str | None = None,
) -> dict[str, int]:
    """Multiply-adds for one image, averaged over those that the meter has seen.

    Args:
        encoder: The encoder.
        meter: Its counts, of images of any size.
        heads: Of each task's head.
        costs: Of one network for the image that the numbers are for.
        task: One task's share only; None for the whole network.

    Returns:
        dict(dense, effective, executed): ``dense`` is what separate networks would take.
    """
    ops, rest = costs
    tasks = encoder.tasks if task is None else (task,)
    one = sum(sum(found.values()) + rest[place] for place, found in ops.items())
    totals = dict.fromkeys(KINDS, sum(heads[name] for name in tasks))
    totals['dense'] += len(tasks) * one
    for (owner, place), images in meter.runs.items():
        if task is None or owner == task:
            share = images / meter.images * rest[place]
            totals['effective'] += share
            totals['executed'] += share
    for (owner, place, name), count in meter.ops.items():
        if task is None or owner == task:
            # images of other sizes count by what share of the dense work they took
            scale = meter.runs[owner, place] / meter.images * ops[place][name] / count.dense
            totals['effective'] += scale * count.effective
            totals['executed'] += scale * count.executed
    return {kind: round(value) for kind, value in totals.items()}


def densities(encoder: DeltaEncoder, meter: Meter) -> dict[str, Any]:
    """Shares that are not zero, by task: of weights, and of elements and rows by operator."""
    found: dict[str, Any] = {}
    whole = sum(p.numel() for place in encoder.places() for p in place.module.parameters())
    for task in encoder.sub_tasks:
        stored = sum(delta.nonzero() for _, delta in encoder.deltas[task].deltas())
        by_place: dict[str, OpCount] = {}
        for (owner, place, _), count in meter.ops.items():
            if owner == task and count.elements:
                by_place.setdefault(place, OpCount()).add(count)
        by_op = {
            f'{place}.{name}'.rstrip('.'): _shares(count)
            for (owner, place, name), count in meter.ops.items()
            if owner == task and count.elements
        }
        found[task] = dict(
            weights=stored / whole,
            **_shares(sum_of(by_place.values())),
            by_place={place: _shares(count) for place, count in by_place.items()},
            by_operator=by_op,
        )
    return found


def sum_of(counts: Any) -> OpCount:
    """Sum of counts."""
    total = OpCount()
    for count in counts:
        total.add(count)
    return total


def _shares(count: OpCount) -> dict[str, float | None]:
    """Elements, rows, and elements weighted by the multiply-adds of their operator."""
    if not count.elements:
        return dict(elements=None, rows=None, madds=None)
    return dict(
        elements=count.nonzero / count.elements,
        rows=count.changed / count.rows,
        madds=count.effective / count.dense,
    )


def stored_bytes(encoder: DeltaEncoder) -> dict[str, int]:
    """Bytes of the base's encoder, and of each task's delta in its smallest encoding (fp32)."""
    places: list[Place] = encoder.places()
    found = {encoder.base_task: sum(p.numel() * 4 for q in places for p in q.module.parameters())}
    for task in encoder.sub_tasks:
        total = 0
        for _, delta in encoder.deltas[task].deltas():
            support = getattr(delta, 'support', None)
            if support is None:
                total += 4 * delta.nonzero()
            else:
                total += min(sizes(support.numel(), int(support.sum())).values())
        found[task] = total
    return found


def latencies(model: Any, images: torch.Tensor) -> dict[str, float]:
    """Milliseconds that each task adds for one image on this machine, head included.

    The base task by itself; a sub-task as the time of both less the base's, or by itself where it
    does not look at the base. With one thread on a CPU it is the processor's time, which other
    programs on the machine disturb least.
    """
    encoder, base = model.encoder, model.encoder.base_task
    alone = images.device.type == 'cpu' and torch.get_num_threads() == 1
    clock = time.process_time if alone else None

    def spent(names: Sequence[str]) -> float:
        return measure_latency(model, images[:1], None, 'tensor', names, clock=clock) / 1000

    shares = encoder.thresholds is not None or encoder.from_layer > 0
    own = spent([base]) if base in encoder.tasks else 0.0
    found = {base: own} if base in encoder.tasks else {}
    for task in encoder.sub_tasks:
        both = [base, task] if shares and base in encoder.tasks else [task]
        found[task] = spent(both) - (own if len(both) > 1 else 0.0)
    return found


def report(model: Any, meter: Meter, size: Sequence[int], images: torch.Tensor) -> dict[str, Any]:
    """Entries of results.json.

    Args:
        model: Model with a DeltaEncoder.
        meter: Counts of the test, of all processes.
        size: (H, W) that multiply-adds are for.
        images: One normalised image or more, for the latency.
    """
    encoder = model.encoder
    heads, costs = head_costs(model, size), place_costs(encoder, size)
    totals = total_madds(encoder, meter, heads, costs)
    stored = stored_bytes(encoder)
    by_task = {t: total_madds(encoder, meter, heads, costs, t) for t in encoder.tasks}
    return dict(
        madds=totals['executed'],
        madds_dense=totals['dense'],
        madds_effective=totals['effective'],
        cost_by_task=by_task,
        density=densities(encoder, meter),
        delta_bytes=stored,
        stored=sum(stored.values()) + 4 * sum(p.numel() for p in model.heads.parameters()),
        latency_ms=latencies(model, images),
        cache_bytes=meter.cache_bytes,
        cache_bytes_all=meter.all_bytes,
    )


def clip_report(
    model: Any, scores: Mapping[str, Mapping[str, float]], meters: list[Meter], size: Sequence[int]
) -> dict[str, Any]:
    """Scores of key frames and of the others, and multiply-adds by frame of a clip."""
    heads, costs = head_costs(model, size), place_costs(model.encoder, size)
    by_kind = {
        kind: {task.name: plain_number(found[f'{task.name}/{task.score}']) for task in model.tasks}
        for kind, found in scores.items()
    }
    totals = [total_madds(model.encoder, meter, heads, costs) for meter in meters]
    return dict(scores=by_kind, madds={kind: [t[kind] for t in totals] for kind in KINDS})
