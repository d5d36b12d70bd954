import os
import signal
import subprocess
import sys
import time

from bmtas.folder_lock import FolderLock


def test_two_processes(tmp_path):
    code = f'from bmtas.folder_lock import FolderLock; FolderLock({str(tmp_path)!r})'
    lock = FolderLock(tmp_path)
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert f'process {os.getpid()} on ' in run.stderr
    assert 'is running in this folder' in run.stderr
    lock.release()
    subprocess.run([sys.executable, '-c', code], check=True)
    FolderLock(tmp_path).release()


def test_a_forked_child_does_not_keep_it(tmp_path):
    lock = FolderLock(tmp_path)
    ready, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(report, b'.')
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    lock.release()
    try:
        FolderLock(tmp_path).release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
