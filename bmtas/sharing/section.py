"""The section ``sharing`` of a config, and the config of each stage that it describes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config

from bmtas.engine import check_config, select_tasks
from bmtas.files import nearest
from bmtas.sharing.encoder import STAGES
from bmtas.sharing.passes import BASE_STAGES
from bmtas.typed import Fraction

TASK_STAGES = tuple(stage for stage in STAGES if stage not in BASE_STAGES)


def sharing_section(
    base_task: str,
    stages: Mapping[str, Mapping],
    density: Fraction = 0.05,
    support: Literal['global', 'tensor', 'gates', 'draw'] = 'global',
) -> None:
    """The keys of ``sharing`` in a config.

    Args:
        base_task: Name of the base task.
        stages: For each stage the keys of the config that it changes; ``encoder`` stands for
            ``model.encoder``, and ``by_task`` holds changes for single tasks. Which stages a task
            goes through are those that are given, in the order of ``STAGES``.
        density: Share of the weights that keep a delta after the gates.
        support: How they are chosen, see ``choose_support``.
    """


def section_of(cfg: Config) -> Mapping[str, Any]:
    """The config's ``sharing``, checked.

    Raises:
        ValueError: It is missing, or names tasks or stages that there are not.
    """
    section = cfg.get('sharing')
    if not section:
        raise ValueError(f'{cfg.filename}: sharing: missing, this config shares no computation')
    for key in ('base_task', 'stages'):
        if key not in section:
            raise ValueError(f'{cfg.filename}: sharing.{key}: missing')
    density = section.get('density', 0.05)
    if not 0 < density <= 1:
        raise ValueError(f'{cfg.filename}: sharing.density: must be in (0, 1], got {density}')
    names = list(cfg.tasks)
    if section['base_task'] not in names:
        hint = nearest(section['base_task'], names)
        raise ValueError(
            f'{cfg.filename}: sharing.base_task: no task {section["base_task"]!r}; {hint}'
        )
    for stage in section['stages']:
        if stage not in STAGES:
            raise ValueError(
                f'{cfg.filename}: sharing.stages: no stage {stage!r}; {nearest(stage, STAGES)}'
            )
    return section


def stages_of(cfg: Config, task: str) -> list[str]:
    """The stages of one task, in order.

    Raises:
        ValueError: No such task, or no stage for it.
    """
    section, names = section_of(cfg), list(cfg.tasks)
    if task not in names:
        raise ValueError(f'--task: there is no task {task!r}; {nearest(task, names)}')
    known = BASE_STAGES if task == section['base_task'] else TASK_STAGES
    found = [stage for stage in known if stage in section['stages']]
    if not found:
        raise ValueError(f'{cfg.filename}: sharing.stages: none of {known} for task {task!r}')
    return found


def stage_config(cfg: Config, stage: str, task: str) -> Config:
    """The config of one stage of one task.

    Raises:
        ValueError: No such stage for this task, or a faulty key in it.
    """
    stages, section = stages_of(cfg, task), section_of(cfg)
    if stage not in stages:
        raise ValueError(
            f'--stage: task {task!r} has no stage {stage!r}; it goes through {", ".join(stages)}'
        )
    own = copy.deepcopy(cfg)
    own.pop('sharing')
    select_tasks(own, [task])
    if stage in TASK_STAGES[1:]:
        # how the support was chosen belongs to what these stages are
        own.sharing = {key: value for key, value in section.items() if key != 'stages'}
    changes = dict(section['stages'][stage])
    by_task = changes.pop('by_task', {})
    unknown = [name for name in by_task if name not in list(cfg.tasks)]
    if unknown:
        raise ValueError(f'sharing.stages.{stage}.by_task: there is no task {unknown[0]!r}')
    for part in (changes, by_task.get(task, {})):
        part = dict(part)
        encoder = part.pop('encoder', {})
        own.merge_from_dict(copy.deepcopy(dict(part, model=dict(encoder=dict(encoder)))))
    own.model.encoder.update(stage=stage, base_task=section['base_task'])
    changed = {'model', *changes, *by_task.get(task, {})} - {'encoder'}
    try:
        check_config({key: own[key] for key in changed})
    except ValueError as error:
        raise ValueError(f'{cfg.filename}: sharing.stages.{stage}: {error}') from None
    own.work_dir = str(Path(cfg.work_dir) / task / stage)
    return own


def final_checkpoint(own: Config) -> Path:
    """What a stage leaves when it is finished."""
    return Path(own.work_dir) / f'iter_{own.train_cfg["max_iters"]}.pth'


def before(cfg: Config, stage: str, task: str) -> tuple[str, str] | None:
    """Task and stage whose checkpoint a stage starts from; None for the first of all."""
    base, stages = section_of(cfg)['base_task'], stages_of(cfg, task)
    index = stages.index(stage)
    if index:
        return task, stages[index - 1]
    return None if task == base else (base, stages_of(cfg, base)[-1])
