"""Comparison of synthetic runs against figures computed by hand."""

import csv
import importlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes

from bmtas.apis.comparison import comparison_csv, comparison_table, on_front
from bmtas.apis.entries import Value, group_name, read_entries, seedless_folder
from bmtas.cli.base import run_tool
from bmtas.visualization.comparison import draw_comparison

ROOT = Path(__file__).parents[2]


def write(folder, method, iou, error, madds, **changes):
    folder.mkdir(parents=True)
    run = dict(
        version=1,
        method=method,
        tasks=['semseg', 'normals'],
        metrics={},
        scores=dict(semseg=iou, normals=error),
        score_names=dict(semseg='mIoU', normals='mean'),
        higher_is_better=dict(semseg=True, normals=False),
        delta_m=None,
        baseline=None,
        madds=madds,
        params=1000,
        convention='mac',
        input_size=[64, 64],
        seed=0,
    )
    (folder / 'results.json').write_text(json.dumps({**run, **changes}))


@pytest.fixture
def runs(tmp_path):
    write(tmp_path / 'single' / 'seed0', 'single', 50.0, 20.0, 10_000)
    write(tmp_path / 'single' / 'seed1', 'single', 50.0, 20.0, 10_000)
    # + 2 % and + 4 %, mean 3; then + 4 % and + 6 %, mean 5
    write(tmp_path / 'bmtas' / 'lambda=1,seed=0', 'branched', 51.0, 19.2, 4_000)
    write(tmp_path / 'bmtas' / 'lambda=1,seed=1', 'branched', 52.0, 18.8, 6_000)
    # - 10 % and 0
    write(tmp_path / 'shared' / 'seed0', 'shared', 45.0, 20.0, 3_000)
    # beaten by bmtas in both
    write(tmp_path / 'mtan' / 'seed0', 'mtan', 45.0, 22.0, 9_000)
    return tmp_path


def test_mean_and_deviation_over_seeds(runs):
    entries, baseline = read_entries([str(runs)])
    found = {entry.name: entry for entry in entries}
    assert [e.name for e in entries] == ['shared', 'branched lambda=1', 'mtan', 'single']
    assert baseline['scores'] == dict(semseg=50.0, normals=20.0)
    gain = found['branched lambda=1'].delta_m
    assert gain.mean == pytest.approx(4) and gain.deviation == pytest.approx(2**0.5)
    assert found['branched lambda=1'].value('madds') == Value(5000, pytest.approx(2000 / 2**0.5))
    assert found['shared'].delta_m == Value(-5.0) and found['single'].delta_m.mean == 0
    assert [e.name for e in on_front(entries)] == ['shared', 'branched lambda=1']


def test_table_and_csv(runs):
    entries, _ = read_entries([str(runs)])
    lines = comparison_table(entries).split('\n')
    assert 'semseg mIoU ↑' in lines[0] and 'normals mean ↓' in lines[0]
    assert '4.00 ± 1.41 *' in lines[3] and '-10.00' in lines[4] and '*' not in lines[4]
    rows = list(csv.DictReader(io.StringIO(comparison_csv(entries))))
    assert rows[1]['name'] == 'branched lambda=1' and float(rows[1]['semseg_mean']) == 51.5
    assert rows[0]['delta_m_std'] == '' and float(rows[0]['delta_m_mean']) == -5


def test_costs_of_small_networks_keep_two_digits(runs, tmp_path):
    """10,000 MAdds are 0.00001 GMAdds, 3,000 are 0.000003, whose second digit is the seventh."""
    table = comparison_table(read_entries([str(runs)])[0])
    assert '| 0.0000030 ' in table and '| 0.0000050 ± 0.0000014 ' in table
    write(tmp_path / 'large' / 'seed0', 'single', 50.0, 20.0, 83 * 10**6)
    table = comparison_table(read_entries([str(tmp_path / 'large')])[0])
    assert '| 0.083 ' in table


def test_named_folders_and_given_baseline(runs):
    arguments = [f'ours={runs}/bmtas', f'{runs}/shared']
    entries, _ = read_entries(arguments, baseline=runs / 'shared' / 'seed0' / 'results.json')
    assert [e.name for e in entries] == ['shared', 'ours']
    assert entries[0].delta_m.mean == 0 and len(entries[1].runs) == 2


def test_several_draws_of_one_kind_are_one_row(runs):
    """Permuted trees of two seeds: +2 %, -10 %, -2.5 % and +0.5 % by hand."""
    for seed, index, iou in ((0, 0, 52.0), (0, 1, 40.0), (1, 0, 47.5), (1, 1, 50.5)):
        folder = runs / f'seed{seed}' / f'permutation_{index}'
        write(folder, f'permutation_{index}', iou, 20.0, 5_000)
    names = [e.name for e in read_entries([str(runs)])[0]]
    assert {'permutation_0', 'permutation_1'} <= set(names)  # draws are kept apart by default
    arguments = [f'Permutations={runs}/seed*/permutation_*', f'{runs}/single']
    same = [f'Permutations={runs}/seed{s}/permutation_{i}' for s in (0, 1) for i in (0, 1)]
    for given in (arguments, [*same, f'{runs}/single'], [*arguments, *same]):
        entries, _ = read_entries(given)
        assert [(e.name, len(e.runs)) for e in entries] == [('Permutations', 4), ('single', 2)]
        gains = [2.0, -10.0, -2.5, 0.5]
        mean = sum(gains) / 4
        deviation = (sum((g - mean) ** 2 for g in gains) / 3) ** 0.5
        assert entries[0].delta_m == Value(pytest.approx(mean), pytest.approx(deviation))
    with pytest.raises(FileNotFoundError, match='nothing matches this pattern'):
        read_entries([f'{runs}/seed*/none*'])


def test_stored_delta_m_stands_without_a_baseline(tmp_path):
    write(tmp_path / 'a', 'x', 1.0, 1.0, 10, delta_m=-1.5)
    write(tmp_path / 'b', 'y', 1.0, 1.0, 20)
    entries, baseline = read_entries([str(tmp_path)])
    assert baseline is None and [e.delta_m for e in entries] == [Value(-1.5), None]


@pytest.mark.parametrize(
    'path, method, name',
    [
        ('work/bmtas/l0.5_seed3/results.json', 'bmtas', 'bmtas l0.5'),
        ('work/mtan/seed_12/train/results.json', 'mtan', 'mtan'),
        ('work/x,randomness.seed=2/results.json', 'm', 'm x'),
        ('work/linseed3/results.json', 'm', 'm linseed3'),
        ('work/a=1,seed=0,b=2/results.json', 'm', 'm a=1,b=2'),
    ],
)
def test_group_name(path, method, name):
    assert group_name(seedless_folder(Path(path)), method) == name


def test_equal_names_in_other_folders_are_other_rows(tmp_path):
    """Two sweeps with the same grid, of two configs."""
    for sweep, iou in (('exact', 50.0), ('paper', 40.0)):
        for seed in (0, 1):
            write(tmp_path / sweep / f'lambda=1,seed={seed}', 'bmtas', iou, 20.0, 10)
    write(tmp_path / 'shared', 'shared', 30.0, 20.0, 20)
    entries, _ = read_entries([str(tmp_path)])
    found = {entry.name: (len(entry.runs), entry.score('semseg').mean) for entry in entries}
    assert found == {
        'bmtas lambda=1 (exact)': (2, 50.0),
        'bmtas lambda=1 (paper)': (2, 40.0),
        'shared': (1, 30.0),
    }
    with pytest.raises(ValueError, match="two rows are called 'shared'"):
        read_entries([f'shared={tmp_path}/exact', str(tmp_path)])


def test_equal_rows_stand_on_the_front_together():
    points = [(1, 0), (2, 5), (2, 4), (3, 5), (4, 7), (2, 5)]
    entries = [
        SimpleNamespace(
            name=n, value=lambda cost, c=c: SimpleNamespace(mean=c), delta_m=SimpleNamespace(mean=g)
        )
        for n, (c, g) in enumerate(points)
    ]
    assert [entry.name for entry in on_front(entries)] == [0, 1, 5, 4]


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(convention='paper'), 'convention is paper, but'),
        (dict(input_size=[32, 32]), r'input_size is \[32, 32\], but'),
        (dict(madds=None), "key 'madds' is missing"),
    ],
)
def test_what_cannot_be_compared_is_named(runs, change, message):
    write(runs / 'odd', 'odd', 1.0, 1.0, **{'madds': 10, **change})
    with pytest.raises(ValueError, match=message) as error:
        read_entries([str(runs)])
    assert str(runs / 'odd') in str(error.value)


def load_tool(name):
    return importlib.import_module(f'bmtas.cli.{name}').main


@pytest.fixture
def drawn(monkeypatch):
    """Label, colour and marker of what is drawn."""
    drawn = []
    plain = Axes.errorbar

    def spy(self, *args, **kwargs):
        drawn.append((kwargs['label'], kwargs['color'], kwargs['fmt']))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Axes, 'errorbar', spy)
    return drawn


def test_every_method_of_the_picture_looks_different(tmp_path, drawn):
    points = [dict(name=f'm{i}', method=f'm{i}', cost=1e9 * i, delta_m=i) for i in range(24)]
    draw_comparison(points, ['m0', 'm23'], tmp_path / 'c.png')
    assert [label for label, _, _ in drawn] == [f'm{i}' for i in range(24)]
    assert len({(colour, marker) for _, colour, marker in drawn}) == 24


def test_settings_of_one_method_share_a_colour(tmp_path, drawn):
    names = ['shared', 'bmtas_1', 'fafs-1', 'bmtas_2', 'fafs-2']
    points = [dict(name=n, method=n, cost=1e9 * i, delta_m=i) for i, n in enumerate(names)]
    draw_comparison(points, [], tmp_path / 'c.png')
    colours = {label: colour for label, colour, _ in drawn}
    markers = {label: marker for label, _, marker in drawn}
    assert colours['bmtas_1'] == colours['bmtas_2'] and markers['bmtas_1'] != markers['bmtas_2']
    assert colours['fafs-1'] == colours['fafs-2'] and markers['fafs-1'] != markers['fafs-2']
    assert len(set(colours.values())) == 3


def test_a_long_name_leaves_the_axes_their_place(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        'bmtas.visualization.comparison.save_figure', lambda f, p: figures.append(f) or p
    )
    widths = []
    for name in ('short', ','.join(f'train_cfg.option_{i}=1' for i in range(6))):
        points = [dict(name='a', method='a', cost=1e9, delta_m=0.0)]
        points.append(dict(name=name, method='b', cost=3e9, delta_m=1.0))
        draw_comparison(points, [], tmp_path / 'c.png')
        figures[-1].draw_without_rendering()
        (axes,) = figures[-1].axes
        widths.append(axes.bbox.width)
        for text in axes.texts:
            box = text.get_window_extent()
            assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
    assert widths[1] == pytest.approx(widths[0], rel=0.01)


def test_names_stand_at_their_own_points(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        'bmtas.visualization.comparison.save_figure', lambda f, p: figures.append(f) or p
    )
    places = dict(bmn=(0.110, 0.09), bmtas=(0.110, 0.53), shared=(0.083, -0.7), far=(0.2, 9.0))
    points = [dict(name=n, method=n, cost=x * 1e9, delta_m=y) for n, (x, y) in places.items()]
    draw_comparison(points, [], tmp_path / 'c.png')
    (axes,) = figures[0].axes
    centres = dict(zip(places, axes.transData.transform(list(places.values()))))
    for text in axes.texts:
        box = text.get_window_extent()
        outside = {
            name: np.hypot(
                *(max(low - v, 0, v - high) for low, v, high in zip(box.min, c, box.max))
            )
            for name, c in centres.items()
        }
        assert min(outside, key=outside.get) == text.get_text()


def test_tool(runs, capsys):
    out = runs / 'out'
    arguments = [
        str(runs),
        '--out',
        f'{out}/c.md',
        '--csv',
        f'{out}/c.csv',
        '--plot',
        f'{out}/c.png',
    ]
    assert run_tool(load_tool('compare'), arguments) == 0
    assert (out / 'c.md').read_text() == capsys.readouterr().out
    assert (out / 'c.png').read_bytes()[:4] == b'\x89PNG' and (out / 'c.csv').is_file()
    assert run_tool(load_tool('compare'), [str(runs / 'none')]) == 2
    assert 'none: no such work dir' in capsys.readouterr().err
    (runs / 'empty').mkdir()
    assert run_tool(load_tool('compare'), [str(runs / 'empty')]) == 2
    assert 'no results.json in it' in capsys.readouterr().err


def test_costs_of_networks_that_share_computation(tmp_path):
    """Size and effective work of others follow from theirs; latency stands beside the latter."""
    write(tmp_path / 'plain', 'plain', 1.0, 1.0, 1000, delta_m=0.0)
    own = dict(madds_effective=300, stored=8_000_000, latency_ms=dict(seg=2.0, dep=3.5))
    write(tmp_path / 'share', 'share', 1.0, 1.0, 1000, delta_m=0.0, **own)
    plain, share = read_entries([str(tmp_path / 'plain'), str(tmp_path / 'share')])[0]
    if plain.name != 'plain':
        plain, share = share, plain
    assert share.value('latency_ms') == Value(5.5) and share.value('stored') == Value(8e6)
    assert plain.value('madds_effective') == Value(1000.0)
    assert plain.value('stored') == Value(4.0 * plain.runs[0]['params'])
    with pytest.raises(ValueError, match='plain: key latency_ms is missing'):
        plain.value('latency_ms')
    lines = comparison_table([plain, share], 'madds_effective').split('\n')
    assert 'effective GMAdds' in lines[0] and 'latency (ms)' in lines[0]
    assert '5.500' in lines[3] and '| - ' in lines[2]


def test_gains_are_set_against_the_chosen_cost(tmp_path, capsys):
    """B costs more for all tasks, less for one: each alone is on its front."""
    costs = dict(a=(1000, dict(seg=800, dep=900)), b=(2000, dict(seg=100, dep=300)))
    for name, (madds, by_task) in costs.items():
        write(tmp_path / name, name, 1.0, 1.0, madds, delta_m=1.0, madds_by_task=by_task)
    entries = read_entries([str(tmp_path / 'a'), str(tmp_path / 'b')])[0]
    assert [entry.name for entry in on_front(entries, 'madds')] == ['a']
    assert [entry.name for entry in on_front(entries, 'madds_one_task')] == ['b']
    assert entries[1].value('madds_one_task') == Value(200.0)
    assert 'GMAdds, one task' in comparison_table(entries, 'madds_one_task')
    del entries[0].runs[0]['madds_by_task']
    with pytest.raises(ValueError, match='a: key madds_by_task is missing; test the run again'):
        entries[0].value('madds_one_task')
