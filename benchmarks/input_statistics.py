"""Inputs mapped to [-1, 1] against ImageNet's mean and deviation, from ImageNet weights.

    python benchmarks/input_statistics.py --dir D --camvid FOLDER [--seeds 0 1 2]

Trains and tests what is missing in D and prints the table of docs/results.md. One shared
MobileNetV2 (extra ``weights``) with the optimizer of docs/comparison.md, on ShapeScenes at 64x64
and on CamVid at 60x80. A pair of runs differs in ``model.data_preprocessor.normalize`` alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch

from bmtas.apis import test, train
from bmtas.evaluation import compare_results
from bmtas.files import read_json, write_text
from bmtas.resources.report import markdown

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
NORMALIZE = ('unit', 'imagenet')
UPDATES = 300
LENGTHS = {
    'shapescenes': {
        'train_dataloader.dataset.length': 500,
        'test_dataloader.dataset.length': 200,
    },
    'camvid': {},
}
CAMVID = """# CamVid at a third of its resolution, with the optimizer of docs/comparison.md.
_base_ = [
    '{configs}/_base_/datasets/camvid.py',
    '{configs}/_base_/models/mobilenetv2_shared.py',
    '{configs}/_base_/schedules/retrain_short.py',
    '{configs}/_base_/default_runtime.py',
]
input_size = (60, 80)
tasks = dict(edge=dict(metric=dict(_delete_=True, type='EdgeFMeasure')))
model = dict(encoder=dict(backbone=dict(weights='offline')))
_small = dict(type='Resize', size=(60, 80), lines=['edge'])
_loader = dict(num_workers=0, persistent_workers=False, batch_size=8)
_test = dict(dataset=dict(pipeline=[_small, dict(type='PackSample')]), **_loader)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            _small,
            dict(type='RandomScale', scales=[0.75, 1.0, 1.25, 1.5]),
            dict(type='RandomCrop', size=(56, 80)),
            dict(type='RandomHorizontalFlip'),
            dict(type='PackSample'),
        ]
    ),
    **_loader,
)
val_dataloader = _test
test_dataloader = _test
val_cfg = None
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    optimizer=dict(_delete_=True, type='AdamW', lr=4e-3, weight_decay=1e-4),
)
"""


def run(root: Path, data: str, seed: int, camvid: Path) -> None:
    """Train and test what is missing of both members of a pair."""
    config, data_root = CONFIGS / 'comparison/shared.py', None
    if data == 'camvid':
        config, data_root = root / 'camvid.py', camvid
        write_text(config, CAMVID.format(configs=CONFIGS))
    for normalize in NORMALIZE:
        out = root / data / normalize / f'seed{seed}'
        if (out / 'results.json').is_file():
            continue
        options = {'model.data_preprocessor.normalize': normalize, 'randomness.seed': seed}
        options |= {'method': normalize, 'train_cfg.val_interval': UPDATES}
        options |= {'train_cfg.max_iters': UPDATES, **LENGTHS[data]}
        places = dict(work_dir=out, data_root=data_root)
        train(config, options=options, resume=out.is_dir(), **places)
        test(config, out / f'iter_{UPDATES}.pth', options=options, **places)


def table(root: Path, data: str, seeds: Sequence[int]) -> str:
    """Markdown: scores of both by task, and how much better the second is, seed by seed."""
    results = {
        n: [read_json(root / data / n / f'seed{s}' / 'results.json', 'results') for s in seeds]
        for n in NORMALIZE
    }
    first = results['unit'][0]
    gains = [compare_results(b, a) for a, b in zip(results['unit'], results['imagenet'])]
    rows = []
    for name, runs in results.items():
        scores = [_spread([run['scores'][task] for run in runs]) for task in first['tasks']]
        rows.append([data, name, *scores, _spread(gains, '+.2f') if name == 'imagenet' else ''])
    heads = [
        f'{task} {first["score_names"][task]} {"↑" if first["higher_is_better"][task] else "↓"}'
        for task in first['tasks']
    ]
    return markdown(['data', 'normalize', *heads, 'gain (%)'], rows)


def _spread(values: Sequence[float], form: str = '.4g') -> str:
    """Mean and deviation (n - 1)."""
    text = format(mean(values), form)
    return f'{text} ± {stdev(values):{form.lstrip("+")}}' if len(values) > 1 else text


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--dir', type=Path, required=True, help='folder of the runs')
    parser.add_argument('--camvid', type=Path, required=True, help='folder of CamVid')
    parser.add_argument('--data', nargs='+', choices=list(LENGTHS), default=list(LENGTHS))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    root = args.dir.absolute()
    for seed in args.seeds:
        for data in args.data:
            run(root, data, seed, args.camvid.absolute())
    for data in args.data:
        print(table(root, data, args.seeds) + '\n')


if __name__ == '__main__':
    main()
