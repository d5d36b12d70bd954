"""Whole MATLAB files pass, damaged ones are refused before SciPy's reader sees them."""

import io
import struct

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from bmtas import mat_files
from bmtas.mat_files import check_mat, load_mat

CONTENT = dict(
    plain=np.arange(12, dtype=np.uint8).reshape(3, 4),
    wide=np.linspace(0, 1, 30).reshape(2, 3, 5),
    complex=np.array([[1 + 2j, 3]]),
    flags=np.array([[True, False]]),
    text='some words',
    empty=np.zeros((0, 3)),
    cells=np.array([np.eye(2), 'x', np.array([[1]])], object),
    nested=dict(a=np.eye(3), b=dict(c=scipy.sparse.csc_matrix(np.eye(4)))),
)


def written(content=CONTENT, **options):
    stream = io.BytesIO()
    scipy.io.savemat(stream, content, **options)
    return stream.getvalue()


@pytest.mark.parametrize('options', [{}, {'do_compression': True}, {'format': '4'}])
def test_whole_files_pass(tmp_path, options):
    content = CONTENT if options.get('format') != '4' else dict(plain=CONTENT['plain'])
    (tmp_path / 'a.mat').write_bytes(written(content, **options))
    found = load_mat(tmp_path / 'a.mat')
    assert np.array_equal(found['plain'], CONTENT['plain'])


def test_files_that_are_none_are_named(tmp_path):
    path = tmp_path / 'a.mat'
    with pytest.raises(FileNotFoundError, match='a.mat: label file not found'):
        load_mat(path)
    path.write_bytes(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM' + bytes(400))
    with pytest.raises(ValueError, match='a.mat: MATLAB 7.3 files are not read, save it with -v7'):
        load_mat(path)
    path.write_bytes(written()[:-20])
    with pytest.raises(ValueError, match=r'a.mat: cannot be read, .* cut.*; fetch or write'):
        load_mat(path)


def element(kind, content):
    return struct.pack('<II', kind, len(content)) + content + b'\0' * (-len(content) % 8)


def matrix(kind=9, shape=(1, 2), values=(2, b'\1\2'), flags=None):
    body = element(6, struct.pack('<II', kind, 0)) if flags is None else flags
    body += element(5, struct.pack('<2i', *shape)) + element(1, b'x') + element(*values)
    return written({})[:128] + element(14, body)


def test_a_file_made_by_hand_passes():
    data = matrix()
    check_mat(data)
    assert np.array_equal(scipy.io.loadmat(io.BytesIO(data))['x'], [[1, 2]])


@pytest.mark.parametrize(
    'damaged',
    [
        matrix(values=(77, b'\1\2')),  # SciPy looks this type up without a check
        matrix(values=(2, b'\1\2\3')),
        matrix(shape=(1 << 15, 1 << 15)),
        matrix(shape=(-1, -2)),
        matrix(kind=1),
        matrix(flags=element(6, b'')),
        matrix()[:-4],
        written()[:-9],
        written(do_compression=True)[:-3],
    ],
    ids=[
        'unknown_type',
        'short',
        'large',
        'negative',
        'class',
        'no_flags',
        'cut',
        'end',
        'compressed',
    ],
)
def test_damaged_files_are_refused(damaged):
    with pytest.raises(ValueError):
        check_mat(damaged)


def test_a_changed_byte_of_compressed_data_is_refused_or_means_nothing():
    data, refused = written(dict(a=CONTENT['wide']), do_compression=True), 0
    for place in range(136, len(data)):  # behind the file's header and the tag
        broken = bytearray(data)
        broken[place] ^= 1
        try:
            check_mat(bytes(broken))
        except ValueError:
            refused += 1
        else:
            found = scipy.io.loadmat(io.BytesIO(broken))
            assert np.array_equal(found['a'], CONTENT['wide'])
    assert refused > 0.9 * (len(data) - 136)


def test_places_of_a_sparse_matrix_lie_inside():
    data = written(dict(s=scipy.sparse.csc_matrix(np.eye(3))))
    rows = struct.pack('<3i', 0, 1, 2)  # the column's starts go on with 3
    check_mat(data)
    with pytest.raises(ValueError, match='outside of its shape'):
        check_mat(data.replace(rows, struct.pack('<3i', 0, 1, 9), 1))


def test_a_content_is_checked_once(tmp_path, monkeypatch):
    """What a file holds decides, not its name: a file that changes is checked again."""
    seen = []
    monkeypatch.setattr(mat_files, 'check_mat', lambda content: seen.append(len(content)))
    path = tmp_path / 'a.mat'
    one, two = (written({'own': np.array([value, 47, 11])}) for value in (1, 2))
    for content, value in ((one, 1), (one, 1), (two, 2)):
        path.write_bytes(content)
        assert load_mat(path)['own'][0, 0] == value
    assert len(seen) == 2
