"""The tables of docs/ncp.md: edits of one and of several tasks, baselines at equal predictor calls.

Train the predictors of the settings seg, cls-50-1000 and video first, then
``python benchmarks/ncp_tables.py --data-root DIR``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bmtas.engine.config import load_config
from bmtas.registry import STRATEGIES

CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'ncp'
OUT = Path('work_dirs/ncp/tables')
METRICS = ('seg/mIoU', 'cls-50-1000/top1', 'video/top1')
SEG, CLS, VIDEO = ({'setting': name.split('/')[0]} for name in METRICS)


def search(name: str, label: str, data_root: str, **options: Any) -> dict[str, Any]:
    """Run the search of a config with other options; returns its report."""
    cfg = load_config(CONFIGS / f'{name}.py', data_root=data_root)
    strategy = STRATEGIES.build({**cfg.search, 'picture': False, **options})
    context = SimpleNamespace(
        cfg=cfg, work_dir=OUT / label.replace(' ', '_'), log=lambda text: None
    )
    return strategy.run(context)


def edits(data_root: str) -> None:
    """Edits of one and of several tasks from one start; the judge in brackets."""
    cases: dict[str, dict[str, Any]] = {
        'seg only': dict(goals=[SEG]),
        'cls only': dict(goals=[CLS]),
        'video only': dict(goals=[VIDEO]),
        'joint, sum': {},
        'joint, mean': dict(combine='mean'),
        'joint, worst': dict(combine='worst'),
        'seg + cls': dict(goals=[SEG, CLS]),
        "video's code edited for seg": dict(
            goals=[SEG], start=str(OUT / 'video_only' / 'ncp.json')
        ),
    }
    for label, options in cases.items():
        report = search('propagate_joint', label, data_root, **options)
        if label == 'seg only':
            show('start', report['trajectory'][0])
        show(label, report['chosen'], report['seconds']['cpu'])


def show(label: str, code: dict[str, Any], seconds: float = 0.0) -> None:
    """One row of a table."""
    judged = code.get('judged') or {}
    cells = [
        f'{code["predicted"][name]["mean"]:.2f}'
        + (f' ({judged[name]:.2f})' if name in judged else '')
        for name in METRICS
    ]
    print(f'| {label} | {" | ".join(cells)} | {code["madds_g"]:.2f} |  {seconds:.2f} CPU s')


def baselines(data_root: str) -> None:
    """Objective reached with 142 and with 4544 predictor calls."""
    starts = dict(start='random', starts=32)
    rows = {
        'continuous': [('propagate_seg', {}), ('propagate_seg', starts)],
        'greedy': [('propagate_seg_greedy', {})],
    }
    for name in ('random', 'local', 'evolution'):
        rows[name] = [(f'{name}_seg', dict(calls=calls)) for calls in (142, 4544)]
    for label, runs in rows.items():
        cells = []
        for name, options in runs:
            report = search(name, label, data_root, **options)
            value, seconds = report['chosen']['objective'], report['seconds']['cpu']
            cells.append(f'{value:.3f} ({report["predictor_calls"]} calls, {seconds:.2f} CPU s)')
        print(f'| {label} | {" | ".join(cells)} |')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-root', default='data/nas_bench_mr', metavar='DIR')
    root = parser.parse_args().data_root
    edits(root)
    baselines(root)
