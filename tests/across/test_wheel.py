"""The package as pip installs it, in an environment of its own, far from the repository."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
DATA = [
    *('train_dataloader.dataset.length=8', 'train_dataloader.num_workers=0'),
    *('train_dataloader.persistent_workers=False', 'train_dataloader.batch_size=2'),
    *('val_dataloader.dataset.length=2', 'val_dataloader.num_workers=0'),
    *('val_dataloader.persistent_workers=False', 'test_dataloader.dataset.length=2'),
    *('test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False'),
]
SEARCH = ['search.warmup_updates=1', 'search.weight_updates=1', 'search.alpha_phase=1']


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_installed_by_pip_and_used_elsewhere(tmp_path):
    def run(*command, **options):
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, **options
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    wheels = tmp_path / 'wheels'
    source = tmp_path / 'source'  # building leaves files in the folder that is built
    run('git', 'clone', '-q', ROOT, source)
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
        '-w', wheels, source)  # fmt: skip
    run(sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'env')
    python = tmp_path / 'env' / 'bin' / 'python'
    (wheel,) = wheels.glob('bmtas-*.whl')
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps', wheel)
    # what bmtas needs is taken from this environment, bmtas itself is not: it is no folder there
    site = Path(run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').strip())
    (site / 'needs.pth').write_text(sysconfig.get_path('purelib') + '\n')
    env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    place = tmp_path / 'elsewhere'
    place.mkdir()

    def bmtas(*argv):
        return run(tmp_path / 'env' / 'bin' / 'bmtas', *argv, cwd=place, env=env)

    where = run(python, '-c', 'import bmtas; print(bmtas.__file__)', cwd=place, env=env)
    assert str(tmp_path / 'env') in where
    assert 'bmtas/mobilenetv2_shapescenes' in bmtas('configs', 'shapescenes').split()
    bmtas('search', 'bmtas/mobilenetv2_shapescenes', '--cfg-options', *DATA, *SEARCH)
    tree = 'work_dirs/bmtas/mobilenetv2_shapescenes/branching.json'
    bmtas('train', 'branched/mobilenetv2_shapescenes', '--branching', tree,
          '--cfg-options', *DATA, 'train_cfg.max_iters=2')  # fmt: skip
    network = 'branched/mobilenetv2_shapescenes'
    checkpoint = f'work_dirs/{network}/iter_2.pth'
    bmtas('test', network, checkpoint, '--cfg-options', *DATA)
    results = json.loads((place / f'work_dirs/{network}/results.json').read_text())
    assert results['branching']['config'] == json.loads((place / tree).read_text())['config']
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(place / 'a.png')
    bmtas('infer', network, checkpoint, 'a.png', '--out-dir', 'out')
    assert (place / 'out' / 'depth' / 'a.png').is_file()
    bmtas('report', 'work_dirs', '--out', 'report.html')
    assert 'Search' in (place / 'report.html').read_text()
