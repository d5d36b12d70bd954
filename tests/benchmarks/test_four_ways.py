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
    assert found['branching', 'shared'] == ['2', '0.25', '+5.00', '21.21']
    assert found['branching', 'single'][1:3] == ['1.00', '+0.00']
    assert found['routing', 'routed'][1:3] == ['0.40', '+25.00']
    assert (tmp_path / 'x.png').stat().st_size > 5000
    with pytest.raises(SystemExit):
        script.main(['nothing', '--out', str(tmp_path / 'x.png')])
    assert "'nothing' is not of the form" in capsys.readouterr().err


TABLE = """
| method | runs | GMAdds | depth rmse | Delta_m (%) |
|---|---|---|---|---|
| tree | 2 | 0.110 ± 0.020 | 1.0 | -0.53 ± 0.52 * |
| routed | 1 | 0.050 | 1.0 | 1.00 |
| single | 2 | 0.200 ± 0.000 | 1.0 | 0.00 ± 1.89 |
"""

EDITS = """
| edit | seg | cls | GMAdds |
|---|---|---|---|
| start | 50.0 | 80.00 | 2.0 |
| joint, mean | **55.0** (54.1) | 76.00 (75.0) | 1.0 |
"""


def test_tables_and_results_of_computation_sharing_are_sources(script, tmp_path):
    (tmp_path / 'c.md').write_text(f'# Text\n{TABLE}\n| a | b |\n|---|---|\n| c | d |\n')
    tree, routed = script.points_of('trees', f'{tmp_path}/c.md:tree;routed')
    assert (tree['cost'], tree['delta_m']) == (pytest.approx(0.55), -0.53)
    assert tree['delta_m_std'] == 0.52
    assert tree['cost_std'] == pytest.approx(0.1) and routed['cost_std'] is None
    with pytest.raises(ValueError, match="trees: .*c.md has no row 'x'; there are tree, routed"):
        script.points_of('trees', f'{tmp_path}/c.md:x')
    (tmp_path / 'd.md').write_text('nothing')
    with pytest.raises(ValueError, match='no table of bmtas compare'):
        script.points_of('trees', f'{tmp_path}/d.md')
    (tmp_path / 'n.md').write_text(f'{EDITS}\n| other | seg |\n|---|---|\n| start | 1 |\n')
    (edit,) = script.points_of('codes', f'{tmp_path}/n.md:joint, mean')
    assert (edit['cost'], edit['delta_m']) == (0.5, pytest.approx((10 - 5) / 2))

    def row(score, executed):
        names = ('semseg', 'depth')
        return dict(
            scores=dict.fromkeys(names, score), score_names=dict.fromkeys(names, 'rmse'),
            higher_is_better=dict.fromkeys(names, False), stored=1,
            madds=dict(executed=executed, dense=100, effective=executed),
        )  # fmt: skip

    single = row(2.0, 100)
    for key in ('scores', 'score_names', 'higher_is_better'):
        del single[key]['semseg']
    rows = {'single': single, 'sparse5': row(2.0, 100), 'rows': row(1.5, 60)}
    (tmp_path / 's.json').write_text(json.dumps(dict(seed0=rows)))
    (found,) = script.points_of('sharing', f'{tmp_path}/s.json:rows')
    assert (found['cost'], found['delta_m'], found['runs']) == (0.6, 25.0, 1)
