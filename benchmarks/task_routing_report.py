"""Tables and picture of the study of task routing, from the file that it collects."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import NullFormatter, ScalarFormatter

from bmtas.engine.config import load_config
from bmtas.files import read_json, write_json, write_text
from bmtas.registry import DATASETS
from bmtas.resources.report import markdown
from bmtas.tasks import build_tasks
from bmtas.visualization import new_figure, plain_axes, save_figure
from bmtas.visualization.palettes import INK, task_colours

CONFIGS = Path(__file__).resolve().parent.parent / 'configs' / 'task_routing'
Found = Mapping[str, Any]
COLUMNS_OF_TASKS = ('scores', 'accuracy', 'madds_by_task')
COLUMNS = ('network', 'seeds', 'balanced accuracy', 'worst task', 'accuracy', 'M MAdds, one', 'all')
RATIOS = r'(keep|single|shared).*_seed\d+$'
"""Names of the networks of 40 attributes in the picture."""


def collect(folder: Path, path: Path) -> None:
    """Write scores and costs of all finished networks, and the accuracy of the majority class.

    Of a file that exists that accuracy is kept: it takes minutes and depends on the data alone.
    """
    networks = {}
    for file in sorted(folder.glob('*/results.json')):
        found = json.loads(file.read_text())
        tasks = found['tasks']
        columns = dict(
            tasks=tasks,
            scores=[f'{found["scores"][task]:.2f}' for task in tasks],
            accuracy=[f'{found["metrics"][task]["accuracy"]:.2f}' for task in tasks],
            madds_by_task=[str(found['madds_by_task'][task]) for task in tasks],
        )
        lines = {key: ' '.join(values) for key, values in columns.items()}
        networks[file.parent.name] = dict(lines, madds=found['madds'])
    known = read_json(path, 'results of the study')['majority'] if path.is_file() else None
    names = ('vgg11_bn_shapes40', 'vgg11_bn_digits')
    frequent = known or {name: majority(name) for name in names}
    write_json(path, dict(majority=frequent, networks=networks))


def majority(name: str) -> float:
    """Accuracy, in percent, of always answering the class that is most frequent in training."""
    cfg = load_config(CONFIGS / f'{name}.py')
    tasks, rows = build_tasks(cfg.tasks), []
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        data = DATASETS.build(dict(loader.dataset, pipeline=[]))
        labels = [data[index]['labels'] for index in range(len(data))]
        rows.append(np.array([[int(label[t.label]) for t in tasks] for label in labels]))
    answers = rows[0].mean(0) > 0.5
    return round(100 * float((rows[1] == answers).mean()), 1)


def networks_of(content: Mapping[str, Any]) -> dict[str, Found]:
    """Networks by name: ``tasks``, ``madds``, and a number for each task of the other keys."""
    return {
        name: dict(
            madds=line['madds'],
            tasks=line['tasks'].split(),
            **{key: [float(x) for x in line[key].split()] for key in COLUMNS_OF_TASKS},
        )
        for name, line in content['networks'].items()
    }


def report(path: Path, docs: Path | None, plot: Path | None) -> None:
    """Print the tables or set them into a page, and draw the picture."""
    content = read_json(path, 'results of the study')
    found = networks_of(content)
    made = tables(content)
    if docs:
        write_text(docs, filled(docs.read_text(), made))
    else:
        print('\n\n'.join(f'{name}\n\n{table}' for name, table in made.items()))
    if plot:
        draw(found, on_twenty(found), plot)


def tables(content: Mapping[str, Any]) -> dict[str, str]:
    """Markdown of all tables by name."""
    found, made = networks_of(content), {}
    for title, pattern, data in (
        ('ratios', r'(keep|shared_|single).*seed\d+$', 'vgg11_bn_shapes40'),
        ('weighted', 'weighted', 'vgg11_bn_shapes40'),
        ('variants', 'draw_|scheme_', 'vgg11_bn_shapes40'),
        ('digits', 'digits', 'vgg11_bn_digits'),
    ):
        rows = [row(*pair) for pair in by_seed(found, pattern).items()]
        frequent = [
            'majority class',
            '',
            '50.0',
            '50.0',
            f'{content["majority"][data]:.1f}',
            '',
            '',
        ]
        made[title] = markdown(COLUMNS, [*rows, frequent])
    if twenty := on_twenty(found):
        made['search'] = markdown(COLUMNS, [row(*pair) for pair in twenty.items()])
    return made


def filled(text: str, made: Mapping[str, str]) -> str:
    """A page with the table behind each mark ``<!-- table: NAME -->`` replaced.

    Raises:
        KeyError: A mark names no table.
    """
    mark = re.compile(r'(<!-- table: (\w+) -->\n\n)(?:\|.*\n)*')
    return mark.sub(lambda match: f'{match[1]}{made[match[2]]}\n', text)


def by_seed(found: Found, pattern: str) -> dict[str, list[Found]]:
    """Networks whose name begins with a pattern, those that differ in the seed together."""
    groups: dict[str, list[Found]] = {}
    for name in found:
        if re.match(pattern, name):
            groups.setdefault(re.sub(r'_seed\d+$', '', name), []).append(found[name])
    return dict(sorted(groups.items()))


def row(name: str, runs: Sequence[Found]) -> list[str]:
    """A line of a table: means over seeds, deviation of the score."""
    means = [statistics.fmean(run['scores']) for run in runs]
    spread = f' ± {statistics.stdev(means):.1f}' if len(means) > 1 else ''
    one, every = (statistics.fmean(map(cost, runs)) / 1e6 for cost in (one_task, all_tasks))
    return [
        name,
        str(len(runs)),
        f'{statistics.fmean(means):.1f}{spread}',
        f'{statistics.fmean(min(run["scores"]) for run in runs):.1f}',
        f'{statistics.fmean(statistics.fmean(run["accuracy"]) for run in runs):.1f}',
        f'{one:.2f}',
        f'{every:.1f}',
    ]


def one_task(run: Found) -> float:
    """Mean multiply-adds of one task alone."""
    return statistics.fmean(run['madds_by_task'])


def all_tasks(run: Found) -> float:
    """Multiply-adds of all tasks."""
    return run['madds']


def on_twenty(found: Found) -> dict[str, list[Found]]:
    """The networks of 40 attributes as if they had the attributes of the search alone.

    Masks of two tasks are never equal there, so all tasks cost the sum.
    """
    if 'tree20' not in found:
        return {}
    tasks = found['tree20']['tasks']
    rows = {name: [found[name]] for name in ('tree20', 'shared20') if name in found}
    for name, runs in by_seed(found, RATIOS).items():
        rows[name] = [part_of(run, tasks) for run in runs]
    return rows


def part_of(run: Found, tasks: Sequence[str]) -> Found:
    """A network reduced to some of its tasks."""
    names = run['tasks']
    chosen = [names.index(task) for task in tasks]
    part = {
        key: [run[key][index] for index in chosen]
        for key in ('scores', 'accuracy', 'madds_by_task')
    }
    apart = run['madds'] > 1.5 * max(run['madds_by_task'])
    return dict(part, madds=sum(part['madds_by_task']) if apart else run['madds'])


def draw(found: Found, twenty: Mapping[str, Sequence[Found]], path: Path) -> None:
    """Balanced accuracy against the cost of one task and of all, for 40 attributes and for 20."""
    forty = by_seed(found, RATIOS)
    parts = [('40 attributes', forty), *([('20 attributes', twenty)] if twenty else [])]
    figure = new_figure(8, 3.6 * len(parts))
    grid = figure.subplots(len(parts), 2, sharey='row', squeeze=False)
    colours = dict(zip(dict.fromkeys([*forty, *twenty]), task_colours(len({*forty, *twenty}))))
    for line, (title, groups) in zip(grid, parts):
        for axes, what, cost in zip(line, ('one task', 'all tasks'), (one_task, all_tasks)):
            points(axes, groups, cost, colours)
            axes.set_xlabel(f'{title}: MAdds of {what} (million)', color=INK)
        line[0].set_ylabel('mean balanced accuracy (%)', color=INK)
    save_figure(figure, path)


def points(
    axes: Any,
    groups: Mapping[str, Sequence[Found]],
    cost: Callable[[Found], float],
    colours: Mapping[str, Any],
) -> None:
    """A point for each network, the mean of its seeds; the single seeds are small."""
    plain_axes(axes, grid=True)
    for name, runs in groups.items():
        x = statistics.fmean(map(cost, runs)) / 1e6
        each = [statistics.fmean(run['scores']) for run in runs]
        y = statistics.fmean(each)
        axes.plot([x] * len(each), each, '.', color=colours[name], markersize=4)
        axes.plot(x, y, 'o', color=colours[name])
        label = name.replace('keep', '').replace('_', ' ')
        # below the point, where other networks of the same cost have theirs above
        low = name in ('keep1.0', 'shared_long')
        place = dict(xytext=(5, -9 if low else 4), textcoords='offset points')
        axes.annotate(label, (x, y), fontsize=7, color=INK, **place)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.25, 0.2)
