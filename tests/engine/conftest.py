"""A search and a training that take a second."""

from pathlib import Path

import mmengine.config.config
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from tiny import SEARCH, TRAIN, write_config

from bmtas.engine.build import build_runner
from bmtas.engine.config import load_config
from bmtas.registry import STRATEGIES
from bmtas.search import SearchContext


@pytest.fixture(autouse=True)
def unformatted_configs(monkeypatch):
    """mmengine formats the config for every checkpoint, which takes most of a tiny run."""
    monkeypatch.setattr(
        mmengine.config.config, 'FormatCode', lambda text, **_: (text, True), raising=False
    )


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

    def launch(config, name, purpose='search', options=None, hooks=(), **flags):
        # mmengine names hubs by the second: two quick runs of one config would share their logs
        for singleton in (MessageHub, MMLogger, Visualizer):
            singleton._instance_dict.clear()
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
