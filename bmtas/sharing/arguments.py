"""Options of computation sharing for ``bmtas train`` and ``bmtas test``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any


def add(command: str, parser: ArgumentParser) -> None:
    """Add the options to a sub-command."""
    if command == 'train':
        group = parser.add_argument_group('computation sharing')
        group.add_argument('--stage', metavar='S', help='one stage: base, temporal, gates, ...')
        group.add_argument('--task', metavar='NAME', help='the task whose stage it is')
    elif command == 'test':
        group = parser.add_argument_group('computation sharing')
        group.add_argument('--thresholds', metavar='FILE', help='thresholds of bmtas calibrate')


def apply(args: Namespace, cfg: Any) -> Any:
    """The config for the options that were given."""
    stage, task = getattr(args, 'stage', None), getattr(args, 'task', None)
    if task is not None and stage is None:
        raise ValueError('--task: names whose stage is trained; give --stage, too')
    if stage is not None:
        from bmtas.sharing.section import section_of
        from bmtas.sharing.stages import prepare_stage

        task = section_of(cfg)['base_task'] if task is None else task
        return prepare_stage(cfg, stage, task, cfg.get('resume', False))
    if getattr(args, 'thresholds', None) is not None:
        encoder = (cfg.get('model') or {}).get('encoder') or {}
        if encoder.get('type') != 'DeltaEncoder':
            raise ValueError('--thresholds: the config shares no computation (DeltaEncoder)')
        cfg.model.encoder.thresholds = args.thresholds
    return cfg
