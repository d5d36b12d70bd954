"""Fixtures of all tests."""

import os
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
# what tests compare bit by bit is promised on a CPU only; test_gpu.py shows the GPUs to its own
os.environ.setdefault('BMTAS_TEST_GPUS', os.environ.get('CUDA_VISIBLE_DEVICES', 'all'))
os.environ['CUDA_VISIBLE_DEVICES'] = ''

import pytest
from tiny import SEARCH, TRAIN, write_config

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


@pytest.fixture
def search_config(tmp_path: Path) -> Path:
    """Config of a search of 14 updates: 3 warm-up, (2 alpha, 4 weights), (2 alpha, 3 weights)."""
    return write_config(tmp_path / 'search.py', 'supergraph', 'search_short', SEARCH)


@pytest.fixture
def train_config(tmp_path: Path) -> Path:
    """Config of a training of 8 updates of the shared network."""
    return write_config(tmp_path / 'train.py', 'shared', 'retrain_short', TRAIN)


@pytest.fixture
def run(tmp_path: Path):
    """Run a config in a work dir: ``run(config, 'name', purpose, key=value...)`` -> runner."""
    from bmtas.engine import build_runner, load_config
    from bmtas.registry import STRATEGIES
    from bmtas.search import SearchContext

    def launch(config, name, purpose='search', options=None, hooks=(), **flags):
        cfg = load_config(config, options, work_dir=tmp_path / name)
        cfg.update(flags)
        if purpose == 'search':
            runner = STRATEGIES.build(cfg.search).runner(SearchContext(cfg, Path(cfg.work_dir)))
        else:
            runner = build_runner(cfg, purpose)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
        return runner

    return launch


@pytest.fixture(scope='session')
def load_script():
    """A script of benchmarks/ as a module: ``load_script('latency')``."""
    import importlib.util
    import sys

    def load(name: str):
        path = ROOT / 'benchmarks' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(f'{name}_script', path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def make_table():
    """A table of additive losses with noise; sharing harms pairs by given effects (L, T, T)."""
    import numpy as np

    from bmtas.branching import enumerate_trees
    from bmtas.search.tree_table import TreeTable

    def make(noise=0.0, num_seeds=4, layers=3, tasks=('a', 'b', 'c', 'd'), seed=0, fixed=0.0):
        rng = np.random.default_rng(seed)
        routes = np.array([tree.routes for tree in enumerate_trees(layers, tasks)])
        effects = rng.standard_normal((layers, len(tasks), len(tasks))) / 10 + 0.03
        effects[:, range(len(tasks)), range(len(tasks))] = 0
        together = routes[:, :, :, None] == routes[:, :, None, :]
        losses = np.einsum('nltu,ltu->nt', together, effects)[:, None]
        test = losses + noise * rng.standard_normal((len(routes), num_seeds, len(tasks)))
        readings = np.array([0.25, 0.5, 1.0])
        shape = (len(routes), num_seeds, len(readings), len(tasks))
        held_out = losses[:, :, None] + noise * rng.standard_normal(shape)
        return TreeTable(tasks, routes, np.ones(layers), fixed, readings, held_out, test)

    return make
