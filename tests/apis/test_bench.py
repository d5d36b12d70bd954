"""Times of networks: which are compared, and what is counted."""

import json

import pytest

from bmtas.apis import bench as module
from bmtas.apis.bench import _timed, networks
from bmtas.branching import BranchingTree
from bmtas.cli.base import run_tool
from bmtas.cli.bench import main
from bmtas.engine.config import load_config

CONFIG = 'branched/mobilenetv2_shapescenes'


def test_the_networks_are_the_tree_and_both_extremes():
    cfg = load_config(CONFIG)
    names = list(cfg.tasks)
    routes = [[0] * len(names)] * 9 + [[0, 1, 1, 1, 1, 1]] * 9
    found = networks(cfg, BranchingTree.from_routes(routes, names))
    weights = {name: sum(p.numel() for p in m.encoder.parameters()) for name, m in found.items()}
    assert weights['shared'] < weights['tree'] < weights['single']
    assert weights['single'] == pytest.approx(6 * weights['shared'], rel=1e-6)


def test_networks_take_turns_and_the_first_round_does_not_count(monkeypatch):
    calls, clock = [], iter(range(100))
    monkeypatch.setattr(module.time, 'perf_counter', lambda: next(clock) / 1e3)
    times = _timed({name: lambda name=name: calls.append(name) for name in 'ab'}, 3)
    assert calls == ['a', 'b'] * 4 and times == dict(a=pytest.approx(1), b=pytest.approx(1))


def test_the_command(capsys):
    assert run_tool(main, [CONFIG, '--rounds', '1', '--input-size', '32', '32', '--json']) == 0
    rows = json.loads(capsys.readouterr().out.strip().split('\n')[-1])
    assert [row['name'] for row in rows] == ['shared', 'single'] and rows[1]['ratio'] == 1
    assert run_tool(main, [CONFIG, '--rounds', '0']) == 2
