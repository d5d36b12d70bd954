"""benchmarks/comparison.py asks for runs that the tools accept; the page shows what came out."""

import json
from pathlib import Path

import pytest

from bmtas.apis import compare
from bmtas.cli import search, test, train
from bmtas.engine.config import load_config
from bmtas.engine.executors import PROGRAM
from bmtas.registry import STRATEGIES

REPO = Path(__file__).resolve().parents[2]
RUNS = REPO / 'benchmarks' / 'comparison_runs'
TREES = {'bmtas', 'surrogate', 'best_of_random', 'random', 'permutation', 'fafs', 'bmn', 'vanilla'}
METHODS = TREES | {'single', 'shared', 'cross_stitch', 'nddr', 'mtan'}
ROUTED = {'routed_50', 'routed_75'}


@pytest.fixture
def script(load_script):
    return load_script('comparison')


@pytest.fixture(params=['conv4', 'mobilenetv2'])
def setting(script, request):
    return script.SETTINGS[request.param]


@pytest.fixture
def jobs(script, setting, tmp_path):
    """Jobs of two seeds, nothing of them done."""
    return [job for seed in (0, 1) for job in script.jobs_of_seed(tmp_path, seed, setting)]


def test_every_method_once_for_each_seed(script, setting, jobs, tmp_path):
    methods = METHODS | (ROUTED if setting is script.SETTINGS['mobilenetv2'] else set())
    folders = [job.folder.relative_to(tmp_path).parts for job in jobs]
    assert len(folders) == 2 * len(methods)
    assert set(folders) == {(seed, name) for seed in ('seed0', 'seed1') for name in methods}


def test_requirements_stand_before(jobs):
    seen = set()
    for job in jobs:
        assert set(job.after) <= seen, job.name
        seen.add(job.name)


def test_tools_and_configs_accept_every_command(jobs, setting):
    tools, strategies = dict(search=search, train=train, test=test), set()
    for job in jobs:
        commands = [command[len(PROGRAM) :] for command in job.commands()]
        names = [name for name, *_ in commands]
        assert names == [*(['search'] if job.folder.name in TREES else []), 'train', 'test']
        for name, *argv in commands:
            args = tools[name].parse_args(argv)
            assert Path(args.work_dir).is_relative_to(job.folder)
            assert args.cfg_options['randomness.seed'] == int(job.name[0])
            if job.name.startswith('0/'):  # one seed's reading tells whether it knows the options
                cfg = load_config(REPO / args.config, args.cfg_options, None, args.work_dir)
                if name == 'search':
                    assert args.budget == setting.budget
                    strategies.add(cfg.search.type)
                else:
                    assert cfg.train_cfg.log_losses
                    assert cfg.train_cfg.max_iters == setting.iters
    assert len(strategies) == len(TREES)


def test_surrogate_and_best_of_n_train_as_many_trees_for_as_long(setting):
    surrogate, bar = (
        STRATEGIES.build(load_config(REPO / setting.of(name)).search)
        for name in ('surrogate', 'best_of_random')
    )
    assert surrogate.count + surrogate.rounds * surrogate.batch == bar.count
    assert surrogate.length == bar.length


def test_what_is_kept_names_no_folder_of_the_machine(script, tmp_path):
    run = tmp_path / 'runs' / 'seed0' / 'bmtas'
    (run / 'search').mkdir(parents=True)
    found = dict(checkpoint=f'{run}/iter_10.pth', scores=dict(depth=0.5))
    (run / 'results.json').write_text(json.dumps(found))
    (run / 'search' / 'branching.json').write_text('{}')
    (run / 'iter_10.pth').write_text('weights')
    script.keep(tmp_path / 'runs', tmp_path / 'kept')
    kept = {path.relative_to(tmp_path / 'kept').as_posix() for path in tmp_path.glob('kept/**/*.*')}
    assert kept == {'seed0/bmtas/results.json', 'seed0/bmtas/search/branching.json'}
    (results,) = tmp_path.glob('kept/*/*/results.json')
    assert json.loads(results.read_text()) == dict(
        checkpoint='seed0/bmtas/iter_10.pth', scores=dict(depth=0.5)
    )


@pytest.mark.parametrize('network', ['conv4', 'mobilenetv2'])
def test_the_page_shows_the_runs(network):
    page = (REPO / 'docs' / 'comparison.md').read_text()
    rows = [[c.strip() for c in line.split('|')] for line in page.splitlines() if line[:1] == '|']
    for line in compare([str(RUNS / network)]).splitlines():
        cells = [cell.strip() for cell in line.split('|')]
        assert set(line) <= set('|- ') or cells in rows, line


def test_differences_are_those_of_the_same_seed(script, tmp_path):
    """+2 and +3 points: 2.5, and Student's 12.706 standard errors of 0.5 to either side."""
    for seed, (first, second) in enumerate([(61.0, 60.0), (71.5, 70.0)]):
        for name, value in (('single', 50.0), ('a', first), ('b', second)):
            folder = tmp_path / f'seed{seed}' / name
            folder.mkdir(parents=True)
            found = dict(scores=dict(x=value), higher_is_better=dict(x=True))
            (folder / 'results.json').write_text(json.dumps(found))
    rows = {
        line.split('|')[1].strip(): line for line in script.differences(tmp_path, 'a').split('\n')
    }
    assert '+2.50' in rows['b'] and '[-3.85, +8.85]' in rows['b'] and '+2.0 +3.0' in rows['b']
    assert 'a' not in rows
