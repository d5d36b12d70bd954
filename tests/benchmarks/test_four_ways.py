"""benchmarks/four_ways.py sets each way of sharing against its own baseline."""

import json

import pytest


@pytest.fixture
def script(load_script):
    return load_script('four_ways')


def write(folder, method, score, madds, task='depth', **more):
    folder.mkdir(parents=True)
    content = dict(
        version=1, tasks=[task], metrics={task: dict(rmse=score)}, scores={task: score},
        score_names={task: 'rmse'}, higher_is_better={task: False}, madds=madds, params=1000,
        convention='mac', input_size=[64, 64], method=method, **more,
    )  # fmt: skip
    (folder / 'results.json').write_text(json.dumps(content))


def test_each_way_is_set_against_its_own_baseline(script, tmp_path, capsys):
    write(tmp_path / 'a/seed0/single', 'single', 1.0, 400)
    write(tmp_path / 'a/seed0/shared', 'shared', 1.1, 100)
    write(tmp_path / 'a/seed1/shared', 'shared', 0.8, 100)
    write(tmp_path / 'b/shared', 'shared', 2.0, 50, task='other')
    write(tmp_path / 'b/routed', 'routed', 1.5, 50, task='other', madds_effective=20)
    words = [f'branching={tmp_path}/a', f'routing={tmp_path}/b']
    with pytest.raises(SystemExit):
        script.main([*words, '--out', str(tmp_path / 'x.png')])
    assert 'routing: ' in capsys.readouterr().err
    options = ['--baseline', f'routing={tmp_path}/b/shared/results.json']
    script.main([*words, *options, '--out', str(tmp_path / 'x.png')])
    rows = [[c.strip() for c in r.split('|')[1:-1]] for r in capsys.readouterr().out.splitlines()]
    found = {(row[0], row[1]): row[2:] for row in rows[2:]}
    assert found['branching', 'shared'] == ['2', '0.250', '+5.00', '21.21']
    assert found['branching', 'single'][1:3] == ['1.000', '+0.00']
    assert found['routing', 'routed'][1:3] == ['0.400', '+25.00']
    assert (tmp_path / 'x.png').stat().st_size > 5000
    with pytest.raises(SystemExit):
        script.main(['nothing', '--out', str(tmp_path / 'x.png')])
    assert "'nothing' is not of the form" in capsys.readouterr().err
