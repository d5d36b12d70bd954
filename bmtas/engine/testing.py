"""Test a checkpoint: metrics, cost, Delta_m, a sheet of predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from logging import Logger
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import is_main_process

from bmtas.engine.dist import unwrap
from bmtas.engine.launch import build_runner, check_data, encoder_from_checkpoint, takes_tasks
from bmtas.evaluation import compare_results, constant_scores, load_results
from bmtas.files import write_json
from bmtas.ncp.report import predictor_results, predictor_table
from bmtas.registry import DATASETS
from bmtas.resources import count_model, without_weights
from bmtas.structures import Task
from bmtas.visualization import draw_predictions

RESULTS = 'results.json'


def _number(value: Any) -> float | None:
    """JSON has no NaN: a score without a single labelled pixel becomes null."""
    value = float(value)
    return value if math.isfinite(value) else None


def collect_results(
    tasks: tuple[Task, ...], metrics: Mapping[str, Any], cost: Mapping[str, Any]
) -> dict[str, Any]:
    """Sort the evaluator's ``<task>/<metric>`` values into the layout of results.json."""
    by_task: dict[str, dict[str, float | None]] = {}
    for task in tasks:
        prefix = f'{task.name}/'
        by_task[task.name] = {
            key[len(prefix) :]: _number(value)
            for key, value in metrics.items()
            if key.startswith(prefix)
        }
        if task.score not in by_task[task.name]:
            raise ValueError(
                f'tasks: {task.name!r} has score {task.score!r}, its metric gives '
                f'{sorted(by_task[task.name])}'
            )
    return dict(
        version=1,
        tasks=[task.name for task in tasks],
        metrics=by_task,
        scores={task.name: by_task[task.name][task.score] for task in tasks},
        score_names={task.name: task.score for task in tasks},
        higher_is_better={task.name: task.higher_is_better for task in tasks},
        madds=int(cost['madds']),
        params=int(cost['params']),
        convention=cost['convention'],
        input_size=list(cost['input_size']),
    )


def results_table(results: Mapping[str, Any]) -> str:
    """The results as a few lines of text."""
    rows = []
    for task in results['tasks']:
        arrow = 'higher' if results['higher_is_better'][task] else 'lower'
        score = results['scores'][task]
        shown = 'no labels' if score is None else f'{score:.4g}'
        name = results['score_names'][task]
        constant = (results.get('constant') or {}).get(task)
        beside = '' if constant is None else f'; the best constant gets {constant:.4g}'
        rows.append(f'  {task:<14}{name:<10}{shown:>10}   ({arrow} is better{beside})')
    height, width = results['input_size']
    rows.append(
        f'  {results["madds"] / 1e9:.4g} GMAdds ({results["convention"]}, {height}x{width}), '
        f'{results["params"] / 1e6:.4g} M parameters'
    )
    if results['delta_m'] is not None:
        rows.append(f'  Delta_m {results["delta_m"]:+.2f} % against {results["baseline"]}')
    return '\n'.join(rows)


def constants_of(
    tasks: tuple[Task, ...], train: Mapping[str, Any], held_out: Mapping[str, Any]
) -> dict[str, float | None]:
    """Scores of the best constants of the training labels, by task; configs of the data sets."""
    plain = dict(train, pipeline=[dict(type='PackSample')])
    scores = constant_scores(tasks, DATASETS.build(plain), DATASETS.build(dict(held_out)))
    return {task: _number(score) for task, score in scores.items()}


def draw_sheet(runner: Any, count: int, path: Path) -> Path | None:
    """Draw predictions beside truth for images spread over the test set."""
    dataset, model = runner.test_dataloader.dataset, unwrap(runner.model)
    count = min(count, len(dataset))
    if count < 1:
        return None
    images, samples = [], []
    with torch.no_grad():
        for number in range(count):
            batch = pseudo_collate([dataset[number * len(dataset) // count]])
            images.append(batch['inputs'][0])
            samples += model.test_step(batch)
    return draw_predictions(images, samples, model.tasks, path)


def run_test(
    cfg: Config,
    checkpoint: str | Path,
    baseline: str | Path | None = None,
    out: str | Path | None = None,
    sheet: int = 6,
    amp: bool = False,
    constant: bool = False,
) -> dict[str, Any]:
    """Test a checkpoint and write ``results.json``.

    Args:
        cfg: Config of the network; the routes of a branched one come from the checkpoint.
        checkpoint: Its file.
        baseline: ``results.json`` of single-task networks.
        out: Where to write; by default into the work dir.
        sheet: Number of images on the sheet of predictions; 0 for none.
        amp: Run in bfloat16.
        constant: Add the scores of the best constant predictions, key ``constant``.

    Returns:
        The content of ``results.json``.
    """
    if baseline is not None:
        load_results(baseline)  # its faults show before the test, not after
    if constant and not cfg.get('train_dataloader'):
        raise ValueError('--constant: the config has no train_dataloader to take constants from')
    # a runner for tests drops what belongs to the training
    train = cfg.train_dataloader.dataset if constant else None
    check_data(cfg, 'test', constant)
    encoder_from_checkpoint(cfg, checkpoint)
    cfg.load_from = str(checkpoint)
    # all weights come from the checkpoint; files to start a training from need not be there
    cfg.model = without_weights(cfg.model)
    runner = build_runner(cfg, 'test')
    context = torch.autocast(get_device(), torch.bfloat16) if amp else nullcontext()
    with context:
        metrics = runner.test()
    model = unwrap(runner.model)
    if not takes_tasks(cfg):
        results = predictor_results(metrics, sum(p.numel() for p in model.parameters()))
        results |= dict(seed=runner.seed, config=str(cfg.filename), checkpoint=str(checkpoint))
        _write(cfg, results, out, predictor_table(results), runner.logger)
        return results
    convention = (cfg.get('resources') or {}).get('convention', 'mac')
    results = collect_results(model.tasks, metrics, count_model(model, cfg.input_size, convention))
    tree = model.encoder.tree
    results |= dict(
        method=cfg.get('method') or Path(cfg.filename).resolve().parent.name,
        delta_m=None if baseline is None else _number(compare_results(results, baseline)),
        baseline=None if baseline is None else str(baseline),
        seed=runner.seed,
        config=str(cfg.filename),
        checkpoint=str(checkpoint),
        branching=tree and dict(tasks=list(tree.tasks), config=tree.routes.tolist()),
    )
    if constant:
        results['constant'] = constants_of(model.tasks, train, cfg.test_dataloader.dataset)
    if is_main_process():
        target = _write(cfg, results, out, results_table(results), runner.logger)
        picture = draw_sheet(runner, sheet, target.parent / 'vis' / 'predictions.png')
        if picture is not None:
            runner.logger.info(f'predictions drawn in {picture}')
    return results


def _write(
    cfg: Config, results: Mapping[str, Any], out: str | Path | None, table: str, logger: Logger
) -> Path:
    """Write results.json, show it as a table; returns the file."""
    target = Path(out or Path(cfg.work_dir) / RESULTS)
    if is_main_process():
        write_json(target, results)
        logger.info(f'results in {target}:\n{table}')
    return target
