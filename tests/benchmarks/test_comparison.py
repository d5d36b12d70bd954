"""benchmarks/comparison.py asks for runs that the tools accept, in an order that works."""

import json
from pathlib import Path

import pytest

from bmtas.cli import search, test, train
from bmtas.engine.config import load_config
from bmtas.engine.executors import PROGRAM

REPO = Path(__file__).resolve().parents[2]
METHODS = {'single', 'shared', 'cross_stitch', 'nddr', 'mtan', 'routed_50', 'routed_75'}
TREES = ('bmtas', 'vanilla', 'permutation', 'random', 'fafs', 'bmn')
METHODS |= {f'{name}_{budget}' for name in TREES for budget in (1, 2)}
COSTS = {'bmtas_1': 100000000, 'bmtas_2': 123456789}


@pytest.fixture
def script(load_script):
    return load_script('comparison')


@pytest.fixture
def jobs(script, tmp_path):
    """Jobs of two seeds whose searches are done."""
    jobs = [job for seed in (0, 1) for job in script.jobs_of_seed(tmp_path, seed, 10, 2)]
    for seed in (0, 1):
        for name, cost in COSTS.items():
            folder = tmp_path / f'seed{seed}' / name / 'search'
            folder.mkdir(parents=True)
            (folder / 'branching.json').write_text(json.dumps(dict(cost=cost)))
    return jobs


def test_every_method_once_for_each_seed_and_draw(jobs, script, tmp_path):
    folders = [job.folder.relative_to(tmp_path).parts for job in jobs]
    assert len(set(folders)) == len(folders)
    for seed in ('seed0', 'seed1'):
        assert {parts[1] for parts in folders if parts[0] == seed} == METHODS
    for method in ('permutation_1', 'permutation_2', 'random_1', 'random_2'):
        draws = [parts[2] for parts in folders if parts[1] == method]
        assert draws == ['seed0', 'seed1', 'seed2', 'seed3']


def test_requirements_stand_before(jobs):
    seen = set()
    for job in jobs:
        assert set(job.after) <= seen, job.name
        seen.add(job.name)


def test_tools_and_configs_accept_every_command(jobs):
    tools = dict(search=search, train=train, test=test)
    read = set()
    for job in jobs:
        commands = [command[len(PROGRAM) :] for command in job.commands()]
        assert [name for name, *_ in commands][-2:] == ['train', 'test']
        for name, *argv in commands:
            args = tools[name].parse_args(argv)
            assert Path(args.work_dir).is_relative_to(job.folder)
            assert args.cfg_options['randomness.seed'] == int(job.name[0])
            if args.config not in read:  # one reading tells whether it knows the options
                read.add(args.config)
                load_config(REPO / args.config, args.cfg_options, None, args.work_dir)


def test_trees_cost_what_the_search_found(jobs):
    options = {job.name: job.commands()[0] for job in jobs}
    assert 'budget=123456789' in options['1/vanilla_2']
    assert 'budget=100000000' in options['1/random_1/seed2']
    assert 'budget=123456789' in options['0/fafs_2']
    # a thousandth more: fractions of a unit
    assert 'budget=123580246' in options['0/bmn_2']
    (branching,) = (o for o in options['0/permutation_1/seed1'] if 'branching' in o)
    assert branching.endswith('seed0/bmtas_1/search/branching.json')


def test_rows_and_marks_of_the_docs(load_script, tmp_path):
    """Every method has a row, by rising cost; what is marked is better than all that is cheaper."""
    script = load_script('comparison_plot')
    points, front = script.points_of((REPO / 'docs' / 'comparison.md').read_text())
    assert {point['name'] for point in points} == METHODS
    costs = [point['cost'] for point in points]
    assert costs == sorted(costs)
    expected = [
        p['name']
        for p in points
        if all(q['delta_m'] < p['delta_m'] for q in points if q is not p and q['cost'] <= p['cost'])
    ]
    assert front == expected
    script.main([str(REPO / 'docs' / 'comparison.md'), str(tmp_path / 'x.png')])
    assert (tmp_path / 'x.png').stat().st_size > 5000
    with pytest.raises(ValueError, match='no table'):
        script.points_of('| a | b |')


def test_cells_hold_a_mean_and_maybe_a_deviation(load_script):
    script = load_script('comparison_plot')
    page = '| method | runs | GMAdds | Delta_m (%) |\n|-|-|-|-|\n'
    page += '| a | 2 | 0.5 ± 0.1 | -1.5 ± 2.0 * |\n| b | 1 | 0.6 | -2.00 |\n'
    points, front = script.points_of(page)
    assert front == ['a'] and points[1]['delta_m_std'] is None
    assert points[0] == dict(
        name='a', method='a', cost=0.5, cost_std=0.1, delta_m=-1.5, delta_m_std=2.0
    )
