"""The scheduler: order, failures, killed processes, executors."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bmtas.engine.clusters import RayCluster, Template
from bmtas.engine.executors import Here, Job, Processes, make_executor
from bmtas.engine.jobs import run_jobs


def script(code):
    """A command that runs a line of Python."""
    return [sys.executable, '-c', code]


@pytest.fixture
def make(tmp_path):
    """A job that notes its name: ``make('name', *after)``; ``code`` replaces what it does."""

    def job(name, *after, code=None, commands=None):
        done = tmp_path / f'{name}.done'
        note = f'open({str(tmp_path / "order")!r}, "a").write("{name}\\n")'
        line = script(code or f'{note}; open({str(done)!r}, "w")')
        return Job(name, tmp_path / name, lambda: commands or [line], done.is_file, after)

    return job


def order(tmp_path):
    path = tmp_path / 'order'
    return path.read_text().split() if path.is_file() else []


@pytest.mark.parametrize(
    'slots, given, expected', [(1, None, None), (2, None, '3'), (7, None, '1'), (2, '5', '5')]
)
def test_jobs_side_by_side_share_the_cores(make, tmp_path, monkeypatch, slots, given, expected):
    monkeypatch.setattr('bmtas.engine.executors.available_cores', lambda: 6)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if given:
        monkeypatch.setenv('OMP_NUM_THREADS', given)
    said = tmp_path / 'said'
    code = f'import os; open({str(said)!r}, "w").write(str(os.environ.get("OMP_NUM_THREADS")))'
    run_jobs([make('a', code=code)], Processes(slots), print, 0.01)
    assert said.read_text() == str(expected)


def test_order_failures_and_what_is_finished(make, tmp_path):
    (tmp_path / 'old.done').touch()
    bad = make('bad', code='import sys; print("error: no luck", file=sys.stderr); sys.exit(2)')
    jobs = [
        make('last', 'first'),
        make('first'),
        bad,
        make('never', 'bad'),
        make('old'),
        make('after_old', 'old', 'elsewhere'),
    ]
    lines = []
    outcomes = run_jobs(jobs, Processes(2), lines.append, 0.01)
    assert set(outcomes) == {'last', 'first', 'bad', 'never', 'after_old'}
    found = order(tmp_path)
    assert sorted(found) == ['after_old', 'first', 'last']
    assert found.index('first') < found.index('last')
    assert 'ended with code 2: no luck; see' in outcomes['bad'].failure
    assert 'not begun, bad failed' in outcomes['never'].failure
    assert not outcomes['first'].failure and outcomes['first'].cpu_s > 0
    assert any('first: ' in line and 'left' in line for line in lines)


def test_commands_run_in_order_until_one_fails(make, tmp_path):
    def note(text):
        return script(f'open({str(tmp_path / "order")!r}, "a").write("{text} ")')

    commands = [note('one'), note('two'), script('raise SystemExit(3)'), note('three')]
    outcomes = run_jobs([make('a', commands=commands)], Processes(1), lambda text: None, 0.01)
    assert order(tmp_path) == ['one', 'two'] and 'code 3' in outcomes['a'].failure


def test_jobs_run_side_by_side(make, tmp_path):
    """Each waits for the other: one at a time neither would end."""

    def meet(own, other):
        mine, theirs = (str(tmp_path / f'{n}.done') for n in (own, other))
        return (
            f'import os, time; open({mine!r}, "w")\n'
            f'for _ in range(500):\n'
            f'    if os.path.exists({theirs!r}): break\n'
            f'    time.sleep(0.02)\n'
            f'else: raise SystemExit(1)'
        )

    jobs = [make('a', code=meet('a', 'b')), make('b', code=meet('b', 'a'))]
    outcomes = run_jobs(jobs, Processes(2), lambda text: None, 0.01)
    assert not any(outcome.failure for outcome in outcomes.values())


def test_a_killed_job_is_started_again_once(make, tmp_path):
    code = (
        f'import os, signal; p = {str(tmp_path / "tries")!r}; open(p, "a").write("x")\n'
        f'if len(open(p).read()) < LIMIT: os.kill(os.getpid(), signal.SIGKILL)\n'
        f'open({str(tmp_path / "a.done")!r}, "w")'
    )
    lines = []
    outcomes = run_jobs(
        [make('a', code=code.replace('LIMIT', '2'))], Processes(1), lines.append, 0.01
    )
    assert not outcomes['a'].failure and 'killed by signal 9, started again' in lines[0]
    (tmp_path / 'tries').unlink()
    outcomes = run_jobs(
        [make('b', code=code.replace('LIMIT', '9'))], Processes(1), lines.append, 0.01
    )
    assert 'killed by signal 9' in outcomes['b'].failure
    assert (tmp_path / 'tries').read_text() == 'xx'


def test_a_job_that_ends_while_another_is_started_is_not_lost(make):
    """A process that nobody holds is waited for by the next one that Python starts."""
    executor = Processes(2)
    first = executor.start(make('first', commands=[['true']]))
    while Path(f'/proc/{first._process.pid}/stat').read_text().split()[2] != 'Z':
        time.sleep(0.01)
    second = executor.start(make('second', commands=[['true']]))
    assert first.code() == 0
    while second.code() is None:
        time.sleep(0.01)


def test_an_interrupt_ends_the_running_jobs(make, tmp_path):
    path = tmp_path / 'pid'
    code = f'import os, time; open({str(path)!r}, "w").write(str(os.getpid())); time.sleep(60)'

    with pytest.raises(KeyboardInterrupt):
        run_jobs([make('a', code=code)], _Stopping(path), lambda text: None, 0.01)
    pid = int(path.read_text())
    for _ in range(200):
        try:
            os.kill(pid, 0)
            with open(f'/proc/{pid}/stat') as stream:
                if stream.read().split()[2] == 'Z':
                    break
        except (ProcessLookupError, FileNotFoundError):
            break
        time.sleep(0.02)
    else:
        os.kill(pid, signal.SIGKILL)
        pytest.fail('the job outlived the interrupt')


SCHEDULER = """
import signal, sys
from pathlib import Path
from bmtas.engine import Job, make_executor, run_jobs
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which ignores it
folder = Path(sys.argv[1])
job = Job('a', folder, lambda: [[sys.executable, '-c', sys.argv[2]]], lambda: False)
run_jobs([job], make_executor(2))
"""
SAVES = """
import pathlib, signal, time
def save(*_):
    time.sleep(0.5)
    pathlib.Path({saved!r}).touch()
    raise SystemExit(143)
signal.signal(signal.SIGTERM, save)
pathlib.Path({ready!r}).touch()
time.sleep(60)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_the_scheduler_ends_the_jobs_which_may_save_first(tmp_path, number):
    saved, ready = tmp_path / 'saved', tmp_path / 'ready'
    code = SAVES.format(saved=str(saved), ready=str(ready))
    words = [sys.executable, '-u', '-c', SCHEDULER, str(tmp_path), code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as scheduler:
        while not ready.is_file() and scheduler.poll() is None:
            time.sleep(0.02)
        scheduler.send_signal(number)
        said = scheduler.communicate(timeout=60)[0]
    assert scheduler.returncode == 128 + number and saved.is_file()
    assert said == f'stopped by {number.name}: the running jobs are ended\n'


class _Stopping(Processes):
    """Raises what Ctrl-C raises as soon as the job runs."""

    def __init__(self, path):
        object.__setattr__(self, 'path', path)
        object.__setattr__(self, 'slots', 2)

    def start(self, job):
        running = super().start(job)
        while not (self.path.is_file() and self.path.read_text()):
            time.sleep(0.01)
        look, looked = running.code, []

        def code():
            looked.append(None)
            if len(looked) == 1:
                raise KeyboardInterrupt
            return look()

        running.code = code
        return running


def test_here_calls_and_reports_errors(tmp_path):
    def fail():
        raise ValueError('a mistake')

    calls = []
    jobs = [
        Job('a', tmp_path, list, lambda: 'a' in calls, run=lambda: calls.append('a')),
        Job('b', tmp_path, list, lambda: False, run=fail),
        Job('c', tmp_path, list, lambda: 'c' in calls, ('a',), run=lambda: calls.append('c')),
        Job('d', tmp_path, list, lambda: False, run=lambda: None),
    ]
    outcomes = run_jobs(jobs, Here(), lambda text: None)
    assert calls == ['a', 'c'] and outcomes['b'].failure == 'a mistake'
    # it wrote no log to look into
    assert outcomes['d'].failure == f'd: ended without a result; see {tmp_path}'


@pytest.fixture
def template(tmp_path):
    """What a cluster's scheduler does: it takes the command and runs it some time."""
    code = (
        'import subprocess, sys; '
        f'open({str(tmp_path / "taken")!r}, "a").write(sys.argv[2] + "\\n"); '
        'subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], stderr=-3); print("job 7")'
    )
    return f'{shlex.join(script(code))} {{command}} {{name}}'


def test_template(make, template, tmp_path):
    taken, said = tmp_path / 'taken', []
    outcomes = run_jobs(
        [make('a'), make('b', 'a')], Template(template, log=said.append), said.append, 0.01
    )
    assert not any(outcome.failure for outcome in outcomes.values())
    assert order(tmp_path) == ['a', 'b'] == taken.read_text().split() and '  job 7' in said
    assert (tmp_path / 'a' / 'exit_code.txt').read_text() == '0\n'
    for bad, message in (
        ('sbatch {name}', 'must contain {command}'),
        ('sbatch {command} {gpu}', "unknown field 'gpu'"),
    ):
        with pytest.raises(ValueError, match=message):
            Template(bad)
    full = f'{shlex.join(script("import sys; sys.exit(chr(102) + chr(33))"))} {{command}}'
    for line, message in (
        ('no-such-tool {command}', 'no-such-tool cannot be started: No such file'),
        (full, 'the launcher failed: f!'),
    ):
        outcomes = run_jobs([make('x')], Template(line), said.append, 0.01)
        assert message in outcomes['x'].failure


def test_jobs_that_fail_on_a_cluster(make, template, tmp_path):
    """One ends with an error; one is told to end once, which is what a time limit does."""
    told = tmp_path / 'told'
    once = (
        f'import os, signal, pathlib; told = pathlib.Path({str(told)!r})\n'
        'if not told.exists(): told.touch(); os.kill(os.getpid(), signal.SIGTERM)\n'
        f'open({str(tmp_path / "b.done")!r}, "w")'
    )
    jobs = [make('a', code='import sys; sys.exit(3)'), make('b', code=once), make('c', 'a')]
    said = []
    outcomes = run_jobs(jobs, Template(template, log=said.append), said.append, 0.01)
    assert outcomes['a'].failure == f'a: ended with code 3; see {tmp_path / "a"}'
    assert 'a failed' in outcomes['c'].failure and not outcomes['b'].failure
    assert 'b: killed by signal 15, started again' in said


def test_mistakes():
    with pytest.raises(ValueError, match='--jobs: at least 1, got 0'):
        make_executor(0)
    with pytest.raises(ValueError, match="'threads', choose from"):
        make_executor(1, 'threads')
    with pytest.raises(ValueError, match='names must be distinct'):
        job = Job('a', None, list, lambda: False)
        run_jobs([job, job], Here())
    assert isinstance(make_executor(1), Here) and make_executor(3).slots == 3


@pytest.mark.slow
def test_a_ray_worker_killed_in_the_middle(make, tmp_path):
    """The task's worker dies with it once; Ray runs it again elsewhere."""
    pytest.importorskip('ray')
    tries = str(tmp_path / 'tries')
    code = (
        f'import os, signal; open({tries!r}, "a").write("x")\n'
        f'if len(open({tries!r}).read()) < 2:\n'
        '    parents = [os.getppid()]\n'
        '    parents.append(int(open(f"/proc/{parents[0]}/stat").read().split()[3]))\n'
        '    name = open(f"/proc/{parents[0]}/comm").read()\n'
        '    os.kill(parents[1] if name.startswith("sh") else parents[0], signal.SIGKILL)\n'
        '    os._exit(1)\n'
        f'open({str(tmp_path / "a.done")!r}, "w")'
    )
    executor = RayCluster(2, cpus=0.5)
    outcomes = run_jobs([make('a', code=code), make('b')], executor, lambda text: None)
    assert not any(outcome.failure for outcome in outcomes.values()), outcomes
    assert Path(tries).read_text() == 'xx' and order(tmp_path) == ['b']
