import importlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bmtas.cli.base import run_tool


def tool(name):
    return partial(run_tool, importlib.import_module(f'bmtas.cli.{name}').main)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def archive_of_nyud(path):
    with tarfile.open(path, 'w:gz') as tar:
        for name in ('NYUDv2/gt_sets/train.txt', 'NYUDv2/gt_sets/val.txt'):
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b'0001\n'))
    return path


def test_prepare_downloads_unpacks_and_says_what_is_next(tmp_path, capsys):
    served = tmp_path / 'served'
    served.mkdir()
    archive_of_nyud(served / 'NYUDv2.tar.gz')
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}'
    target = tmp_path / 'data' / 'NYUDv2'
    prepare = tool('prepare')
    args = ['nyud', '--data-root', str(target)]
    try:
        assert prepare([*args, '--url', f'{url}/gone.tgz']) == 2
        err = capsys.readouterr().err
        assert 'by hand' in err and '--archive FILE' in err and len(err.splitlines()) == 1
        assert prepare([*args, '--url', f'{url}/NYUDv2.tar.gz', '--sha256', '0' * 64]) == 2
        assert 'SHA-256 is' in capsys.readouterr().err
        assert prepare([*args, '--url', f'{url}/NYUDv2.tar.gz']) == 0
    finally:
        server.shutdown()
        server.server_close()
    out = capsys.readouterr().out
    assert 'bmtas check configs/_base_/datasets/nyud.py' in out
    assert (target / 'gt_sets' / 'train.txt').read_text() == '0001\n'
    assert [p.name for p in target.parent.iterdir()] == ['NYUDv2']
    assert prepare(args) == 2
    assert 'exists already' in capsys.readouterr().err


def test_prepare_counts_the_files_of_pascal(tmp_path, capsys):
    archive = archive_of_nyud(tmp_path / 'PASCAL_MT.tgz')
    target = tmp_path / 'PASCAL_MT'
    prepare = tool('prepare')
    assert prepare(['pascal', '--data-root', str(target), '--archive', str(archive)]) == 1
    assert '0 .png files, not 33224' in capsys.readouterr().out
    assert archive.is_file() and target.is_dir()
    assert prepare(['pascal', '--data-root', str(tmp_path / 'x'), '--archive', 'none.tgz']) == 2


@pytest.mark.parametrize('name', ['check', 'prepare'])
def test_help(name, capsys):
    assert tool(name)(['--help']) == 0
    assert 'usage' in capsys.readouterr().out
