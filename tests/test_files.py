import errno
import json
import math
import os
import subprocess
import sys

import pytest

from bmtas import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class TestWriting:
    def test_content_folders_and_no_leftovers(self, tmp_path):
        target = tmp_path / 'a' / 'b.txt'
        files.write_text(target, 'one\n')
        files.write_text(target, 'zwei ä\n')
        assert target.read_bytes() == 'zwei ä\n'.encode()
        assert names(tmp_path / 'a') == ['b.txt']

    def test_failure_keeps_the_old_file(self, tmp_path):
        target = tmp_path / 'a.bin'
        files.write_bytes(target, b'old')
        with pytest.raises(RuntimeError, match='stop'), files.atomic_path(target) as part:
            part.write_bytes(b'half')
            raise RuntimeError('stop')
        assert target.read_bytes() == b'old'
        assert names(tmp_path) == ['a.bin']

    def test_part_has_the_suffix_and_stands_beside(self, tmp_path):
        with files.atomic_path(tmp_path / 'x.onnx') as part:
            assert part.suffix == '.onnx' and part.parent == tmp_path
            part.write_bytes(b'')

    def test_devices_are_written_to_and_links_followed(self, tmp_path):
        files.write_text('/dev/null', 'text')
        assert not os.path.isfile('/dev/null')
        real, link = tmp_path / 'real', tmp_path / 'link'
        real.write_text('old')
        link.symlink_to(real)
        files.write_text(link, 'new')
        assert link.is_symlink() and real.read_text() == 'new'

    def test_json_round_trip_and_refusal_of_nan(self, tmp_path):
        path = tmp_path / 'a.json'
        files.write_json(path, {'a': [1, 2.5, None], 'b': 'ü'})
        assert files.read_json(path) == {'a': [1, 2.5, None], 'b': 'ü'}
        before = path.read_text()
        for value in (math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match=r'a\.json: not written, scores\.1\.x is'):
                files.write_json(path, {'scores': [0.0, {'x': value}]})
        assert path.read_text() == before

    @pytest.mark.parametrize(
        ('make', 'name', 'words'),
        [
            (lambda d: (d / 'f').write_text(''), 'f/x', 'is a file where a folder is needed'),
            (lambda d: (d / 'f').touch(), 'f/x/y', 'f is a file where a folder is needed'),
            (lambda d: (d / 'd').mkdir(), 'd', 'it is a folder'),
            (lambda d: None, 'n' * 300, 'name is too long'),
        ],
    )
    def test_one_line_says_why(self, tmp_path, make, name, words):
        make(tmp_path)
        with pytest.raises(OSError) as caught:
            files.write_text(tmp_path / name, 'text')
        assert words in str(caught.value) and '\n' not in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)

    def test_full_disk(self, tmp_path, monkeypatch):
        if not os.path.exists('/dev/full'):
            pytest.skip('this system has no /dev/full')
        with pytest.raises(OSError, match='/dev/full: cannot be written: the disk is full'):
            files.write_text('/dev/full', 'text')

        def full(*args):
            raise OSError(errno.ENOSPC, 'No space left on device')

        files.write_text(tmp_path / 'a', 'old')
        monkeypatch.setattr(os, 'fsync', full)
        with pytest.raises(OSError, match='a: cannot be written: the disk is full'):
            files.write_text(tmp_path / 'a', 'new')
        assert names(tmp_path) == ['a'] and (tmp_path / 'a').read_text() == 'old'

    def test_leftovers_of_dead_processes_go(self, tmp_path):
        gone = subprocess.Popen([sys.executable, '-c', ''])
        gone.wait()
        (tmp_path / 'vis').mkdir()
        dead = tmp_path / 'vis' / f'.part-{gone.pid}-3.png'
        alive = tmp_path / f'.part-{os.getpid()}-0'
        other = tmp_path / '.part-of-mine'
        for path in (dead, alive, other):
            path.write_text('')
        assert files.remove_leftovers(tmp_path) == [dead]
        assert alive.exists() and other.exists() and not dead.exists()


class TestReading:
    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'split .*/no\.txt does not exist'):
            files.read_text(tmp_path / 'no.txt', 'split')

    def test_byte_order_mark_and_other_encodings(self, tmp_path):
        path = tmp_path / 'a.txt'
        path.write_bytes('ä'.encode('utf-8-sig'))
        assert files.read_text(path) == 'ä'
        for encoding in ('latin-1', 'utf-16'):
            path.write_bytes('äöü'.encode(encoding))
            with pytest.raises(ValueError, match=r'a\.txt is not UTF-8 text .*save it as UTF-8'):
                files.read_text(path)

    @pytest.mark.parametrize(
        ('text', 'words'),
        [
            ('{', 'is not JSON'),
            ('', 'is not JSON'),
            ('{"a": NaN}', 'NaN is no finite number'),
            ('[1e999]', '1e999 is no finite number'),
            ('[' * 100_000, 'nested too deeply'),
        ],
    )
    def test_json_that_is_none(self, tmp_path, text, words):
        path = tmp_path / 'a.json'
        path.write_text(text)
        with pytest.raises(ValueError, match=words) as caught:
            files.read_json(path, 'branching file')
        assert f'branching file {path}' in str(caught.value)
        assert '\n' not in str(caught.value)


def test_nearest():
    assert files.nearest('wieght', ['weight', 'mode']) == "did you mean 'weight'?"
    assert files.nearest('zzz', ['weight', 'mode']) == 'known: mode, weight'
    assert files.nearest('x', []) == 'nothing is known here'
    assert files.nearest(3, json.loads('["a"]')) == 'known: a'
