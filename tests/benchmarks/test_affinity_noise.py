"""benchmarks/affinity_noise.py on affinities written down by hand."""

import json
import sys

import pytest


@pytest.fixture
def run(load_script, monkeypatch, capsys):
    module = load_script('affinity_noise')

    def main(*files):
        monkeypatch.setattr(sys, 'argv', ['affinity_noise.py', *map(str, files)])
        module.main()
        return capsys.readouterr().out

    return main


def write(path, tasks, ab, ac, bc, locations=('last',)):
    affinity = [[[1, ab, ac], [ab, 1, bc], [ac, bc, 1]]] * len(locations)
    content = dict(version=1, tasks=tasks, locations=list(locations), affinity=affinity)
    path.write_text(json.dumps(content))
    return path


def test_differences_between_runs_and_pairs(run, tmp_path):
    first = write(tmp_path / 'a.json', ['a', 'b', 'c'], 0.8, 0.5, 0.2)
    # the same pairs with the tasks in another order: 0.9, 0.7, 0.2
    second = write(tmp_path / 'b.json', ['c', 'b', 'a'], 0.2, 0.7, 0.9)
    row = run(first, second).splitlines()[-1]
    # runs: 0.1, 0.2, 0; pairs: 0.3, 0.6, 0.3 and 0.2, 0.7, 0.5
    assert row.replace(' ', '') == f'|last|0.20|0.90|{0.3 / 3:.2f}|{2.6 / 6:.2f}|'


def test_what_is_wrong_is_named(run, tmp_path, capsys):
    file = write(tmp_path / 'a.json', ['a', 'b', 'c'], 0.8, 0.5, 0.2)
    other = write(tmp_path / 'b.json', ['a', 'b', 'c'], 0.8, 0.5, 0.2, ('first', 'last'))
    for files, message in (
        ([file], 'at least two runs'),
        ([file, tmp_path / 'none.json'], 'none.json: not found'),
        ([file, other], 'b.json: other locations'),
    ):
        with pytest.raises(SystemExit):
            run(*files)
        assert message in capsys.readouterr().err
