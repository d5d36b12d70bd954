"""Records: safe reading, tables, splits."""

import json
import pickle

import numpy as np
import pytest

from bmtas.ncp.data import (
    RecordTable,
    load_records,
    load_settings,
    split_rows,
)
from bmtas.ncp.pickles import read_pickle


class Touch:
    """A pickle of this object writes a file when a plain unpickler reads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def write_setting(root, name, metrics, seed=0, rows=12):
    generator = np.random.default_rng(5)
    codes = generator.integers(1, 5, (rows, 27))
    values = np.random.default_rng(seed)
    records = [
        {**{m: float(values.normal()) for m in metrics}, 'flops': float(i), 'params': 2.0 * i,
         'last_channel': 8, 'input_channel': [8, 8], 'embedding': code.tolist()}
        for i, code in enumerate(codes)
    ]  # fmt: skip
    (root / f'{name}.pkl').write_bytes(pickle.dumps(records, protocol=3))
    return records


def test_a_pickle_that_asks_for_other_names_is_refused_and_runs_nothing(tmp_path):
    target = tmp_path / 'touched'
    (tmp_path / 'seg.pkl').write_bytes(pickle.dumps([{'embedding': [1], 'x': Touch(target)}]))
    with pytest.raises(ValueError, match=r'seg.pkl: refused.*io.open'):
        load_records(tmp_path, 'seg')
    assert not target.exists()
    pickle.loads((tmp_path / 'seg.pkl').read_bytes())[0]['x'].close()
    assert target.exists(), 'the sample would have run'


@pytest.mark.parametrize('path', ['numpy.core.multiarray', 'numpy._core.multiarray'])
def test_numpy_arrays_are_read_under_both_names(tmp_path, path):
    content = pickle.dumps([{'embedding': np.eye(5, dtype=np.float32)[0], 'Acc': 1.0}], protocol=4)
    new, old = b'numpy._core.multiarray', path.encode()
    content = content.replace(bytes([len(new)]) + new, bytes([len(old)]) + old)
    (tmp_path / 'nas-bench-201.pkl').write_bytes(content.replace(b'\x95', b'\x95', 1))
    if old != new:  # frames count bytes: protocol 4 without frames
        content = content[:2] + content[11:]
        (tmp_path / 'nas-bench-201.pkl').write_bytes(content)
    table = load_records(tmp_path, 'nas-bench-201')
    assert table.codes.tolist() == [[1, 0, 0, 0, 0]] and table.codes.dtype == np.int64


def test_absent_and_damaged_settings_are_named(tmp_path):
    write_setting(tmp_path, 'seg', ['mIoU'])
    with pytest.raises(FileNotFoundError, match=r"'3ddet' \(its records were never.*there: seg"):
        load_records(tmp_path, '3ddet')
    (tmp_path / 'video.pkl').write_bytes((tmp_path / 'seg.pkl').read_bytes()[:50])
    with pytest.raises(ValueError, match='video.pkl: refused or damaged'):
        load_records(tmp_path, 'video')
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps({'a': 1}))
    with pytest.raises(ValueError, match='list of records'):
        read_pickle(tmp_path / 'x.pkl')
    (tmp_path / 'y.pkl').write_bytes(pickle.dumps([{'embedding': [1], 'a': float('nan')}]))
    with pytest.raises(ValueError, match="'a' of record 0 is nan"):
        load_records(tmp_path, 'y')
    (tmp_path / 'z.pkl').write_bytes(pickle.dumps([{'embedding': [1], 'a': 1.0}, {'a': 1.0}]))
    with pytest.raises(ValueError, match="record 1 has no 'embedding'"):
        load_records(tmp_path, 'z')


@pytest.mark.parametrize(
    ('record', 'message'),
    [
        ('text', 'record 1 is no dict but str'),
        ({'embedding': [1.5, 2], 'a': 1.0}, "'embedding' of record 1 is no list of integers"),
        ({'embedding': 3, 'a': 1.0}, "'embedding' of record 1 is no list"),
        ({'embedding': ['x', 2], 'a': 1.0}, "'embedding' of record 1 is no list"),
        ({'embedding': [1, 2, 3], 'a': 1.0}, r'different lengths \[2, 3\]'),
        ({'embedding': [1, 2], 'a': 'high'}, "'a' of record 1 is no number: 'high'"),
        ({'embedding': [1, 2]}, "record 1 has no 'a'"),
    ],
)
def test_faulty_records_of_users_are_named(tmp_path, record, message):
    (tmp_path / 'own.pkl').write_bytes(pickle.dumps([{'embedding': [1, 2], 'a': 1.0}, record]))
    with pytest.raises(ValueError, match=message):
        load_records(tmp_path, 'own')


def test_settings_are_joined_and_exported_without_loss(tmp_path):
    seg = write_setting(tmp_path, 'seg', ['mIoU', 'mAcc'], seed=1)
    write_setting(tmp_path, 'video', ['top1'], seed=2)
    table = load_settings(tmp_path, ['seg', 'video'])
    assert list(table.columns) == ['seg/mIoU', 'seg/mAcc', 'flops', 'params', 'video/top1']
    assert table['seg/mAcc'].tolist() == [record['mAcc'] for record in seg]
    assert table.rows()[tuple(seg[3]['embedding'])] == 3
    for name in ('table.npz', 'table.json'):
        getattr(table, 'to_' + name.split('.')[1])(tmp_path / name)
        again = RecordTable.from_file(tmp_path / name)
        assert np.array_equal(again.codes, table.codes)
        assert all(np.array_equal(again[key], table[key]) for key in table.columns)
    other = write_setting(tmp_path, 'cls-10c', ['top1'], rows=11)
    assert len(other) == 11
    with pytest.raises(ValueError, match='do not hold the same codes'):
        load_settings(tmp_path, ['seg', 'cls-10c'])
    with pytest.raises(KeyError, match='no column'):
        table['mIoU']


def test_splits_are_disjoint_seeded_and_checked(tmp_path):
    parts = split_rows(100, val_fraction=0.1, seed=3)
    assert [len(parts[name]) for name in ('train', 'val', 'test')] == [72, 8, 20]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    again = split_rows(100, val_fraction=0.1, seed=3)
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    path = tmp_path / 'split.json'
    path.write_text(json.dumps({'train': [0, 1, 2], 'val': [3]}))
    assert split_rows(4, path)['test'].tolist() == [3]
    path.write_text(json.dumps({'train': [0, 1, 3], 'val': [3]}))
    with pytest.raises(ValueError, match='repeated or outside'):
        split_rows(4, path)
    path.write_text(json.dumps({'train': [], 'val': []}))
    assert not any(map(len, split_rows(4, path).values()))


def test_all_published_settings_are_read(data_root):
    root = data_root / 'nas_bench_mr'
    settings = ['seg', 'seg-4x', 'cls-50-1000', 'cls-50-100', 'cls-10-1000', 'cls-10c', 'video']
    table = load_settings(root, [*settings, 'video-p'])
    assert table.codes.shape == (2507, 27)
    assert table['seg/mIoU'].max() == 79.10 and table['seg/mIoU'].argmax() == 2506
    assert table['video-p/top1'].min() == pytest.approx(10.77, abs=0.005)
    cells = load_records(root, 'nas-bench-201')
    assert cells.codes.shape == (15625, 30) and set(cells.columns) == {'Acc', 'Flops', 'Params'}
    assert (cells.codes.reshape(-1, 6, 5).sum(-1) == 1).all()
    parts = split_rows(2507, root / 'split.json', val_fraction=0.05)
    assert len(parts['test']) == 502 and len(parts['val']) == 100
