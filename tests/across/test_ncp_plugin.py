"""Network codes are a plug-in: nothing below names them, and no other config loads them."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'bmtas'


def test_no_room_names_the_plug_in():
    naming = [
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob('*.py')
        if 'ncp' not in path.relative_to(PACKAGE).parts
        and re.search(r'bmtas\.ncp|import ncp|NetworkCode|MultiResolution', path.read_text())
    ]
    assert naming == []


def test_only_its_configs_load_it():
    code = (
        'import sys\n'
        'from bmtas.engine.config import load_config\n'
        'import bmtas.search, bmtas.engine.test, bmtas.apis.runs, bmtas.apis.reports\n'
        "load_config('configs/bmtas/mobilenetv2_shapescenes.py')\n"
        "assert not any(name.startswith('bmtas.ncp') for name in sys.modules)\n"
        "load_config('configs/ncp/train_code_shapescenes.py')\n"
        "assert 'bmtas.ncp' in sys.modules\n"
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)
