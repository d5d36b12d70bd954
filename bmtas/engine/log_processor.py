"""The lines that a run prints."""

from __future__ import annotations

import datetime
from typing import Any

from mmengine.runner import LogProcessor

from bmtas.evaluation import MANY, digest, extremes
from bmtas.registry import LOG_PROCESSORS
from bmtas.tasks import build_tasks


@LOG_PROCESSORS.register_module()
class CompactLogProcessor(LogProcessor):
    """One short line per training report: position, phase, losses, search state, rate, ETA.

    All values still go to the log's back-ends under their full names.
    """

    def get_log_after_iter(self, runner: Any, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Values for the back-ends and the line for console and log file."""
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode != 'train':
            eta = datetime.timedelta(seconds=int(runner.message_hub.get_info('eta', 0)))
            total = len(getattr(runner, f'{mode}_dataloader'))
            return tag, f'{mode} batch [{batch_idx + 1}/{total}]  eta {eta}'
        hub = runner.message_hub
        phase = hub.get_info('phase')
        width = len(str(runner.max_iters))
        parts = [f'[{runner.iter + 1:>{width}}/{runner.max_iters}]']
        if phase:
            parts.append(f'{phase:<7}')
        parts.append(_losses(tag, 'alpha/' if phase == 'alpha' else ''))
        parts += _search_state(tag, hub.get_info('cost_unit', ''))
        # both names occur: one optimizer or one of several
        rate = tag.get('lr', tag.get('weights.lr'))
        if rate is not None:
            parts.append(f'lr {rate:.1e}')
        eta = hub.get_info('eta')
        if eta is not None:
            parts.append(f'eta {datetime.timedelta(seconds=int(eta))}')
        if 'memory' in tag:
            parts.append(f'{tag["memory"]} MB')
        return tag, '  '.join(part for part in parts if part)

    def get_log_after_epoch(
        self, runner: Any, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict, str]:
        """Values for the back-ends and a line with each task's score."""
        tag, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        # a score without a single label is no number, and JSON has none for it
        tag = {key: value for key, value in tag.items() if value == value}
        values = {key.removeprefix(f'{mode}/'): value for key, value in tag.items()}
        tasks = build_tasks(runner.cfg.tasks) if 'tasks' in runner.cfg else ()
        scores = {task.name: f'{task.name}/{task.score}' for task in tasks}
        found = {t.name: values[scores[t.name]] for t in tasks if scores[t.name] in values}
        lines = digest(
            found, {t.name: t.score for t in tasks}, {t.name: t.higher_is_better for t in tasks}
        )
        known = [(line, line.value(found)) for line in lines]
        parts = [
            f'{line.label} {line.score} {"nan" if value is None else f"{value:.4g}"}'
            for line, value in known
        ]
        return tag, f'{mode}: {", ".join(parts)}' if parts else line


def _losses(tag: dict[str, Any], prefix: str) -> str:
    """``loss 3.21 = semseg 1.20 + depth 2.01`` of the current phase."""
    head = f'{prefix}loss'
    if head not in tag:
        return ''
    start = f'{prefix}loss_'
    tasks = {key[len(start) :]: value for key, value in tag.items() if key.startswith(start)}
    resource = tag.get('loss_resource')
    tasks.pop('resource', None)
    extra = f' + resource {resource:.3g}' if prefix and resource is not None else ''
    if len(tasks) > MANY:
        highest = ', '.join(f'{name} {tasks[name]:.3g}' for name in extremes(tasks, False)[0])
        lowest = ', '.join(f'{name} {tasks[name]:.3g}' for name in extremes(tasks, False)[1])
        mean = sum(tasks.values()) / len(tasks)
        shown = f'{len(tasks)} tasks (mean {mean:.3g}, highest {highest}, lowest {lowest})'
    else:
        shown = ' + '.join(f'{name} {value:.3g}' for name, value in tasks.items())
    return f'loss {tag[head]:.3f} = {shown}{extra}'


def _search_state(tag: dict[str, Any], unit: str) -> list[str]:
    parts = []
    if 'tau' in tag:
        parts.append(f'tau {tag["tau"]:.2f}')
    if 'skipped' in tag:
        parts.append(f'skipped {tag["skipped"]:.0%}')
    if 'lambda' in tag:
        parts.append(f'lambda {tag["lambda"]:.3g}')
    if 'cost/exact' in tag:
        paper = f', paper {tag["cost/paper"]:.3g}' if 'cost/paper' in tag else ''
        parts.append(f'cost {tag["cost/exact"]:.3g}{paper}, argmax {tag["cost/tree"]:.3g} {unit}')
    return parts
