"""Runs in processes of their own that are killed at a chosen moment.

A moment is a number of events: an update begins, an optimizer steps, a validation ends, a file is
created, half written, synchronised, renamed or removed. The process sends itself SIGKILL at the
n-th. The same seed gives the same moments.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

import torch

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(
    ['bmtas.engine.train', 'bmtas.search', 'bmtas.models', 'bmtas.evaluation', 'bmtas.datasets']
)


class Moments:
    """Counts events; at the ``last`` one the process dies. 0: never."""

    def __init__(self, last=0):
        self.last, self.count = last, 0

    def __call__(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner, name):
        """An event before and after each call of a function of the main process."""
        function, main = getattr(owner, name), os.getpid()

        def counted(*args, **kwargs):
            if os.getpid() != main:
                return function(*args, **kwargs)
            self()
            result = function(*args, **kwargs)
            self()
            return result

        setattr(owner, name, counted)

    def halve_writing(self, files):
        """An event after each half of what is written to a file."""

        def write_bytes(path, content):
            content = bytes(content)
            with files.atomic_path(path) as part, open(part, 'wb') as stream:
                for half in (content[: len(content) // 2], content[len(content) // 2 :]):
                    stream.write(half)
                    stream.flush()
                    self()

        files.write_bytes = write_bytes


def child(config, work_dir, purpose, options, resume, last, counter):
    """What the process does; its output goes to a file beside the work dir."""
    log = os.open(f'{work_dir}.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    torch.set_num_threads(1)
    import bmtas.engine.checkpoint as checkpoint
    from bmtas import files, sealed
    from bmtas.cli.base import run_tool
    from bmtas.engine.config import load_config
    from bmtas.engine.loops.base import UpdateLoop
    from bmtas.engine.train import run_training
    from bmtas.search import run_search

    moments = Moments(last)
    moments.halve_writing(files)
    checkpoint.write_bytes = sealed.write_bytes = files.write_bytes
    for owner, name in (
        (os, 'fsync'),
        (os, 'replace'),
        (os, 'remove'),
        (os, 'unlink'),
        (UpdateLoop, 'run_update'),
        (UpdateLoop, '_validate'),
        (torch.optim.SGD, 'step'),
        (torch.optim.Adam, 'step'),
    ):
        moments.around(owner, name)

    def main(argv):
        cfg = load_config(config, options, work_dir=work_dir)
        cfg.resume = resume
        run_search(cfg) if purpose == 'search' else run_training(cfg)

    code = run_tool(main)
    counter.value = moments.count
    sys.exit(code)


def run(config, work_dir, purpose, options, resume=False, last=0, kill_after=None):
    """Run to the end, or until the moment of death; returns exit code and number of events.

    Args:
        kill_after: Kill from outside after so many seconds, wherever the process is.
    """
    counter = CONTEXT.Value('i', 0)
    args = (str(config), str(work_dir), purpose, options, resume, last, counter)
    process = CONTEXT.Process(target=child, args=args)
    process.start()
    process.join(kill_after if kill_after is not None else 240)
    if process.is_alive():
        assert kill_after is not None, f'{work_dir} hangs:\n{log_of(work_dir)}'
        process.kill()
        process.join()
    return process.exitcode, counter.value


def log_of(work_dir):
    return Path(f'{work_dir}.log').read_text()
