"""Many runs side by side: one scheduler for sweeps, comparisons and searches.

A job is some commands, one after the other; an executor says where they run. Jobs go on where they
stopped, so that a job whose process was killed is simply started again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bmtas.engine.executors import Executor, Job, Running
from bmtas.engine.stop import SIGNALS

GRACE_S = 30
"""How long running jobs are waited for that have been told to end: they write a checkpoint."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        failure: What went wrong, '' if nothing did.
        wall_s: Seconds that it took.
        cpu_s: Seconds of processor time, None where nobody knows.
    """

    failure: str = ''
    wall_s: float = 0.0
    cpu_s: float | None = None


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    log: Callable[[str], None] = print,
    pause: float = 0.2,
    restarts: int = 1,
) -> dict[str, Outcome]:
    """Run all jobs that are not finished; a failure does not stop the others.

    Args:
        jobs: Names in ``after`` that are not among them are taken to be finished.
        executor: Where they run.
        log: Takes a line when a job ends, with the time that is left.
        pause: Seconds between two looks at the running ones.
        restarts: How often a job is started again after a signal has ended it.

    Returns:
        How each job ended that was run or should have been.

    Raises:
        SystemExit: A signal asked this process to end; the running jobs were ended before.
    """
    board = _Board(jobs, log)
    try:
        with _signals_raise(log):
            _run_all(board, executor, pause, restarts)
    except BaseException:
        ending = [running for _, running, _ in board.running.values() if running.stop()]
        until = time.monotonic() + GRACE_S
        while any(run.code() is None for run in ending) and time.monotonic() < until:
            time.sleep(pause)
        raise
    for job in board.waiting:
        names = ', '.join(name for name in job.after if name not in board.done)
        board.outcomes[job.name] = Outcome(f'{job.name}: not begun, {names} failed')
    return board.outcomes


@contextmanager
def _signals_raise(log: Callable[[str], None]) -> Iterator[None]:
    """Signals that would end this process and leave its jobs alone raise SystemExit instead."""

    def leave(signum: int, frame: Any) -> None:
        log(f'stopped by {signal.Signals(signum).name}: the running jobs are ended')
        raise SystemExit(128 + signum)

    here = threading.current_thread() is threading.main_thread()
    # Ctrl-C raises already, and what nohup ignores stays ignored
    plain = [n for n in SIGNALS if here and signal.getsignal(n) is signal.SIG_DFL]
    for number in plain:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in plain:
            signal.signal(number, signal.SIG_DFL)


def _run_all(board: _Board, executor: Executor, pause: float, restarts: int) -> None:
    while board.waiting or board.running:
        for job in board.ready(executor.slots):
            board.start(job, executor)
        if not board.running and not board.ready(executor.slots):
            break
        if not board.collect(executor, restarts):
            time.sleep(pause)


class _Board:
    """Which jobs wait, run and are done."""

    def __init__(self, jobs: Sequence[Job], log: Callable[[str], None]) -> None:
        self.log, self.total = log, len(jobs)
        known = {job.name for job in jobs}
        if len(known) < len(jobs):
            raise ValueError('jobs: names must be distinct')
        self.done = {job.name for job in jobs if job.finished()}
        self.done |= {name for job in jobs for name in job.after if name not in known}
        self.waiting = [job for job in jobs if job.name not in self.done]
        self.running: dict[str, tuple[Job, Running, float]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.starts: dict[str, int] = {}

    def ready(self, slots: int) -> list[Job]:
        """Jobs that can start now."""
        found = [job for job in self.waiting if set(job.after) <= self.done]
        return found[: max(slots - len(self.running), 0)]

    def start(self, job: Job, executor: Executor) -> None:
        """Start a job; that it cannot be started is a failure like another."""
        if job in self.waiting:
            self.waiting.remove(job)
        self.starts[job.name] = self.starts.get(job.name, 0) + 1
        begin = time.monotonic()
        try:
            self.running[job.name] = (job, executor.start(job), begin)
        except (ValueError, OSError) as error:
            self._end(job, Outcome(str(error)))

    def collect(self, executor: Executor, restarts: int) -> bool:
        """Look at the running jobs; whether any has ended."""
        before = len(self.running)
        for name, (job, running, start) in list(self.running.items()):
            code = running.code()
            if code is None:
                continue
            del self.running[name]
            if code < 0 and self.starts[name] <= restarts:
                self.log(f'{name}: killed by signal {-code}, started again')
                self.start(job, executor)
                continue
            failure = ''
            if code or not (job.finished() or running.handed_over):
                failure = _reason(job, code)
            self._end(job, Outcome(failure, time.monotonic() - start, running.cpu_s))
        return len(self.running) < before

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.name] = outcome
        if not outcome.failure:
            self.done.add(job.name)
        ended = [o for o in self.outcomes.values() if not o.failure]
        left = len(self.waiting) + len(self.running)
        text = f'failed: {outcome.failure}' if outcome.failure else f'{outcome.wall_s:.0f} s'
        if ended and left:
            mean = sum(o.wall_s for o in ended) / len(ended)
            text += f', {left} left, about {_clock(mean * left / max(len(self.running) + 1, 1))}'
        self.log(f'[{self.total - left}/{self.total}] {job.name}: {text}')


def _reason(job: Job, code: int) -> str:
    """Why a job failed: the last error in its log, or that it left nothing."""
    path = job.folder / job.log
    lines = path.read_text(errors='replace').splitlines() if path.is_file() else []
    errors = [line for line in lines if code and line.startswith('error: ')]
    how = f'killed by signal {-code}' if code < 0 else f'ended with code {code}'
    how = how if code else 'ended without a result'
    said = f': {errors[-1].removeprefix("error: ")}' if errors else ''
    return f'{job.name}: {how}{said}; see {path if lines else job.folder}'


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d} h' if minutes >= 60 else f'{minutes}:{rest:02d} min'
