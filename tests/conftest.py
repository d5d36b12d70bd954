"""Fixtures of all tests."""

import os
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data_root() -> Path:
    """Folder of the real data sets; tests that need one skip with a reason where it is missing."""
    root = Path(os.environ.get('BMTAS_DATA', ROOT.parent / 'shared' / 'data'))
    if not root.is_dir():
        pytest.skip(f'real data not found in {root}; set BMTAS_DATA')
    return root


@pytest.fixture(autouse=True)
def fresh_mmengine_singletons():
    """mmengine keeps loggers, hubs and scopes by name for ever; a test starts without them."""
    import sys

    yield
    if 'mmengine' not in sys.modules:
        return
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    for singleton in (MMLogger, MessageHub, Visualizer, DefaultScope):
        singleton._instance_dict.clear()
