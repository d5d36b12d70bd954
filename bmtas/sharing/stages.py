"""The stages of base and sub-tasks: where they start from, how they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from torch import Tensor

from bmtas.engine import (
    RUN,
    checkpoints_of,
    first_difference,
    identity_of,
    init_distributed,
    position_seed,
    run_training,
)
from bmtas.files import meant_as, read_json
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.sealed import load_state, save_state
from bmtas.sharing.delta_file import base_hash
from bmtas.sharing.loops import NOISE
from bmtas.sharing.section import before, final_checkpoint, section_of, stage_config, stages_of
from bmtas.sharing.support import choose_support

START = 'start.pth'


def start_state(cfg: Config, stage: str, task: str, source: Path | None) -> dict[str, Tensor]:
    """The weights that a stage starts from, out of the checkpoint of the stage before.

    Args:
        cfg: The whole config.
        stage, task: What is to be trained.
        source: The checkpoint; None for the one in the work dir.

    Raises:
        FileNotFoundError: The stage before has not been run.
        ValueError: A checkpoint of another stage, task or base network.
    """
    owner, earlier = before(cfg, stage, task)
    file = source or final_checkpoint(stage_config(cfg, earlier, owner))
    if not file.is_file():
        raise FileNotFoundError(
            f'{file}: stage {stage!r} of task {task!r} starts from stage {earlier!r} of '
            f'{owner!r}, which is not finished; run bmtas train CONFIG --stage {earlier} --task '
            f'{owner} first'
        )
    content = load_state(file)
    check_origin(content, file, earlier, owner, f'stage {stage!r} of task {task!r}')
    state = content['state_dict']
    base = section_of(cfg)['base_task']
    if owner == base:
        if task == base:
            return state
        return {
            k: v for k, v in state.items() if k.startswith(('encoder.stem.', 'encoder.layers.'))
        }
    check_base(cfg, state, file)
    return support_state(cfg, task, state) if earlier == 'gates' else state


def check_origin(
    content: Mapping[str, Any], file: Path, stage: str, task: str, wanted_by: str
) -> None:
    """Refuse a checkpoint that another stage or another task's left."""
    encoder = content.get('encoder') or {}
    found = (encoder.get('stage'), list(encoder.get('tasks') or []))
    if found != (stage, [task]):
        raise ValueError(
            f'checkpoint {file}: of stage {found[0]!r} of {", ".join(found[1]) or "no task"}, but '
            f'{wanted_by} starts from stage {stage!r} of {task!r}'
        )


def check_base(cfg: Config, state: Mapping[str, Tensor], file: Path) -> None:
    """Refuse a sub-task that was trained on another base network than the work dir's."""
    base = section_of(cfg)['base_task']
    final = final_checkpoint(stage_config(cfg, stages_of(cfg, base)[-1], base))
    if final.is_file():
        here, there = base_hash(load_state(final)['state_dict']), base_hash(state)
        if here != there:
            raise ValueError(
                f'checkpoint {file}: trained on base {there}, the base in {final} is {here}; '
                'train the task anew, or in another --work-dir'
            )


def support_state(cfg: Config, task: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights after the gate stage: gates become a support, deltas stay as they are."""
    own, section = stage_config(cfg, 'gates', task), section_of(cfg)
    model = MODELS.build(without_weights(own.model))
    model.load_state_dict(state)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    rule, density = section.get('support', 'global'), section.get('density', 0.05)
    generator = None
    if rule == 'draw':
        last = own.train_cfg['max_iters'] - 1
        generator = torch.Generator().manual_seed(position_seed(seed, NOISE, last))
    support = choose_support(model.encoder.deltas[task], rule, density, generator)
    kept = {k: v for k, v in state.items() if k.rpartition('.')[2] not in ('alpha', 'alpha_tensor')}
    return kept | {f'encoder.deltas.{task}.{k}.support': v for k, v in support.items()}


def prepare_stage(cfg: Config, stage: str, task: str, resume: bool = False) -> Config:
    """Config of a stage, ready to be trained; its start is written into its work dir.

    Raises:
        FileNotFoundError, ValueError: See ``start_state``; or an interrupted run is there.
    """
    own = stage_config(cfg, stage, task)
    source = Path(cfg.load_from) if cfg.get('load_from') else None
    own.resume, own.load_from = False, None
    folder = Path(own.work_dir)
    if checkpoints_of(folder) and not cfg.get('overwrite'):
        if not resume:
            raise ValueError(
                f'{folder}: stage {stage!r} of task {task!r} has been run here; add --resume to go '
                'on or --overwrite to begin anew, or take another --work-dir'
            )
        own.resume = True
        return own
    if before(cfg, stage, task) is not None:
        init_distributed(cfg.get('launcher', 'none'))
        if is_main_process():
            state = start_state(cfg, stage, task, source)
            save_state(folder / START, dict(state_dict=state, meta={}))
        barrier()
        own.load_from = str(folder / START)
    return own


def run_stage(cfg: Config, stage: str, task: str, resume: bool) -> Path:
    """Train one stage unless it is finished; returns its checkpoint.

    Raises:
        ValueError: It was finished with another config.
    """
    own = stage_config(cfg, stage, task)
    final = final_checkpoint(own)
    if final.is_file():
        check_finished(own)
    else:
        own = prepare_stage(cfg, stage, task, resume)
        own.experiment_name = f'{task}-{stage}'
        run_training(own).logger.info(f'stage {stage} of {task} is finished: {final}')
    return final


def check_finished(own: Config) -> None:
    """Refuse a finished stage of another config."""
    path = Path(own.work_dir) / RUN
    if not path.is_file():
        return
    # validation is dropped from a run that has none
    stored = read_json(path, 'identity of the run')
    with meant_as('identity of the run', path):
        old, new = (
            {k: v for k, v in identity.items() if not k.startswith('val_')}
            for identity in (stored['identity'], identity_of(own))
        )
    difference = first_difference(old, new)
    if difference:
        raise ValueError(
            f'{own.work_dir}: this stage was finished with another config ({difference}); take '
            'another --work-dir, or --overwrite trains all anew'
        )


def run_stages(cfg: Config, tasks: Sequence[str], resume: bool) -> None:
    """Train the base and then each task, all their stages; finished ones are skipped."""
    base = section_of(cfg)['base_task']
    for task in (base, *tasks):
        for stage in stages_of(cfg, task):
            run_stage(cfg, stage, task, resume)
