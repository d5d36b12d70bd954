"""Checkpoints survive a kill and are loaded without running code."""

import io
import os
import signal

import numpy as np
import pytest
import torch
from mmengine.fileio import LocalBackend, dump, get_file_backend
from mmengine.logging import HistoryBuffer

from bmtas.engine.checkpoint import (
    BACKEND,
    AtomicLocalBackend,
    find_resumable,
    pack_history,
    to_plain,
)
from bmtas.files import write_text
from bmtas.sealed import load_state


def save(path, value=1.0):
    torch.save(dict(meta={}, state_dict={'w': torch.tensor(value)}), path)


def test_mmengine_writes_through_the_atomic_backend(tmp_path):
    arguments = dict(backend=BACKEND)
    backend = get_file_backend(str(tmp_path / 'x.pth'), backend_args=arguments)
    assert isinstance(backend, AtomicLocalBackend)
    assert type(get_file_backend(str(tmp_path / 'x.pth'))) is LocalBackend  # mmengine's stands
    dump({'a': 1}, tmp_path / 'x.json', backend_args=arguments)
    assert (tmp_path / 'x.json').read_text() == '{"a": 1}'


@pytest.mark.parametrize('moment', ['fsync', 'replace'])
def test_a_kill_during_writing_leaves_the_older_checkpoint(tmp_path, moment):
    save(tmp_path / 'iter_5.pth')
    old = (tmp_path / 'iter_5.pth').read_bytes()
    buffer = io.BytesIO()
    torch.save(dict(w=torch.ones(25_000)), buffer)
    child = os.fork()
    if child == 0:  # dies in the middle of overwriting one file and of writing another
        setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        AtomicLocalBackend().put(
            buffer.getvalue(), tmp_path / ('iter_5.pth', 'iter_10.pth')[moment == 'fsync']
        )
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert (tmp_path / 'iter_5.pth').read_bytes() == old
    assert find_resumable(tmp_path) == (tmp_path / 'iter_5.pth', [])


def test_resume_takes_the_newest_that_loads(tmp_path):
    assert find_resumable(tmp_path) == (None, [])
    for step in (9, 10):
        save(tmp_path / f'iter_{step}.pth')
    save(tmp_path / 'best_semseg_mIoU_iter_99.pth')
    whole = (tmp_path / 'iter_10.pth').read_bytes()
    (tmp_path / 'iter_20.pth').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'iter_30.pth').write_bytes(b'')
    path, notes = find_resumable(tmp_path)
    assert path.name == 'iter_10.pth'
    assert [f'iter_{n}.pth' in note for n, note in zip((30, 20), notes)] == [True, True]


class Malicious:
    def __reduce__(self):
        return os.mkdir, ('created_by_a_pickle',)


def test_code_in_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': Malicious()}, 'bad.pth')
    with pytest.raises(ValueError, match='bad.pth cannot be loaded: not a checkpoint, damaged'):
        load_state('bad.pth')
    assert not os.path.exists('created_by_a_pickle')
    with pytest.raises(FileNotFoundError, match='none.pth does not exist'):
        load_state('none.pth')


def test_plain_values_load_with_weights_only(tmp_path):
    value = dict(a=np.float64(1.5), b=np.arange(3), c=('x', None), d={1, 2}, e=object)
    torch.save(to_plain(value), tmp_path / 'plain.pth')
    plain = load_state(tmp_path / 'plain.pth')
    assert plain == dict(a=1.5, b=[0, 1, 2], c=('x', None), d=[1, 2], e="<class 'object'>")
    assert type(plain['a']) is float


def test_history_keeps_its_last_values():
    buffer = HistoryBuffer()
    for number in range(1500):
        buffer.update(float(number))
    packed = pack_history(buffer)
    assert packed['values'] == [float(n) for n in range(500, 1500)]
    assert HistoryBuffer(packed['values'], packed['counts']).mean(50) == buffer.mean(50)


def test_a_failed_write_leaves_no_litter(tmp_path):
    with pytest.raises(TypeError):
        AtomicLocalBackend().put('text, not bytes', tmp_path / 'x.bin')
    write_text(tmp_path / 'y.txt', 'new')
    assert [path.name for path in tmp_path.iterdir()] == ['y.txt']
