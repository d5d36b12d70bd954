"""Where jobs run: this process, processes beside it, a cluster's scheduler, Ray."""

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

    def stop(self) -> None:
        """End it."""


class Executor(Protocol):
    """Where jobs run.

    Attributes:
        slots: How many jobs run at a time.
    """

    slots: int

    def start(self, job: Job) -> Running:
        """Start a job."""


def job_environment() -> dict[str, str]:
    """Variables of a command: this copy of the package comes first."""
    path = [str(Path(bmtas.__file__).parents[1]), os.environ.get('PYTHONPATH', '')]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, path)))


class _Process:
    """A shell with the commands, in a process group of its own."""

    handed_over = False

    def __init__(self, job: Job) -> None:
        self.cpu_s: float | None = None
        self._code: int | None = None
        script = job.script()
        with open(make_folder(job.folder) / job.log, 'a') as log:
            log.write(f'\n$ {script}\n')
            log.flush()
            self._pid = subprocess.Popen(
                ['/bin/sh', '-c', script],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=job_environment(),
                start_new_session=True,
            ).pid

    def code(self) -> int | None:
        if self._code is None:
            pid, status, usage = os.wait4(self._pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                self._code = 128 - code if code > 128 else code  # the shell's word for a signal
                self.cpu_s = usage.ru_utime + usage.ru_stime
        return self._code

    def stop(self) -> None:
        if self.code() is None:
            os.killpg(self._pid, signal.SIGTERM)


class _Called:
    """A job that has run in this process."""

    cpu_s, handed_over = None, False

    def code(self) -> int | None:
        return 0

    def stop(self) -> None:
        """It has ended."""


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
        return _Process(job)


class _HandedOver:
    """A job that a cluster's scheduler has taken; it has ended when it is finished."""

    cpu_s = None

    def __init__(self, job: Job, wait: bool) -> None:
        self._job, self.handed_over = job, not wait

    def code(self) -> int | None:
        return 0 if self.handed_over or self._job.finished() else None

    def stop(self) -> None:
        """It is the scheduler's now."""


class Template:
    """One command of a cluster's scheduler for each job.

    Args:
        template: Command with ``{command}``, optionally ``{name}`` and ``{folder}``, e.g.
            ``sbatch --job-name={name} --gres=gpu:1 --output={folder}/slurm.log --wrap={command}``.
        wait: Wait until the jobs are finished; else they are only handed over.
        log: Takes what the scheduler says.

    Raises:
        ValueError: The template lacks ``{command}`` or has other fields.
    """

    slots = 10**6
    fields = ('command', 'name', 'folder')

    def __init__(
        self, template: str, wait: bool = True, log: Callable[[str], None] = print
    ) -> None:
        if '{command}' not in template:
            raise ValueError(f'--launcher-template {template!r}: must contain {{command}}')
        try:
            template.format(**dict.fromkeys(self.fields, ''))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f'--launcher-template {template!r}: unknown field {error}; '
                f'known: {sorted(self.fields)}'
            ) from None
        self.template, self.wait, self.log = template, wait, log

    def start(self, job: Job) -> Running:
        """Hand a job over.

        Raises:
            ValueError: The scheduler's command cannot be started, or fails.
        """
        values = (job.script(), job.name, str(job.folder))
        line = self.template.format(**dict(zip(self.fields, map(shlex.quote, values))))
        make_folder(job.folder)
        try:
            done = subprocess.run(
                shlex.split(line),
                capture_output=True,
                text=True,
                check=False,
                env=job_environment(),
            )
        except OSError as error:
            raise ValueError(
                f'--launcher-template {self.template!r}: {shlex.split(line)[0]} cannot be started: '
                f'{error.strerror}'
            ) from None
        if done.returncode:
            raise ValueError(f'{job.name}: the launcher failed: {done.stderr.strip() or line}')
        self.log(f'  {done.stdout.strip()}')
        return _HandedOver(job, self.wait)


class _Task:
    """A job on a Ray cluster."""

    cpu_s, handed_over = None, False

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def code(self) -> int | None:
        if not self._ray.wait([self._task], timeout=0)[0]:
            return None
        try:
            return self._ray.get(self._task)
        except self._ray.exceptions.RayError:
            return -signal.SIGKILL  # the worker died more often than Ray starts it again

    def stop(self) -> None:
        self._ray.cancel(self._task, force=True)


class RayCluster:
    """Tasks on a Ray cluster whose machines share the file system.

    Ray starts a task again on another worker when its own dies.

    Args:
        slots: How many jobs run at a time.
        address: Of the cluster; by default the one that runs, else one on this machine.
        cpus, gpus: What a job needs.

    Raises:
        ValueError: Ray is not installed.
    """

    def __init__(
        self, slots: int = 10**6, address: str | None = None, cpus: float = 1, gpus: float = 0
    ) -> None:
        try:
            import ray
        except ModuleNotFoundError:
            raise ValueError(
                "--executor ray: Ray is missing; pip install '.[cluster]', or take --jobs"
            ) from None
        if not ray.is_initialized():
            ray.init(address, log_to_driver=False, include_dashboard=False)
        self.slots, self._ray = slots, ray
        self._run = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=3)(_run_script)

    def start(self, job: Job) -> Running:
        path = str(make_folder(job.folder).resolve() / job.log)
        python_path = job_environment()['PYTHONPATH']
        return _Task(self._ray, self._run.remote(job.script(), path, os.getcwd(), python_path))


def _run_script(script: str, log: str, folder: str, python_path: str) -> int:
    """What a worker does; the commands end with it."""
    with open(log, 'a') as stream:
        stream.write(f'\n$ {script}\n')
        stream.flush()
        process = subprocess.Popen(
            ['/bin/sh', '-c', script],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(os.environ, PYTHONPATH=python_path),
        )
    return process.wait()


def make_executor(jobs: int = 1, executor: str = 'processes', template: str | None = None) -> Any:
    """The executor that ``--jobs``, ``--executor`` and ``--launcher-template`` ask for.

    Raises:
        ValueError: Fewer than one job at a time, an unknown executor, or a faulty template.
    """
    if jobs < 1:
        raise ValueError(f'--jobs: at least 1, got {jobs}')
    if template is not None:
        return Template(template)
    if executor not in EXECUTORS:
        raise ValueError(f'--executor: {executor!r}, choose from {EXECUTORS}')
    if executor == 'ray':
        return RayCluster(jobs)
    return Here() if jobs == 1 else Processes(jobs)
