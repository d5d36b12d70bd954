"""Downloads that break off, servers that misbehave, and archives that should not be trusted."""

import gzip
import io
import re
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from bmtas.datasets import archives
from bmtas.datasets.archives import count_files, fetch, file_sha256, unpack


def make_tar(path, members):
    """``members``: (name, bytes) or a TarInfo."""
    with tarfile.open(path, 'w:gz') as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                name, data = member
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


class Server:
    """Serves ``content``; can cut answers short, ignore ranges, change the file."""

    def __init__(self, content):
        self.content = content
        self.etag = '"one"'
        self.cut = None
        self.ranges = True
        self.status = None
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.http.server_port}/a.tar.gz'
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        wanted = handler.headers.get('Range')
        self.requests.append(wanted)
        if self.status:
            handler.send_error(self.status)
            return
        start, code = 0, 200
        if wanted and self.ranges and handler.headers.get('If-Range') == self.etag:
            start, code = int(re.match(r'bytes=(\d+)-', wanted).group(1)), 206
        if start >= len(self.content):
            handler.send_response(416)
            handler.send_header('Content-Range', f'bytes */{len(self.content)}')
            handler.end_headers()
            return
        body = self.content[start:]
        handler.send_response(code)
        handler.send_header('Content-Length', str(len(body)))
        handler.send_header('ETag', self.etag)
        if code == 206:
            end = len(self.content)
            handler.send_header('Content-Range', f'bytes {start}-{end - 1}/{end}')
        handler.end_headers()
        handler.wfile.write(body[: self.cut] if self.cut else body)


@pytest.fixture
def server(tmp_path):
    noise = np.random.default_rng(0).bytes(3_000_000)
    made = Server(make_tar(tmp_path / 'source.tgz', [('TOP/a.bin', noise)]).read_bytes())
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_fetch_reports_progress(server, tmp_path):
    seen = []
    path = fetch(server.url, tmp_path / 'new' / 'a.tgz', lambda *state: seen.append(state))
    assert path.read_bytes() == server.content
    assert seen[-1] == (len(server.content), len(server.content)) and len(seen) >= 2
    assert [p.name for p in path.parent.iterdir()] == ['a.tgz']


def test_interrupted_download_goes_on(server, tmp_path):
    server.cut = 1_200_000
    path = fetch(server.url, tmp_path / 'a.tgz')
    assert path.read_bytes() == server.content
    assert server.requests[0] is None
    assert server.requests[1:] == ['bytes=1200000-', 'bytes=2400000-']


def test_killed_download_goes_on_in_the_next_run(server, tmp_path):
    class Killed(BaseException):
        pass

    def kill(done, total):
        raise Killed

    with pytest.raises(Killed):
        fetch(server.url, tmp_path / 'a.tgz', kill)
    part = (tmp_path / 'a.tgz.part').stat().st_size
    assert 0 < part < len(server.content)
    path = fetch(server.url, tmp_path / 'a.tgz')
    assert path.read_bytes() == server.content
    assert server.requests[-1] == f'bytes={part}-'


def test_half_written_notes_start_over(server, tmp_path):
    (tmp_path / 'a.tgz.part').write_bytes(server.content[:100])
    (tmp_path / 'a.tgz.part.json').write_text('{"url": "ht')
    assert fetch(server.url, tmp_path / 'a.tgz').read_bytes() == server.content
    assert server.requests == [None]


def test_no_space_for_a_changed_file_leaves_nothing_of_the_old_one(server, tmp_path, monkeypatch):
    (tmp_path / 'a.tgz.part').write_bytes(b'old beginning')
    info = f'{{"url": "{server.url}", "validator": "\\"zero\\""}}'
    (tmp_path / 'a.tgz.part.json').write_text(info)
    with monkeypatch.context() as full:
        full.setattr(archives.shutil, 'disk_usage', lambda path: SimpleNamespace(free=0))
        with pytest.raises(ValueError, match='0 MiB are free'):
            fetch(server.url, tmp_path / 'a.tgz')
    assert fetch(server.url, tmp_path / 'a.tgz').read_bytes() == server.content


def test_complete_part_needs_no_more_bytes(server, tmp_path):
    (tmp_path / 'a.tgz.part').write_bytes(server.content)
    info = f'{{"url": "{server.url}", "validator": "\\"one\\""}}'
    (tmp_path / 'a.tgz.part.json').write_text(info)
    assert fetch(server.url, tmp_path / 'a.tgz').read_bytes() == server.content


def test_changed_file_is_fetched_anew(server, tmp_path):
    (tmp_path / 'a.tgz.part').write_bytes(b'old beginning')
    info = f'{{"url": "{server.url}", "validator": "\\"zero\\""}}'
    (tmp_path / 'a.tgz.part.json').write_text(info)
    assert fetch(server.url, tmp_path / 'a.tgz').read_bytes() == server.content


def test_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / 'a.tgz.part').write_bytes(server.content[:100])
    info = f'{{"url": "{server.url}", "validator": "\\"one\\""}}'
    (tmp_path / 'a.tgz.part.json').write_text(info)
    assert fetch(server.url, tmp_path / 'a.tgz').read_bytes() == server.content


def test_dead_links(server, tmp_path):
    server.status = 404
    with pytest.raises(ConnectionError, match='404'):
        fetch(server.url, tmp_path / 'a.tgz')
    assert len(server.requests) == 1
    server.status = 503
    with pytest.raises(ConnectionError, match='503'):
        fetch(server.url, tmp_path / 'a.tgz', attempts=2)
    with pytest.raises(ConnectionError, match='refused'):
        fetch('http://127.0.0.1:9/a.tgz', tmp_path / 'a.tgz', attempts=1)
    with pytest.raises(ValueError, match='only http'):
        fetch('file:///etc/passwd', tmp_path / 'a.tgz')


def test_page_instead_of_an_archive(server, tmp_path):
    server.content = b'<html>quota exceeded</html>'
    with pytest.raises(ConnectionError, match='not an archive'):
        fetch(server.url, tmp_path / 'a.tgz')
    assert not (tmp_path / 'a.tgz').exists() and not (tmp_path / 'a.tgz.part').exists()


def test_unpack_makes_the_top_folder_the_target(tmp_path):
    archive = make_tar(tmp_path / 'a.tgz', [('TOP/x/a.png', b'1'), ('TOP/b.txt', b'2')])
    target = unpack(archive, tmp_path / 'data' / 'MY')
    assert (target / 'x' / 'a.png').read_bytes() == b'1'
    assert count_files(target) == {'.png': 1, '.txt': 1}
    assert [p.name for p in target.parent.iterdir()] == ['MY']
    with pytest.raises(ValueError, match='exists already'):
        unpack(archive, target)


def test_a_browser_may_have_decompressed_it(tmp_path):
    packed = make_tar(tmp_path / 'a.tgz', [('TOP/b.txt', b'2')])
    plain = tmp_path / 'a.tar'
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert (unpack(plain, tmp_path / 'out') / 'b.txt').read_bytes() == b'2'


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    'member',
    [
        ('../evil.txt', b'x'),
        ('TOP/../../evil.txt', b'x'),
        ('/evil.txt', b'x'),
        ('TOP\\..\\evil.txt', b'x'),
        link('TOP/link', '/etc'),
        link('TOP/link', '../../evil.txt'),
        link('TOP/hard', '../../evil.txt', tarfile.LNKTYPE),
        link('TOP/fifo', '', tarfile.FIFOTYPE),
    ],
    ids=lambda member: getattr(member, 'name', None) or member[0],
)
def test_nothing_escapes(tmp_path, member):
    archive = make_tar(tmp_path / 'a.tgz', [('TOP/a', b'1'), member])
    target = tmp_path / 'in' / 'side'
    with pytest.raises(ValueError, match='refused'):
        unpack(archive, target)
    assert not target.exists() and not list(tmp_path.rglob('evil*'))
    assert list((tmp_path / 'in').iterdir()) == []


@pytest.mark.parametrize('keep', [0, 5, 0.5, -4])
def test_damaged_archive(tmp_path, keep):
    archive = make_tar(tmp_path / 'a.tgz', [('TOP/a', np.random.default_rng(0).bytes(50_000))])
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match='cannot be unpacked'):
        unpack(archive, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_flipped_byte_fails_the_checksum(tmp_path):
    archive = make_tar(tmp_path / 'a.tgz', [('TOP/a', np.random.default_rng(0).bytes(50_000))])
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(ValueError, match='cannot be unpacked'):
        unpack(archive, tmp_path / 'out')


@pytest.mark.parametrize('mode', ['gz', 'xz'])
def test_damaged_compression_and_a_file_in_the_way(tmp_path, mode):
    archive = tmp_path / 'a'
    with tarfile.open(archive, f'w:{mode}') as tar:
        for number in range(20):
            info = tarfile.TarInfo(f'TOP/{number}')
            info.size = 50_000
            tar.addfile(info, io.BytesIO(np.random.default_rng(number).bytes(25_000) * 2))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 5000] = b'\xff' * 5000
    archive.write_bytes(data)
    with pytest.raises(ValueError, match='cannot be unpacked'):
        unpack(archive, tmp_path / 'out')
    (tmp_path / 'out').write_text('a file')
    with pytest.raises(ValueError, match='out: exists already'):
        unpack(archive, tmp_path / 'out')


def test_sha256(tmp_path):
    (tmp_path / 'f').write_bytes(b'abc')
    assert file_sha256(tmp_path / 'f').startswith('ba7816bf8f01cfea')
