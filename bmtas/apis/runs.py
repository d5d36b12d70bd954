"""Search, train and test from a program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bmtas.apis.setup import Setup
from bmtas.branching import BranchingTree
from bmtas.engine import checkpoints_of, load_config, run_test, run_training, set_routes, unwrap
from bmtas.search import SearchResult, run_search

What = Setup | str | Path
Options = Mapping[str, Any] | None


def search(
    what: What,
    updates: int | None = None,
    budget: str | float | None = None,
    options: Options = None,
    work_dir: str | Path | None = None,
    data_root: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> SearchResult:
    """Search a branching tree.

    Args:
        what: A setup, or a search config: a file, or a name that ``bmtas configs`` lists.
        updates: Weight updates of a search by gradients; of a setup, a fifth as many alpha
            updates go with them.
        budget: Largest cost of the whole network, e.g. ``'9.1G'`` multiply-adds.
        options: Overrides of the config by dotted key, e.g.
            ``{'search.resource_loss.weight': 5.0}``.
        work_dir, data_root: Of a config.
        resume: Go on where an earlier call stopped.
        overwrite: Give up an earlier run in the same folder.

    Returns:
        Tree, cost, and a front where the strategy has one.

    Raises:
        FileNotFoundError, ValueError: A user's mistake in one line.
    """
    given = dict(options or {})
    if updates is not None:
        given = {'search.weight_updates': updates, **given}
    if budget is not None:
        given['budget'] = budget
    if isinstance(what, Setup):
        phase = max(1, (updates or 400) // 20)
        plan = dict(warmup_updates=5 * phase, alpha_phase=phase, weight_phase=5 * phase)
        given = {f'search.{key}': value for key, value in plan.items()} | given
        cfg = what.config('search', dict(type='SupergraphEncoder'), given)
    else:
        cfg = load_config(what, given, data_root, work_dir)
    cfg.resume, cfg.overwrite = resume, overwrite
    return run_search(cfg)


def train(
    what: What,
    tree: BranchingTree | str | Path | None = None,
    updates: int | None = None,
    options: Options = None,
    work_dir: str | Path | None = None,
    data_root: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> tuple[Config, Any]:
    """Train a network, along a tree if there is one.

    Args:
        what: A setup or a config.
        tree: A tree, a branching file, or for a setup ``'shared'`` (its default) or
            ``'separate'``.
        updates: Number of updates.
        options, work_dir, data_root, resume, overwrite: As in ``search``.

    Returns:
        Config and network, in evaluation mode.
    """
    given = dict(options or {})
    if updates is not None:
        given = {'train_cfg.max_iters': updates, 'train_cfg.val_interval': updates, **given}
    branching = None
    if isinstance(what, Setup):
        routes = tree.routes.tolist() if isinstance(tree, BranchingTree) else tree or 'shared'
        if isinstance(routes, (str, Path)) and routes not in ('shared', 'separate'):
            routes = BranchingTree.from_file(routes, list(what.tasks)).routes.tolist()
        cfg = what.config('train', dict(type='BranchedEncoder', routes=routes), given)
    else:
        cfg = load_config(what, given, data_root, work_dir)
        if isinstance(tree, BranchingTree):
            set_routes(cfg, tree, 'the tree given')
        else:
            branching = tree
    cfg.resume, cfg.overwrite = resume, overwrite
    runner = run_training(cfg, branching)
    return cfg, unwrap(runner.model).eval()


def test(
    what: What,
    checkpoint: str | Path | None = None,
    baseline: str | Path | None = None,
    options: Options = None,
    work_dir: str | Path | None = None,
    data_root: str | Path | None = None,
) -> dict[str, Any]:
    """Test a checkpoint; returns the content of ``results.json``.

    Args:
        what: A setup with ``val``, or a config.
        checkpoint: The file; of a setup, by default the newest of its training.
        baseline: ``results.json`` of single-task networks.
        options, work_dir, data_root: As in ``search``.
    """
    if not isinstance(what, Setup):
        if checkpoint is None:
            raise ValueError('test: give the checkpoint')
        return run_test(load_config(what, options, data_root, work_dir), checkpoint, baseline)
    if what.val is None:
        raise ValueError('test: the setup has no val')
    folder = Path(what.work_dir) / 'train'
    found = checkpoints_of(folder)
    if checkpoint is None and not found:
        raise FileNotFoundError(f'{folder}: no checkpoint; train first')
    cfg = what.config('train', dict(type='BranchedEncoder'), options or {})
    return run_test(cfg, checkpoint or found[0], baseline)
