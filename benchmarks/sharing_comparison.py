"""Computation sharing on ShapeScenes: train and test all ways of docs/computation_sharing.md.

    python benchmarks/sharing_comparison.py run --dir D [--seed 0] [--rows sparse5 single ...]
    python benchmarks/sharing_comparison.py time --dir D [--seed 0]
    python benchmarks/sharing_table.py D/results.json [--out docs/images]

A run goes on where it was interrupted; rows that have results are skipped. ``time`` measures the
latencies by the processor's time of one thread.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from sharing_tester import Tester

from bmtas.datasets import ShapeScenes
from bmtas.engine.checkpoint import checkpoints_of
from bmtas.engine.config import load_config, select_tasks
from bmtas.engine.test import run_test
from bmtas.engine.train import run_training
from bmtas.files import read_json, write_json
from bmtas.registry import DATASETS, MODELS
from bmtas.resources import count_model, measure_latency, without_weights
from bmtas.sharing.accounting import clip_report, latencies
from bmtas.sharing.section import final_checkpoint, stage_config
from bmtas.sharing.share import NETWORK, write_network
from bmtas.sharing.stages import run_stages
from bmtas.sharing.thresholds import Thresholds, load_thresholds

PARTS = ('train', 'val', 'test')
BASE, MAIN = 'semseg', 'sparse5'
ELEMENTS, ROWS = (0.5, 0.7, 0.9), (0.3, 0.5, 0.7)
CLIPS, FRAMES = 5, 8

DATA = {
    'train_dataloader.dataset.length': 1000,
    'train_dataloader.batch_size': 8,
    'test_dataloader.dataset.length': 300,
    'test_dataloader.batch_size': 50,
    **{f'{part}_dataloader.num_workers': 0 for part in PARTS},
    **{f'{part}_dataloader.persistent_workers': False for part in PARTS},
    **{f'{part}_dataloader.dataset.type': 'KeptScenes' for part in PARTS},
}
NETWORKS: Mapping[str, tuple[str, Mapping[str, Any], Iterable[tuple[str, float]]]] = {
    MAIN: (
        'vit_shapescenes',
        {},
        [*(('elements', share) for share in ELEMENTS), *(('rows', share) for share in ROWS)],
    ),
    'rank8': ('vit_lowrank_shapescenes', {}, [('rows', 0.3), ('rows', 0.5)]),
    'finetuned': ('vit_finetuned_shapescenes', {}, []),
    'from3': (
        'vit_lowrank_shapescenes',
        {'model.encoder.from_layer': 3, 'sharing.stages.support.train_cfg.max_iters': 600},
        [],
    ),
    'rank4': (
        'vit_lowrank_shapescenes',
        {'model.encoder.delta.rank': 4},
        [('rows', 0.3), ('rows', 0.5)],
    ),
}
"""Rows that share: config, overrides, and goals of the thresholds."""
CLIP = {
    'train_dataloader.dataset.length': 125,
    'val_dataloader.dataset.clip': FRAMES,
    'test_dataloader.dataset.clip': FRAMES,
    'test_dataloader.dataset.length': CLIPS,
}
UNALIGNED, VIDEO = 'sharing/vit_shapescenes', 'video'
OTHERS = ('single', 'shared', 'branched')
ORDER = (
    'single',
    MAIN,
    'rank8',
    'finetuned',
    'shared',
    'from3',
    'branched',
    'rank4',
    'clips',
    VIDEO,
)


@DATASETS.register_module()
class KeptScenes(ShapeScenes):
    """ShapeScenes that all data sets of a process render once."""

    kept: dict[Any, dict[int, Any]] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        key = (self.split, self.seed, self.size, self.labels, self.clip)
        self._cache = self.kept.setdefault(key, {})


def config(
    name: str, folder: Path, args: argparse.Namespace, tasks: Any = None, **more: Any
) -> Any:
    """A config with the data of the comparison, reduced to its tasks."""
    options = more.get('options', {})
    cfg = load_config(name, {**DATA, 'randomness.seed': args.seed, **options}, work_dir=folder)
    select_tasks(cfg, tasks or [BASE, *args.tasks])
    cfg.launcher, cfg.experiment_name = 'none', folder.name
    return cfg


def other_config(kind: str, folder: Path, args: argparse.Namespace, tasks: list[str]) -> Any:
    """Config of a network without deltas, which is trained as the base is."""
    own = config(f'{kind}/vit_shapescenes', folder, args, tasks)
    like = config('sharing/vit_shapescenes', folder, args)
    own.param_scheduler, own.optim_wrapper.optimizer = (
        like.param_scheduler, like.optim_wrapper.optimizer,
    )  # fmt: skip
    if kind == 'branched':
        own.model.encoder.routes = [[0] * len(tasks)] * 3 + [list(range(len(tasks)))] * 4
    return own


def run_other(kind: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Networks without deltas, all tasks at once."""
    every = [BASE, *args.tasks]
    # the base is itself a ViT from scratch
    training = other_config(kind, folder, args, args.tasks if kind == 'single' else every)
    training.resume = bool(checkpoints_of(folder))
    if not (folder / f'iter_{training.train_cfg.max_iters}.pth').is_file():
        run_training(training)
    testing = other_config(kind, folder, args, list(training.tasks))
    found = run_test(testing, checkpoints_of(folder)[0], sheet=0)
    whole = other_config(kind, folder, args, every)
    cost = count_model(MODELS.build(without_weights(whole.model)), whole.input_size)
    madds = dict.fromkeys(('dense', 'effective', 'executed'), cost['madds'])
    return dict(facts(found), madds=madds, stored=4 * cost['params'])


def facts(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a table needs of a result."""
    return {key: found[key] for key in ('scores', 'score_names', 'higher_is_better')}


def train_network(name: str, folder: Path, args: argparse.Namespace) -> Any:
    """Train a network with deltas unless that was done; its config."""
    path, options, _ = NETWORKS.get(name, ('vit_clips_shapescenes', CLIP, []))
    cfg = config(f'sharing/{path}', folder, args, options=options)
    base = final_checkpoint(stage_config(cfg, 'base', BASE))
    main = folder.parent / MAIN / base.relative_to(folder)
    # the delta's options change nothing of the base
    if name != VIDEO and main.is_file() and not base.is_file():
        base.parent.mkdir(parents=True)
        shutil.copy(main, base)
    if name == 'from3':
        cfg.sharing.stages.pop('align')  # nothing will be thresholded
    if not (folder / NETWORK).is_file():
        run_stages(cfg, args.tasks, resume=True)
        write_network(cfg, folder)
    return cfg


def run_clips(name: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Networks of rank 8 on clips: scores and cost by frame.

    ``video`` is trained for them, on as many frames as the others on scenes; ``clips`` are the
    networks of the row ``rank8``, which saw single images.
    """
    if name == VIDEO:
        cfg, network = train_network(VIDEO, folder, args), None
    else:
        options = {**CLIP, 'model.encoder.video': dict(interval=4, switch_layer=3)}
        cfg = config('sharing/vit_lowrank_shapescenes', folder, args, options=options)
        network = folder.parent / 'rank8' / NETWORK
    cfg.test_cfg = dict(type='ClipTestLoop')
    folder.mkdir(parents=True, exist_ok=True)
    tester, found = Tester(cfg, folder, network), {}
    for share in (0.0, 0.5):
        tester.set(tester.thresholds('rows', share) if share else Thresholds(0.0, True))
        tester.runner.test_loop.run()
        own = clip_report(tester.model, *tester.model.clips, tester.size)
        found[f'rows{round(100 * share)}'] = own
    return found


def keep(args: argparse.Namespace, name: str, found: Mapping[str, Any]) -> None:
    """Add a row to ``results.json``."""
    path = args.dir / 'results.json'
    data = read_json(path, 'results') if path.is_file() else {}
    row = data.setdefault(f'seed{args.seed}', {}).setdefault(name, {})
    row.update(found)
    write_json(path, data)
    print(f'seed {args.seed}: {name}', flush=True)


def finished(args: argparse.Namespace) -> Mapping[str, Any]:
    """The rows that this seed has."""
    path = args.dir / 'results.json'
    return read_json(path, 'results').get(f'seed{args.seed}', {}) if path.is_file() else {}


def run_network(name: str, folder: Path, args: argparse.Namespace) -> None:
    """Train a network with deltas, test it at tau = 0 and at its thresholds."""
    cfg = train_network(name, folder, args)
    tester = None
    goals = [(None, 0.0), *NETWORKS[name][2]]
    for goal, share in goals:
        label = name if goal is None else f'{name} {goal}{round(100 * share)}'
        if label not in finished(args):
            tester = tester or Tester(cfg, folder)
            found = None if goal is None else tester.thresholds(goal, share)
            keep(args, label, tester.test(found))


def run_unaligned(folder: Path, args: argparse.Namespace) -> None:
    """The sparse network before its align stage, at the same shares."""
    target = folder.parent / 'unaligned'
    cfg = config(UNALIGNED, folder, args)
    cfg.sharing.stages.pop('align')
    write_network(cfg, target)
    tester = Tester(cfg, target)
    for goal, share in ((None, 0.0), ('elements', 0.7), ('rows', 0.5)):
        label = 'unaligned' if goal is None else f'unaligned {goal}{round(100 * share)}'
        if label not in finished(args):
            keep(args, label, tester.test(goal and tester.thresholds(goal, share)))


def run(args: argparse.Namespace) -> None:
    """Train and test every row that is missing."""
    top = args.dir / f'seed{args.seed}'
    for name in args.rows or ORDER:
        folder = top / name
        if name in NETWORKS:
            run_network(name, folder, args)
            if name == MAIN and 'unaligned rows50' not in finished(args):
                run_unaligned(folder, args)
        elif name not in finished(args):
            work = run_other if name in OTHERS else run_clips
            keep(args, name, work(name, folder, args))


def measure(args: argparse.Namespace) -> None:
    """Latency of each row: with deltas by task, of other networks as a whole."""
    image = None
    for name in (*NETWORKS, 'unaligned', *OTHERS):
        folder = args.dir / f'seed{args.seed}' / name
        rows = [row for row in finished(args) if row.split()[0] == name]
        if rows and name in OTHERS:
            cfg = other_config(name, folder, args, [BASE, *args.tasks])
            model = MODELS.build(without_weights(cfg.model))
            spent = measure_latency(model, image, clock=time.process_time)
            keep(args, name, dict(latency_ms=dict(all=spent / 1000)))
        elif rows:
            trained = name in NETWORKS
            cfg = train_network(name, folder, args) if trained else config(UNALIGNED, folder, args)
            tester = Tester(cfg, folder)
            image = tester.frames[0][:1]
            for row in rows:
                label = row.removeprefix(name).strip()
                path = folder / f'thresholds_{label}.json'
                tester.set(load_thresholds(path) if label else None)
                keep(args, row, dict(latency_ms=latencies(tester.model, image)))


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    import mmengine.config.config

    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('command', choices=('run', 'time'))
    parser.add_argument('--dir', type=Path, required=True)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--tasks', nargs='+', default=['human_parts', 'sal', 'normals', 'depth', 'edge']
    )
    parser.add_argument('--rows', nargs='+', choices=ORDER, help='names of rows; all by default')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    # laying out the configs that are saved takes longer than a test
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)
    (run if args.command == 'run' else measure)(args)


if __name__ == '__main__':
    main()
