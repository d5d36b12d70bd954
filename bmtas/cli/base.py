"""What all sub-commands share: arguments, and errors in one line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from bmtas.plug_ins import plug_in_arguments

USER_ERRORS = (ValueError, KeyError, OSError)
"""Exceptions that a user's mistake, or the machine's state, raises; each carries one sentence."""

_REMEDIES = (
    (
        ('out of memory', "can't allocate memory", 'DefaultCPUAllocator', 'MemoryError'),
        'out of memory: take a smaller train_dataloader.batch_size or images, fewer num_workers, '
        'or --amp',
    ),
    (
        ('DataLoader worker (pid',),
        'a worker that reads data has died; if the system killed it for memory, take fewer '
        'num_workers; --resume goes on',
    ),
    (
        ('Connection closed by peer', 'Connection reset by peer', 'ncclRemoteError'),
        "another process of the run has died; the launcher's table says which rank and exit code; "
        '--resume goes on',
    ),
    (
        ('MLFLOW_ALLOW_FILE_STORE',),
        'set MLFLOW_ALLOW_FILE_STORE=true, or give MLflowVisBackend a database: '
        "tracking_uri='sqlite:///mlflow.db'",
    ),
    (('EADDRINUSE', 'Address already in use'), 'choose another port with PORT=29501 in front'),
    (
        ('Expected more than 1 value per channel',),
        'batch norm cannot normalise one image whose features are 1x1: take a larger '
        'train_dataloader.batch_size (or drop_last=True), or larger images',
    ),
)
"""Words in an error of a library, and what to do about it."""


CONFIG_HELP = 'config file, or a name that bmtas configs lists'
QUANTITIES = ('madds', 'params', 'activations', 'latency')


class ToolParser(argparse.ArgumentParser):
    """Argument parser whose errors are one line.

    Args:
        name: The sub-command that it belongs to.
        kwargs: Of ``argparse.ArgumentParser``.
    """

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault('allow_abbrev', False)  # --resum is a mistake
        if name is not None:
            kwargs['prog'] = f'bmtas {name}'
        super().__init__(**kwargs)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, with the options that plug-ins add to the sub-command."""
        command = self.prog.removeprefix('bmtas ')
        for plug_in in plug_in_arguments():
            plug_in.add(command, self)
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message} (see {self.prog} --help)\n')


class Options(argparse.Action):
    """``--cfg-options a.b=c tasks.0.weight=2``: overrides by dotted key, as in mmengine."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        from mmengine.config import DictAction

        for text in values:
            key, equals, value = text.partition('=')
            if not (key and equals):
                parser.error(f'{option_string}: {text!r} is not of the form key=value')
            if 'dict(' in value or value.startswith('{'):
                parser.error(f'{option_string}: {text!r}: give the entries one by one: {key}.a=b')
        known = dict(getattr(namespace, self.dest) or {})
        try:
            DictAction([option_string], self.dest)(parser, namespace, values, option_string)
        except Exception as error:  # unbalanced brackets end in many ways
            parser.error(f'{option_string}: {" ".join(values)}: {error or "cannot be read"}')
        # the option may be given more than once; later values win
        setattr(namespace, self.dest, {**known, **getattr(namespace, self.dest)})


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every tool that reads a config takes."""
    parser.add_argument('config', metavar='CONFIG', help=CONFIG_HELP)
    parser.add_argument('--work-dir', metavar='DIR', help='folder of the run')
    parser.add_argument('--data-root', metavar='DIR', help='folder of the data set')
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override any key of the config: a.b=c, list entries by number: tasks.0.weight=2',
    )


def add_run_arguments(parser: argparse.ArgumentParser, resume: bool = True) -> None:
    """Add what every tool that starts a run takes."""
    if resume:
        parser.add_argument(
            '--resume',
            action='store_true',
            help='go on from the newest checkpoint of the run in the work dir that loads',
        )
        parser.add_argument(
            '--overwrite',
            action='store_true',
            help='delete the checkpoints of the run that is in the work dir, and start anew',
        )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision in bfloat16, on GPU and CPU'
    )
    parser.add_argument(
        '--launcher',
        choices=('none', 'pytorch', 'slurm', 'mpi'),
        default='none',
        help='how the processes of a distributed run were started',
    )
    # set by torch.distributed.launch, unused: LOCAL_RANK is read from the environment
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every tool that starts many runs takes."""
    parser.add_argument(
        '--jobs', type=int, default=1, metavar='N', help='runs side by side, default 1'
    )
    parser.add_argument(
        '--executor',
        choices=('processes', 'ray'),
        default='processes',
        help="where they run: on this machine, or on a Ray cluster (pip install '.[cluster]') "
        'whose machines share the folder',
    )
    parser.add_argument(
        '--launcher-template',
        metavar='COMMAND',
        help='one job of a cluster for each run instead, e.g. '
        '"sbatch --job-name={name} --gres=gpu:1 --output={folder}/slurm.log --wrap={command}"',
    )


def one_line(error: BaseException) -> str:
    """The message of an exception without line breaks."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if text.startswith('Caught ') and 'Original Traceback' in text:
        # from a worker of a data loader: torch puts the worker's traceback into the message
        text = text.rstrip().splitlines()[-1].partition(': ')[2]
    return ' '.join(text.split()) or type(error).__name__


def remedy_for(error: BaseException) -> str:
    """What to do about an error of a library that says too little; '' if nothing is known."""
    text = f'{type(error).__name__} {error}'
    return next((remedy for words, remedy in _REMEDIES if any(w in text for w in words)), '')


def run_tool(
    main: Callable[[Sequence[str] | None], Any],
    argv: Sequence[str] | None = None,
    resume: str = '',
) -> int:
    """Run a tool's ``main`` and turn a user's mistake into one line on stderr.

    Args:
        main: The tool.
        argv: Its arguments; those of the command line by default.
        resume: How to go on after Ctrl-C.

    Returns:
        The exit code: 0, or 2 after a mistake of the user. With the environment variable
        ``BMTAS_DEBUG=1`` the traceback is shown before the line.
    """
    # on a machine without a GPU but with CUDA's compiler torch would warn before every message
    logging.getLogger('torch.utils.cpp_extension').setLevel(logging.ERROR)
    if os.environ.get('RANK', '0') != '0':  # of several processes the first one warns for all
        warnings.simplefilter('ignore')
    try:
        main(argv)
    except Exception as error:
        remedy = remedy_for(error)
        if not remedy and 'mmengine.registry' in sys.modules:
            from bmtas.engine import explained

            error = explained(error)
        if not remedy and not isinstance(error, USER_ERRORS):
            raise
        if os.environ.get('BMTAS_DEBUG') == '1':
            traceback.print_exc()
        text = one_line(error)
        print(f'error: {text[:200]}; {remedy}' if remedy else f'error: {text}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f'interrupted{"; " if resume else ""}{resume}', file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    finally:
        _leave_process_group()
    return 0


def _leave_process_group() -> None:
    """End a distributed run properly; torch is asked only if the tool has loaded it."""
    torch = sys.modules.get('torch')
    if (
        torch is not None
        and torch.distributed.is_available()
        and torch.distributed.is_initialized()
    ):
        torch.distributed.destroy_process_group()
