"""Test a checkpoint: metrics, cost, Delta_m, a sheet of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.dist import is_main_process

from bmtas.engine.build import build_runner, check_data, require, takes_tasks
from bmtas.engine.config import with_pipeline
from bmtas.engine.dist import unwrap
from bmtas.engine.load import encoder_from_checkpoint
from bmtas.engine.record import record_command
from bmtas.engine.results import RESULTS, lines_of, plain_number, results_of, results_table
from bmtas.evaluation import compare_results, constant_scores, load_results, shown_tasks
from bmtas.files import write_json
from bmtas.models import MultiTaskModel, TestTime
from bmtas.registry import DATASETS
from bmtas.resources import count_model, count_run, without_weights
from bmtas.tasks import Task, build_tasks
from bmtas.visualization import draw_predictions


@results_of.register
def _(model: MultiTaskModel, metrics: Mapping[str, Any], cfg: Config) -> dict[str, Any]:
    by_task: dict[str, dict[str, float | None]] = {}
    for task in model.tasks:
        prefix = f'{task.name}/'
        by_task[task.name] = {
            key[len(prefix) :]: plain_number(value)
            for key, value in metrics.items()
            if key.startswith(prefix)
        }
        if task.score not in by_task[task.name]:
            raise ValueError(
                f'tasks: {task.name!r} has score {task.score!r}, its metric gives '
                f'{sorted(by_task[task.name])}'
            )
    convention = (cfg.get('resources') or {}).get('convention', 'mac')
    cost = count_model(model, cfg.input_size, convention)
    if 'madds_by_task' not in cost:  # each task alone, by whatever it runs of the network
        alone = {t.name: count_run(model, cfg.input_size, convention, tasks=[t.name])
                 for t in model.tasks}  # fmt: skip
        cost['madds_by_task'] = {name: found['madds'] for name, found in alone.items()}
    tree = model.encoder.tree
    return dict(
        version=1,
        tasks=[task.name for task in model.tasks],
        metrics=by_task,
        scores={task.name: by_task[task.name][task.score] for task in model.tasks},
        score_names={task.name: task.score for task in model.tasks},
        higher_is_better={task.name: task.higher_is_better for task in model.tasks},
        **cost,
        branching=tree and dict(tasks=list(tree.tasks), config=tree.routes.tolist()),
    )


def check_baseline(cfg: Config, baseline: str | Path) -> None:
    """See that results of a config can be compared with a baseline, see ``compare_results``."""
    if not takes_tasks(cfg):
        load_results(baseline)
        return
    require(cfg, 'tasks')
    tasks = build_tasks(cfg.tasks)
    expected = dict(
        scores={t.name: 1.0 for t in tasks},
        score_names={t.name: t.score for t in tasks},
        higher_is_better={t.name: t.higher_is_better for t in tasks},
    )
    compare_results(expected, baseline)


def constants_of(
    tasks: tuple[Task, ...], train: Mapping[str, Any], held_out: Mapping[str, Any]
) -> dict[str, float | None]:
    """Scores of the best constants of the training labels, by task; configs of the data sets."""
    plain = with_pipeline(train, [dict(type='PackSample')])
    scores = constant_scores(tasks, DATASETS.build(plain), DATASETS.build(dict(held_out)))
    return {task: plain_number(score) for task, score in scores.items()}


def classes_of(tasks: Sequence[Task], metrics: Iterable[Any]) -> dict[str, Any]:
    """Scores of each class and confusion matrices, by task; see ``TaskMetric.classes``."""
    draw = {task.name: task.draw for task in tasks}
    found = {}
    for metric in metrics:
        if getattr(metric, 'classes', None) is None:
            continue
        scores = metric.classes['scores'].tolist()
        names = [str(n) for n in draw[metric.task].get('names') or range(len(scores))]
        found[metric.task] = dict(
            score=metric.classes['score'],
            names=names,
            scores=[plain_number(score) for score in scores],
            confusion=metric.classes['confusion'].tolist(),
        )
    return found


def draw_sheet(
    runner: Any, count: int, path: Path, tasks: Sequence[str] | None = None
) -> Path | None:
    """Draw predictions beside truth for images spread over the test set, for some of the tasks."""
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
    return draw_predictions(images, samples, model.select(tasks), path)


@torch.no_grad()
def mean_losses(
    model: MultiTaskModel, dataset: Any, indices: Sequence[int], batch_size: int = 8
) -> dict[str, float]:
    """Mean of each task's weighted loss over batches of some images, weighed by their sizes."""
    model.eval()
    sums = {task.name: 0.0 for task in model.tasks}
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        data = model.data_preprocessor(pseudo_collate([dataset[int(i)] for i in chosen]), False)
        losses = model(**data, mode='loss')
        for name in sums:
            sums[name] += float(losses[f'loss_{name}']) * len(chosen) / len(indices)
    return sums


def run_test(
    cfg: Config,
    checkpoint: str | Path,
    baseline: str | Path | None = None,
    out: str | Path | None = None,
    sheet: int = 6,
    amp: bool = False,
    constant: bool = False,
    losses: bool = False,
    test_time: TestTime | None = None,
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
        losses: Add the mean loss of each task, key ``losses``.
        test_time: Flips and scales over which predictions are averaged.

    Returns:
        The content of ``results.json``.
    """
    require(cfg, 'model', 'test_dataloader')
    if constant and not cfg.get('train_dataloader'):
        raise ValueError('--constant: the config has no train_dataloader to take constants from')
    # a runner for tests drops what belongs to the training
    train = cfg.train_dataloader.dataset if constant else None
    check_data(cfg, 'test', constant)
    encoder_from_checkpoint(cfg, checkpoint)
    if baseline is not None:  # what is wrong with it shows before the test, not after
        check_baseline(cfg, baseline)
    cfg.load_from = str(checkpoint)
    # all weights come from the checkpoint; files to start a training from need not be there
    cfg.model = without_weights(cfg.model)
    runner = build_runner(cfg, 'test')
    record_command(cfg.work_dir)
    if test_time is not None:
        unwrap(runner.model).test_time = test_time
    context = torch.autocast(get_device(), torch.bfloat16) if amp else nullcontext()
    with context:
        metrics = runner.test()
    model = unwrap(runner.model)
    results = results_of(model, metrics, cfg)
    results |= dict(
        method=cfg.get('method') or Path(cfg.filename).resolve().parent.name,
        delta_m=None if baseline is None else plain_number(compare_results(results, baseline)),
        baseline=None if baseline is None else str(baseline),
        seed=runner.seed,
        config=str(cfg.filename),
        checkpoint=str(checkpoint),
    )
    if isinstance(model, MultiTaskModel):
        results['classes'] = classes_of(model.tasks, runner.test_loop.evaluator.metrics)
        if test_time is not None:
            results['test_time'] = asdict(test_time)
    if constant:
        results['constant'] = constants_of(model.tasks, train, cfg.test_dataloader.dataset)
    if losses:
        images = runner.test_dataloader.dataset
        results['losses'] = mean_losses(model, images, range(len(images)))
    if is_main_process():
        target = Path(out or Path(cfg.work_dir) / RESULTS)
        write_json(target, results)
        runner.logger.info(f'results in {target}:\n{results_table(results)}')
        if isinstance(model, MultiTaskModel):
            picture = target.parent / 'vis' / 'predictions.png'
            picture = draw_sheet(runner, sheet, picture, shown_tasks(lines_of(results)))
            if picture is not None:
                runner.logger.info(f'predictions drawn in {picture}')
    return results
