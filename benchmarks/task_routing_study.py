"""Keep ratios, both ends, real digits: the study in docs/task_routing.md.

    python benchmarks/task_routing_study.py run DIR [--updates 5000] [--seeds 0 1] [--only NAME ...]
    python benchmarks/task_routing_study.py report DIR [--plot FILE.png]

`run` trains and tests one network after the other, each in a folder of DIR; what is finished is
skipped, what was cut off goes on. Every network sees the same number of pairs of image and task:
32 a batch, times --updates. `report` prints a Markdown table of what is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import NullFormatter, ScalarFormatter

from bmtas.resources.report import markdown
from bmtas.visualization import new_figure, plain_axes, save_figure
from bmtas.visualization.palettes import INK, task_colours

ROOT = Path(__file__).resolve().parent.parent
KEEP = (0.5, 1.0, 0.25, 0.75, 0.1, 0.9)
BATCH = 32
WITHOUT_VALIDATION = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')


def runs(updates: int, seeds: Sequence[int]) -> Iterator[tuple[str, str, list[str]]]:
    """Name, config and options of each network; the most telling ones first."""
    for seed in seeds:
        common = [f'randomness.seed={seed}']
        all_at_once = f'train_cfg.max_iters={updates // 40}'
        yield f'shared_seed{seed}', 'vgg11_bn_shapes40_shared', [all_at_once, *common]
        # ten times as many pairs, a quarter of the passes of a routed network
        longer = f'train_cfg.max_iters={updates // 4}'
        yield f'shared_long_seed{seed}', 'vgg11_bn_shapes40_shared', [longer, *common]
        length = f'train_cfg.max_iters={updates}'
        for keep in KEEP:
            options = [f'model.encoder.keep_ratio={keep}', f'model.encoder.seed={seed}']
            yield f'keep{keep}_seed{seed}', 'vgg11_bn_shapes40', [length, *options, *common]
        yield f'single_seed{seed}', 'vgg11_bn_shapes40_single', [length, *common]
    yield 'digits_keep0.5', 'vgg11_bn_digits', ['train_cfg.max_iters=2000']
    shared = ['train_cfg.tasks_per_step=all', 'model.encoder.keep_ratio=1.0']
    yield 'digits_shared', 'vgg11_bn_digits', ['train_cfg.max_iters=91', *shared]


def run(folder: Path, updates: int, seeds: Sequence[int], only: Sequence[str]) -> None:
    """Train and test what is not finished."""
    for name, config, options in runs(updates, seeds):
        work = folder / name
        if (work / 'results.json').is_file() or not any(word in name for word in only):
            continue
        config = str(ROOT / 'configs' / 'task_routing' / f'{config}.py')
        where = ['--work-dir', str(work)]
        batch = f'train_dataloader.batch_size={BATCH}'
        changed = ['--cfg-options', batch, *WITHOUT_VALIDATION, *options]
        _call('train', config, *where, '--resume', *changed)
        checkpoint = (work / 'last_checkpoint').read_text().strip()
        _call('test', config, checkpoint, *where, '--cfg-options', *options)


def _call(*words: str) -> None:
    subprocess.run([sys.executable, '-m', 'bmtas', *words], check=True)


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Results by name, those that are there."""
    files = sorted(folder.glob('*/results.json'))
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def row(name: str, found: Mapping[str, Any]) -> list[str]:
    """One line of the table."""
    scores = list(found['scores'].values())
    accuracy = statistics.fmean(m['accuracy'] for m in found['metrics'].values())
    one = _one_task(found)
    return [
        name,
        f'{statistics.fmean(scores):.1f}',
        f'{min(scores):.1f}',
        f'{accuracy:.1f}',
        '-' if one is None else f'{one / 1e6:.2f}',
        f'{found["madds"] / 1e6:.1f}',
    ]


def _one_task(found: Mapping[str, Any]) -> float | None:
    by_task = found.get('madds_by_task')
    return statistics.fmean(by_task.values()) if by_task else None


def draw(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Mean balanced accuracy against the cost of one task and of all tasks."""
    figure = new_figure(8, 3.6)
    titles = ('MAdds of one task (million)', 'MAdds of all tasks (million)')
    attributes = {name: run for name, run in found.items() if len(run['tasks']) == 40}
    colours = task_colours(len(attributes))
    for axes, title, cost in zip(
        figure.subplots(1, 2, sharey=True), titles, (_one_task, lambda run: run['madds'])
    ):
        plain_axes(axes, grid=True)
        for (name, run), colour in zip(attributes.items(), colours):
            if (x := cost(run)) is not None:
                y = statistics.fmean(run['scores'].values())
                axes.plot(x / 1e6, y, 'o', color=colour)
                axes.annotate(
                    name.rpartition('_seed')[0], (x / 1e6, y), xytext=(5, 4),
                    textcoords='offset points', fontsize=7, color=INK,
                )  # fmt: skip
        axes.set_xscale('log')
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.2)
        axes.set_xlabel(title, color=INK)
    figure.axes[0].set_ylabel('mean balanced accuracy (%)', color=INK)
    save_figure(figure, path)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('run', 'report'))
    parser.add_argument('folder', type=Path)
    parser.add_argument('--updates', type=int, default=5000, help='of 32 images and one task')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--only', nargs='+', default=[''], help='runs whose name holds this')
    parser.add_argument('--plot', type=Path)
    args = parser.parse_args(argv)
    if args.what == 'run':
        run(args.folder, args.updates, args.seeds, args.only)
        return
    found = read(args.folder)
    header = ['network', 'balanced accuracy', 'worst task', 'accuracy', 'M MAdds, one', 'all']
    print(markdown(header, [row(name, result) for name, result in found.items()]))
    if args.plot:
        draw(found, args.plot)


if __name__ == '__main__':
    main()
