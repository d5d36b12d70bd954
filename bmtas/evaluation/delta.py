"""Delta_m: the average relative gain of a multi-task network over single-task networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmtas.files import read_json


def delta_m(
    scores: Mapping[str, float],
    baseline: Mapping[str, float],
    higher_is_better: Mapping[str, bool],
) -> float:
    """Average over tasks of the relative gain against the baseline, in percent.

    Delta_m = 100 / T * sum_t s_t (M_t - B_t) / B_t, with s_t = -1 where lower is better
    (Maninis et al., CVPR 2019, Eq. 2; BMTAS section 4). NaN if any score is NaN.

    Args:
        scores: Score M_t by task.
        baseline: Score B_t of the single-task networks by task.
        higher_is_better: Direction by task.

    Raises:
        ValueError: The tasks differ, there are none, or a baseline score is zero.
    """
    gains = relative_gains(scores, baseline, higher_is_better)
    return sum(gains.values()) / len(gains)


def relative_gains(
    scores: Mapping[str, float],
    baseline: Mapping[str, float],
    higher_is_better: Mapping[str, bool],
) -> dict[str, float]:
    """The summands of ``delta_m``: each task's gain in percent, positive where better."""
    _check_tasks('the baseline', scores, baseline)
    _check_tasks('higher_is_better', scores, higher_is_better)
    gains = {}
    for task, score in scores.items():
        reference = baseline[task]
        if reference == 0:
            raise ValueError(
                f'Delta_m: the baseline score of task {task!r} is 0, a relative gain has no '
                'meaning; check the single-task run'
            )
        gain = 100 * (score - reference) / abs(reference)
        gains[task] = gain if higher_is_better[task] else -gain
    return gains


def compare_results(results: Mapping[str, Any], baseline: Mapping[str, Any] | str | Path) -> float:
    """Delta_m of one results dictionary against that of the single-task networks.

    Args:
        results: Content of a ``results.json`` (``scores``, ``score_names``, ``higher_is_better``).
        baseline: The same of the single-task networks, or the path of its file.

    Raises:
        ValueError: Tasks, score names or directions differ, or a baseline score is zero or null.
        FileNotFoundError: No such file.
    """
    where = 'the baseline'
    if isinstance(baseline, (str, Path)):
        where, baseline = str(baseline), load_results(baseline)
    _check_tasks(where, results['scores'], baseline['scores'])
    directions = results['higher_is_better']
    for key in ('score_names', 'higher_is_better'):
        for task, value in results[key].items():
            if baseline[key].get(task) != value:
                raise ValueError(
                    f'{where}: key {key!r} says {baseline[key].get(task)!r} for task {task!r}, '
                    f'the results say {value!r}; test both with the same task table'
                )
    scores = {
        task: math.nan if value is None else value for task, value in results['scores'].items()
    }
    return delta_m(scores, baseline['scores'], directions)


def load_results(path: str | Path) -> dict[str, Any]:
    """Read a ``results.json`` that can serve as baseline.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not JSON, a key is missing, or a score is null; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such results file; bmtas test writes it for the single-task networks'
        )
    results = read_json(path, 'results file')
    for key in ('scores', 'score_names', 'higher_is_better'):
        if not isinstance(results, dict) or not isinstance(results.get(key), dict):
            raise ValueError(
                f'{path}: key {key!r} is missing; give the results.json that bmtas test wrote'
            )
    for task, value in results['scores'].items():
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise ValueError(f'{path}: the score of task {task!r} is {value}, not a number')
        for key, kind in (('score_names', str), ('higher_is_better', bool)):
            if not isinstance(results[key].get(task), kind):
                raise ValueError(f'{path}: {key}.{task} is {results[key].get(task)!r}')
    return results


def _check_tasks(where: str, tasks: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    if not tasks:
        raise ValueError('Delta_m: there are no scores')
    if set(tasks) != set(others):
        raise ValueError(
            f'Delta_m: {where} has the tasks {sorted(others)}, the results have {sorted(tasks)}; '
            'both must come from the same task table'
        )
