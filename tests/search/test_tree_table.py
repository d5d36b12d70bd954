from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bmtas.branching import enumerate_trees
from bmtas.search.tree_table import TreeTable


def test_what_is_saved_is_read_again(make_table, tmp_path):
    table = make_table(noise=0.1, fixed=2.0)
    seeds = np.array([3, 1, 4, 7])
    table = replace(table, probe_routes=table.routes[:3], probes=table.test[:3], seeds=seeds)
    table.save(tmp_path / 'table.npz')
    again = TreeTable.load(tmp_path / 'table.npz')
    assert again.tasks == table.tasks and again.fixed_cost == 2.0
    for name in ('routes', 'layer_costs', 'readings', 'held_out', 'test', 'probes', 'seeds'):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), rtol=1e-6)
    table = replace(table, probe_routes=None, probes=None)
    table.save(tmp_path / 'table.npz')
    assert TreeTable.load(tmp_path / 'table.npz').probes is None


def test_costs_are_those_of_the_trees(make_table):
    table = make_table(fixed=2.0)
    heads = dict.fromkeys(table.tasks, 0.25)
    resources = SimpleNamespace(stem=1.0, layers=[1.0] * 3, heads=heads)
    assert table.costs.tolist() == [tree.cost(resources) for tree in table.trees]
    assert table.index[table.trees[17]] == 17


def test_complete_takes_the_trees_and_seeds_without_gaps(make_table):
    table = make_table(num_seeds=3)
    test = table.test.copy()
    test[100:, 0] = test[90:, 1] = test[20:, 2] = np.nan
    table = replace(table, test=test)
    assert table.trained.sum(0).tolist() == [100, 90, 20]
    part = table.complete()  # 90 trees with two seeds are more than 20 with three
    assert part.test.shape == (90, 2, 4) and part.trained.all()
    assert (part.routes == table.routes[:90]).all() and part.seeds.tolist() == [0, 1]
    other = replace(table, test=test[:, [2, 0, 1]], held_out=table.held_out[:, [2, 0, 1]])
    assert other.complete().seeds.tolist() == [1, 2]
    assert table.complete(3).test.shape == (20, 3, 4)
    for count in (1, 4):
        with pytest.raises(ValueError, match=f'trained with {count} seeds'):
            table.complete(count)
    test = table.test.copy()
    test[:, 1:] = np.nan
    with pytest.raises(ValueError, match='two trees that were trained with two seeds'):
        replace(table, test=test).complete()


def test_the_shipped_table_of_shapescenes_is_of_all_its_trees():
    table = TreeTable.load(Path(__file__).parents[2] / 'benchmarks/trees/shapescenes.npz')
    assert table.tasks == ('semseg', 'normals', 'depth', 'edge')
    assert set(table.trees) == set(enumerate_trees(4, table.tasks)) and len(table.trees) == 315
    assert table.held_out.shape == (315, 4, 5, 4) and table.trained.all()
    known = table.held_out[table.trained]
    assert np.isfinite(known).all() and (known[:, -1] < known[:, 0]).mean() > 0.9


def test_damaged_or_missing_tables_are_refused(make_table, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.npz does not exist'):
        TreeTable.load(tmp_path / 'no.npz')
    path = tmp_path / 'bad.npz'
    path.write_bytes(b'nothing')
    with pytest.raises(ValueError, match='bad.npz: not one, or damaged'):
        TreeTable.load(path)
    replace(make_table(), layer_costs=np.ones(2)).save(path)
    with pytest.raises(ValueError, match='layer_costs is an array'):
        TreeTable.load(path)
