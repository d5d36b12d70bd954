"""Jobs on many machines: through a cluster's scheduler, or on Ray."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bmtas.engine.executors import Job, Running, job_environment, signal_or_code
from bmtas.files import make_folder

ENDED = 'exit_code.txt'
"""In a job's folder, what its commands ended with on a machine of the cluster."""


class _HandedOver:
    """A job that a cluster's scheduler has taken; it has ended when its exit code is on disk.

    One that the scheduler kills outright leaves none and is waited for.
    """

    cpu_s = None

    def __init__(self, job: Job, ended: Path, wait: bool) -> None:
        self._job, self._ended, self.handed_over = job, ended, not wait

    def code(self) -> int | None:
        if self.handed_over or self._job.finished():
            return 0
        text = self._ended.read_text().strip() if self._ended.is_file() else ''
        # an empty file is one that is being written
        return signal_or_code(int(text)) if text else None

    def stop(self) -> bool:
        """It is the scheduler's now."""
        return False


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
        ended = make_folder(job.folder).resolve() / ENDED
        ended.unlink(missing_ok=True)
        # the trap: a shell that is told to end waits for the run, which writes a checkpoint first
        note = f'code=$?; echo $code > {shlex.quote(str(ended))}; exit $code'
        script = f'trap : TERM USR1; {job.script()}; {note}'
        values = (script, job.name, str(job.folder))
        line = self.template.format(**dict(zip(self.fields, map(shlex.quote, values))))
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
        return _HandedOver(job, ended, self.wait)


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

    def stop(self) -> bool:
        self._ray.cancel(self._task, force=True)
        return True


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
