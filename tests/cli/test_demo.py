"""The demo: its configs, its tables, its one-line errors."""

import importlib
from io import StringIO

import pytest


@pytest.fixture(scope='module')
def demo():
    return importlib.import_module('bmtas.cli.demo')


def text(table):
    from rich.console import Console

    out = StringIO()
    Console(file=out, width=100).print(table)
    return out.getvalue()


def test_all_configs_have_the_same_four_tasks(demo):
    from bmtas.engine.config import load_config

    configs = [load_config(path) for path in (*demo.STRATEGIES.values(), demo.RETRAIN)]
    names = [list(cfg.tasks) for cfg in configs]
    assert names[0] == names[1] == names[2] and len(names[0]) >= 4
    assert configs[0].train_dataloader.num_workers == 0


def test_score_table_states_gain_over_the_constant(demo):
    results = dict(
        tasks=['a', 'b'],
        scores=dict(a=30.0, b=0.5),
        score_names=dict(a='mIoU', b='rmse'),
        higher_is_better=dict(a=True, b=False),
    )
    shown = text(demo.score_table(results, dict(a=10.0, b=2.0)))
    rows = [line for line in shown.split('\n') if 'mIoU' in line or 'rmse' in line]
    assert '+200 %' in rows[0] and '+75 %' in rows[1]
    worse = text(demo.score_table(results, dict(a=60.0, b=0.4)))
    assert '-50 %' in worse and '-25 %' in worse


def test_bad_speed_is_one_line(demo, capsys):
    from bmtas.cli.base import run_tool

    assert run_tool(demo.main, ['--speed', '0']) == 2
    assert capsys.readouterr().err == 'error: --speed must be positive, got 0.0\n'


def test_jobs_without_the_surrogate_are_refused(demo, capsys):
    from bmtas.cli.base import run_tool

    assert run_tool(demo.main, ['--jobs', '2', '--strategy', 'bmtas']) == 2
    assert '--jobs: of --strategy surrogate alone' in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_demo(demo, tmp_path, capsys):
    from bmtas.cli.base import run_tool

    assert run_tool(demo.main, ['--work-dir', str(tmp_path), '--speed', '150']) == 0
    shown = capsys.readouterr().out
    for word in ('constant', 'shared by all tasks', 'separate networks'):
        assert word in shown
    assert 'expected at the end' not in shown
    for name in ('tree', 'pairs', 'front'):
        assert (tmp_path / 'vis' / f'{name}.png').is_file()
    assert (tmp_path / 'branched' / 'vis' / 'predictions.png').is_file()


@pytest.mark.slow
def test_the_demo_with_a_supergraph(demo, tmp_path, capsys):
    from bmtas.cli.base import run_tool

    words = ['--work-dir', str(tmp_path), '--speed', '100', '--strategy', 'bmtas']
    assert run_tool(demo.main, words) == 0
    assert 'expected at the end' in capsys.readouterr().out
    for name in ('tree', 'alpha', 'curves'):
        assert (tmp_path / 'vis' / f'{name}.png').is_file()
