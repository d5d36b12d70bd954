import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / 'benchmarks' / 'trees'
MODULES = (
    'protocol',
    'merit',
    'regressions',
    'teachers',
    'scenes_trainings',
    'strategies',
    'compare',
    'headroom',
    'planted',
    'planted_search',
    'planted_signals',
    'scenes',
    'shapescenes_search',
    'shapescenes_signals',
    'short_schedules',
    'shapescenes_table',
    'tables',
    'variances',
)


@pytest.fixture(autouse=True)
def benchmark_modules(monkeypatch):
    """The scripts of benchmarks/trees import each other by their bare names."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)
