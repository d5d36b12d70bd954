"""All stages of a config, and the network, deltas and results that they leave."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from torch import Tensor

from bmtas.engine import RESULTS, run_test, select_tasks
from bmtas.files import load_state, save_state
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.sharing.delta_file import base_hash, check_delta, read_delta, write_delta
from bmtas.sharing.stages import (
    final_checkpoint,
    run_stages,
    section_of,
    stage_config,
    stages_of,
)

NETWORK, DELTAS = 'network.pth', 'deltas'


def check_sub_tasks(cfg: Config, tasks: Sequence[str] | None) -> list[str]:
    """Names of the sub-tasks to train, all by default.

    Raises:
        ValueError: The base task among them, or a task that there is not.
    """
    base = section_of(cfg)['base_task']
    if tasks is None:
        return [name for name in cfg.tasks if name != base]
    if base in tasks:
        raise ValueError(
            f'--tasks: {base!r} is the base task, it is always trained; name sub-tasks only'
        )
    for task in tasks:
        stages_of(cfg, task)  # its error says what is wrong
    return list(tasks)


def share(
    cfg: Config, tasks: Sequence[str] | None = None, resume: bool = False, sheet: int = 6
) -> dict[str, Any]:
    """Run all stages of the base and of some sub-tasks, join the networks, test them.

    Writes ``network.pth``, ``deltas/<task>.delta`` and ``results.json`` into the work dir. Tasks
    that were trained before stay in the network; their own files are not touched.

    Args:
        cfg: A complete config with ``sharing``.
        tasks: Names of the sub-tasks to train; all by default.
        resume: Go on where a run was interrupted.
        sheet: Images on the sheet of predictions.

    Returns:
        The content of ``results.json``.
    """
    names = check_sub_tasks(cfg, tasks)
    run_stages(cfg, names, resume)
    folder = Path(cfg.work_dir)
    if is_main_process():
        write_network(cfg, folder)
    barrier()
    test = copy.deepcopy(cfg)
    test.launcher, test.work_dir = cfg.get('launcher', 'none'), str(folder)
    test.experiment_name, test.resume = 'joint', False
    return run_test(test, folder / NETWORK, out=folder / RESULTS, sheet=sheet)


def finished_tasks(cfg: Config) -> dict[str, Path]:
    """Final checkpoint of every task whose stages are done, the base first."""
    base = section_of(cfg)['base_task']
    names = [base, *(name for name in cfg.tasks if name != base)]
    finals = {
        name: final_checkpoint(stage_config(cfg, stages_of(cfg, name)[-1], name)) for name in names
    }
    return {name: path for name, path in finals.items() if path.is_file()}


def write_network(cfg: Config, folder: Path) -> None:
    """Join base, deltas and heads to one checkpoint, and write the deltas that are missing.

    Raises:
        ValueError: A task was trained on another base.
    """
    finals, base = finished_tasks(cfg), section_of(cfg)['base_task']
    joint: dict[str, Tensor] = dict(load_state(finals[base])['state_dict'])
    reference = base_hash(joint)
    for task, path in finals.items():
        content = load_state(path)
        state = content['state_dict']
        if base_hash(state) != reference:
            raise ValueError(
                f'checkpoint {path}: trained on base {base_hash(state)}, the base in '
                f'{finals[base]} is {reference}; train the task anew'
            )
        own = (f'encoder.deltas.{task}.', f'heads.{task}.')
        joint.update({k: v for k, v in state.items() if k.startswith(own)})
        if task != base:
            _write_delta(folder / DELTAS / f'{task}.delta', state, task, reference, content)
    order = [name for name in cfg.tasks if name in finals]
    model = build_network(cfg, order)
    model.load_state_dict(joint)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    content = dict(meta=dict(seed=seed), state_dict=model.state_dict())
    save_state(folder / NETWORK, dict(content, encoder=model.encoder.checkpoint_state()))


def build_network(cfg: Config, tasks: Sequence[str]) -> Any:
    """The joint model of some tasks, in use."""
    own = copy.deepcopy(cfg)
    select_tasks(own, tasks)
    own.model.encoder.update(base_task=section_of(cfg)['base_task'], stage=None, thresholds=None)
    return MODELS.build(without_weights(own.model))


def _write_delta(path: Path, state: dict, task: str, base: str, content: dict) -> None:
    """Write a delta unless the same one is there: the files of other tasks stay as they are."""
    if path.is_file():
        header, old = read_delta(path)
        check_delta(path, header, base, [task])
        if all(name in state and state[name].cpu().equal(value) for name, value in old.items()):
            return
    write_delta(path, state, task, base, content['encoder'])


def add_delta(model: Any, path: str | Path) -> None:
    """Load a delta file into a network of its base, in place.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Damaged, or made for another base, task or encoder.
    """
    header, state = read_delta(path)
    check_delta(path, header, base_hash(model.state_dict()), list(model.encoder.sub_tasks))
    for key in ('delta', 'from_layer'):
        here, there = model.encoder.checkpoint_state()[key], header['encoder'][key]
        if here != there:
            raise ValueError(f'delta file {path}: {key} is {there}, the network has {here}')
    own = tuple(f'{kind}.{header["task"]}.' for kind in ('encoder.deltas', 'heads'))
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith(own)}
    wrong = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    wrong += [k for k in state if k not in wanted]
    if wrong:
        raise ValueError(f'delta file {path}: {wrong[0]} does not fit the network')
    model.load_state_dict(state, strict=False)
