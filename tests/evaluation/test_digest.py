"""What is shown of many tasks."""

import math

import pytest

from bmtas.engine.log_processor import _losses
from bmtas.engine.results import lines_of, results_table
from bmtas.evaluation import digest, extremes, shown_tasks


def table(count, **more):
    scores = {f't{i:02}': float((37 * i) % 101) for i in range(count)} | more
    names = {task: 'rmse' if task in more else 'accuracy' for task in scores}
    return scores, names, {task: task not in more for task in scores}


def test_few_tasks_have_a_line_each():
    scores, names, higher = table(11, depth=0.5)
    lines = digest(scores, names, higher)
    assert [line.label for line in lines] == list(scores)
    assert [line.value(scores) for line in lines] == list(scores.values())


def test_many_tasks_by_sorting():
    scores, names, higher = table(40, depth=0.5, normals=math.nan)
    scores['t07'] = None
    lines = digest(scores, names, higher)
    known = {k: v for k, v in scores.items() if k.startswith('t') and v is not None}
    order = sorted(known, key=known.get)
    mean = lines[0]
    assert mean.label == 'mean of 40' and mean.value(scores) == sum(known.values()) / 39
    assert [line.label for line in lines[1:4]] == [f'worst {name}' for name in order[:3]]
    assert [line.label for line in lines[4:7]] == [f'best {name}' for name in order[:-4:-1]]
    # scores of which there are few keep their lines
    assert [line.label for line in lines[7:]] == ['depth', 'normals']
    assert lines[8].value(scores) is None
    assert shown_tasks(lines) == [*order[:3], *order[:-4:-1], 'depth', 'normals']


def test_lower_is_better_turns_worst_and_best():
    values = dict(a=1.0, b=3.0, c=2.0, d=None, e=math.inf)
    assert extremes(values, True, 2) == (['a', 'c'], ['b', 'c'])
    assert extremes(values, False, 2) == (['b', 'c'], ['a', 'c'])


def test_the_table_of_a_test_is_short():
    scores, names, higher = table(312)
    results = dict(
        tasks=list(scores), scores=scores, score_names=names, higher_is_better=higher,
        params=10, delta_m=None, constant=dict.fromkeys(scores, 50.0),
    )  # fmt: skip
    text = results_table(results)
    assert len(text.splitlines()) == 8 and 'mean of 312' in text
    assert text.count('constant gets 50') == 7 and len(lines_of(results)) == 7


def test_the_line_of_losses_is_short():
    tag = {'loss': 40.0, 'loss_resource': 1.0} | {f'loss_t{i}': i / 10 for i in range(40)}
    line = _losses(tag, '')
    assert line.startswith('loss 40.000 = 40 tasks (mean 1.95, highest t39 3.9, t38 3.8, t37 3.7')
    assert 'lowest t0 0, t1 0.1, t2 0.2' in line and len(line) < 150
    few = {'loss': 3.0, 'loss_a': 1.0, 'loss_b': 2.0}
    assert _losses(few, '') == 'loss 3.000 = a 1 + b 2'


def test_comparison_and_report_show_few_columns(tmp_path):
    from bmtas.apis import comparison_csv, comparison_table, read_entries
    from bmtas.apis.reports import _columns
    from bmtas.files import write_json

    scores, names, higher = table(40)
    runs = []
    for method, shift in (('a', 0.0), ('b', 1.0)):
        run = dict(
            method=method, tasks=list(scores), scores={k: v + shift for k, v in scores.items()},
            score_names=names, higher_is_better=higher, madds=10**9, params=10**6,
            convention='mac', input_size=[32, 32], seed=0, config='c.py', delta_m=None,
            metrics={k: {names[k]: v + shift} for k, v in scores.items()},
        )  # fmt: skip
        write_json(tmp_path / method / 'results.json', run)
        runs.append(run)
    entries, _ = read_entries([str(tmp_path)], None)
    text = comparison_table(entries)
    head = text.splitlines()[0]
    assert head.count('↑') == 7 and 'mean of 40 accuracy ↑' in head and len(head) < 200
    mean = sum(scores.values()) / 40
    assert f'{mean:.2f}' in text and f'{mean + 1:.2f}' in text
    assert comparison_csv(entries).splitlines()[0].count('t') > 40  # the file holds all
    heads = [column['head'] for column in _columns(runs)]
    assert heads[0] == 'mean of 40' and sum(head.startswith('worst') for head in heads) == 3
    assert _columns(runs)[0]['cells'][1]['text'] == f'{mean + 1:.4g}'


@pytest.mark.parametrize('count', [12, 13])
def test_the_limit(count):
    assert len(digest(*table(count))) == (12 if count == 12 else 7)
