"""Where jobs run: this process, or processes beside it; clusters are in ``clusters``."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import bmtas
from bmtas.files import make_folder

PROGRAM = [sys.executable, '-u', '-m', 'bmtas']
EXECUTORS = ('processes', 'ray')


@dataclass(frozen=True)
class Job:
    """Commands to run in order, until the first that fails.

    Args:
        name: Distinct among the jobs.
        folder: Where its log is.
        commands: Argument vectors; asked for when all jobs named in ``after`` are finished.
        finished: Whether there is nothing left to do.
        after: Names of jobs that must be finished first.
        log: Name of the log in the folder; output of the commands is appended.
        run: The same as a call in this process, which need not load everything again.
    """

    name: str
    folder: Path
    commands: Callable[[], Sequence[Sequence[str]]]
    finished: Callable[[], bool]
    after: tuple[str, ...] = ()
    log: str = 'log.txt'
    run: Callable[[], Any] | None = None

    def script(self) -> str:
        """The commands as one line for a shell."""
        return ' && '.join(shlex.join(map(str, command)) for command in self.commands())


class Running(Protocol):
    """A job that was started.

    Attributes:
        cpu_s: Seconds of processor time, None where nobody knows.
        handed_over: Whether nobody waits for its result.
    """

    cpu_s: float | None
    handed_over: bool

    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def stop(self) -> bool:
        """Tell it to end; whether it will."""


class Executor(Protocol):
    """Where jobs run.

    Attributes:
        slots: How many jobs run at a time.
    """

    slots: int

    def start(self, job: Job) -> Running:
        """Start a job."""


def job_environment(beside: int = 1) -> dict[str, str]:
    """Variables of a command: this copy of the package comes first.

    Args:
        beside: How many such commands run side by side. Where nobody has said how many threads each
            of them has, they share the cores; a team of threads that waits for a core spins.
    """
    path = [str(Path(bmtas.__file__).parents[1]), os.environ.get('PYTHONPATH', '')]
    threads = {} if beside == 1 else {'OMP_NUM_THREADS': str(max(1, available_cores() // beside))}
    return {**threads, **os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, path))}


def available_cores() -> int:
    """Cores that this process may run on."""
    affinity = getattr(os, 'sched_getaffinity', None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def signal_or_code(code: int) -> int:
    """An exit code, negative for a signal; above 128 it is the shell's word for one."""
    return 128 - code if code > 128 else code


class _Process:
    """A shell with the commands, in a process group of its own."""

    handed_over = False

    def __init__(self, job: Job, beside: int = 1) -> None:
        self.cpu_s: float | None = None
        script = job.script()
        with open(make_folder(job.folder) / job.log, 'a') as log:
            log.write(f'\n$ {script}\n')
            log.flush()
            # kept: a Popen that nobody has is waited for by the next one that is made;
            # the trap: a shell that is told to end waits for the run, which writes a checkpoint
            self._process = subprocess.Popen(
                ['/bin/sh', '-c', f'trap : TERM; {script}'],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=job_environment(beside),
                start_new_session=True,
            )

    def code(self) -> int | None:
        if self._process.returncode is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._process.returncode = signal_or_code(os.waitstatus_to_exitcode(status))
                self.cpu_s = usage.ru_utime + usage.ru_stime
        return self._process.returncode

    def stop(self) -> bool:
        if self.code() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        return True


class _Called:
    """A job that has run in this process."""

    cpu_s, handed_over = None, False

    def code(self) -> int | None:
        return 0

    def stop(self) -> bool:
        return True


class Here:
    """This process, one job at a time."""

    slots = 1

    def start(self, job: Job) -> Running:
        """Run a job that can be called to its end; start the commands of another.

        Raises:
            ValueError, OSError: What the job raises.
        """
        if job.run is None:
            return _Process(job)
        job.run()
        return _Called()


@dataclass(frozen=True)
class Processes:
    """Processes on this machine."""

    slots: int = 1

    def start(self, job: Job) -> Running:
        return _Process(job, self.slots)


def make_executor(jobs: int = 1, executor: str = 'processes', template: str | None = None) -> Any:
    """The executor that ``--jobs``, ``--executor`` and ``--launcher-template`` ask for.

    Raises:
        ValueError: Fewer than one job at a time, an unknown executor, or a faulty template.
    """
    from bmtas.engine.clusters import RayCluster, Template

    if jobs < 1:
        raise ValueError(f'--jobs: at least 1, got {jobs}')
    if template is not None:
        return Template(template)
    if executor not in EXECUTORS:
        raise ValueError(f'--executor: {executor!r}, choose from {EXECUTORS}')
    if executor == 'ray':
        return RayCluster(jobs)
    return Here() if jobs == 1 else Processes(jobs)
