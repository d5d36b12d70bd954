"""All stages of a config, and the network, deltas and results that they leave."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from torch import Tensor

from bmtas.engine import RESULTS, checkpoints_of, run_test, select_tasks
from bmtas.files import write_bytes
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.sealed import load_state, save_state
from bmtas.sharing.delta_file import base_hash, check_delta, read_delta, write_delta
from bmtas.sharing.section import final_checkpoint, section_of, stage_config, stages_of
from bmtas.sharing.stages import run_stages

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
    cfg: Config,
    tasks: Sequence[str] | None = None,
    resume: bool = False,
    sheet: int = 6,
    add: Sequence[str | Path] = (),
    half: bool = False,
) -> dict[str, Any]:
    """Run all stages of the base and of some sub-tasks, join the networks, test them.

    Writes ``network.pth``, ``deltas/<task>.delta`` and ``results.json`` into the work dir. Tasks
    that were trained before stay in the network; their own files are not touched, unless the config
    says ``overwrite``.

    Args:
        cfg: A complete config with ``sharing``.
        tasks: Names of the sub-tasks to train; by default all that were not received, none with
            ``add``.
        resume: Go on where a run was interrupted.
        sheet: Images on the sheet of predictions.
        add: Delta files that were trained elsewhere on the same base.
        half: Write new delta files in float16.

    Returns:
        The content of ``results.json``.
    """
    names = check_sub_tasks(cfg, [] if add and tasks is None else tasks)
    folder = Path(cfg.work_dir)
    if add and is_main_process():
        receive_deltas(cfg, folder, add)
    barrier()
    received = received_deltas(cfg, folder)
    for task in names if tasks else ():
        if task in received:
            raise ValueError(
                f'--tasks: {task!r} came as a delta, {received[task]}; remove the file to train it'
            )
    trained = [task for task in names if task not in received]
    if cfg.get('overwrite'):
        give_up(cfg, folder, trained if add else [section_of(cfg)['base_task'], *trained])
    run_stages(cfg, trained, resume)
    if is_main_process():
        write_network(cfg, folder, half)
    barrier()
    test = copy.deepcopy(cfg)
    test.launcher, test.work_dir = cfg.get('launcher', 'none'), str(folder)
    test.experiment_name, test.resume = 'joint', False
    return run_test(test, folder / NETWORK, out=folder / RESULTS, sheet=sheet)


def give_up(cfg: Config, folder: Path, tasks: Sequence[str]) -> None:
    """Delete the checkpoints of all stages of some tasks, and their deltas."""
    for task in tasks:
        for stage in stages_of(cfg, task):
            for path in checkpoints_of(stage_config(cfg, stage, task).work_dir):
                path.unlink(missing_ok=True)  # another process may have been faster
        (folder / DELTAS / f'{task}.delta').unlink(missing_ok=True)


def finished_tasks(cfg: Config) -> dict[str, Path]:
    """Final checkpoint of every task whose stages are done, the base first."""
    base = section_of(cfg)['base_task']
    names = [base, *(name for name in cfg.tasks if name != base)]
    finals = {
        name: final_checkpoint(stage_config(cfg, stages_of(cfg, name)[-1], name)) for name in names
    }
    return {name: path for name, path in finals.items() if path.is_file()}


def received_deltas(cfg: Config, folder: Path) -> dict[str, Path]:
    """Delta files of tasks that have no checkpoint of their own."""
    finals = finished_tasks(cfg)
    files = {task: folder / DELTAS / f'{task}.delta' for task in cfg.tasks if task not in finals}
    return {task: path for task, path in files.items() if path.is_file()}


def receive_deltas(cfg: Config, folder: Path, files: Sequence[str | Path]) -> None:
    """Take delta files that were trained elsewhere into a work dir, all or none.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The base is not trained here, a delta that does not fit it, or a task that is
            trained here.
    """
    finals, base = finished_tasks(cfg), section_of(cfg)['base_task']
    if base not in finals:
        raise ValueError(
            f'--add: the base {base!r} is not trained in {folder}; bmtas share trains it, or copy '
            f'{folder / base} of the other run'
        )
    taken = {}
    for path in files:
        task = read_delta(path)[0]['task']
        check_sub_tasks(cfg, [task])
        if task in finals:
            raise ValueError(
                f'--add {path}: {task!r} is trained in {folder / task}; use another work dir'
            )
        target = folder / DELTAS / f'{task}.delta'
        if target in taken:
            raise ValueError(f'--add {path}: a second delta of task {task!r}; choose one of them')
        model = build_network(cfg, [base, task])
        model.load_state_dict(load_state(finals[base])['state_dict'], strict=False)
        add_delta(model, path)
        taken[target] = Path(path).read_bytes()
    for target, content in taken.items():
        write_bytes(target, content)


def write_network(cfg: Config, folder: Path, half: bool = False) -> None:
    """Join base, deltas and heads to one checkpoint, and write the deltas that are missing.

    A task without a checkpoint of its own whose delta lies in the work dir is one of them.

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
        joint.update({k: v for k, v in state.items() if k.startswith(_owned_by(task))})
        if task != base:
            file = folder / DELTAS / f'{task}.delta'
            _write_delta(file, state, task, reference, content['encoder'], half)
    received = received_deltas(cfg, folder)
    model = build_network(cfg, [task for task in cfg.tasks if task in {**finals, **received}])
    for task, path in received.items():
        add_delta(model, path, reference)
        own = model.state_dict()
        joint.update({k: v for k, v in own.items() if k.startswith(_owned_by(task))})
    model.load_state_dict(joint)
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    content = dict(meta=dict(seed=seed), state_dict=model.state_dict())
    save_state(folder / NETWORK, dict(content, encoder=model.encoder.checkpoint_state()))


def _owned_by(task: str) -> tuple[str, str]:
    """How the names of a task's own tensors begin."""
    return f'encoder.deltas.{task}.', f'heads.{task}.'


def build_network(cfg: Config, tasks: Sequence[str]) -> Any:
    """The joint model of some tasks, in use."""
    own = copy.deepcopy(cfg)
    select_tasks(own, tasks)
    own.model.encoder.update(base_task=section_of(cfg)['base_task'], stage=None, thresholds=None)
    return MODELS.build(without_weights(own.model))


def _write_delta(
    path: Path, state: dict, task: str, base: str, encoder: dict, half: bool = False
) -> None:
    """Write a delta; a file that is there keeps its precision, and its bytes if it is the same."""
    if path.is_file():
        header, _ = read_delta(path)
        check_delta(path, header, base, [task])
        half = any(entry['dtype'] == 'float16' for entry in header['tensors'])
    write_delta(path, state, task, base, encoder, half)


def add_delta(model: Any, path: str | Path, base: str | None = None) -> None:
    """Load a delta file into a network of its base, in place.

    Args:
        model: The network.
        path: The file.
        base: Hash of the base; by default that of the network's.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Damaged, or made for another base, task or encoder.
    """
    header, state = read_delta(path)
    base = base_hash(model.state_dict()) if base is None else base
    check_delta(path, header, base, list(model.encoder.sub_tasks))
    for key in ('delta', 'from_layer'):
        here, there = model.encoder.checkpoint_state()[key], header['encoder'][key]
        if here != there:
            raise ValueError(
                f'delta file {path}: {key} is {there}, the network has {here}; give both the same'
            )
    own = _owned_by(header['task'])
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith(own)}
    wrong = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    wrong += [k for k in state if k not in wanted]
    if wrong:
        raise ValueError(
            f'delta file {path}: {wrong[0]} does not fit the network; take the table of tasks '
            'that it was trained with'
        )
    model.load_state_dict(state, strict=False)
