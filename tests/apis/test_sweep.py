"""A sweep whose tools are replaced by a script that writes what they would write."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from bmtas.apis import sweep
from bmtas.apis.grid import make_points, parse_grid
from bmtas.apis.sweep import Point, run_point, stages
from bmtas.cli.base import run_tool
from bmtas.cli.sweep import main as command
from bmtas.folder_lock import FolderLock

ROOT = Path(__file__).parents[2]
SEARCH = str(ROOT / 'configs' / 'bmtas' / 'mobilenetv2_shapescenes.py')
BRANCHED = str(ROOT / 'configs' / 'branched' / 'mobilenetv2_shapescenes.py')
SHARED = str(ROOT / 'configs' / 'shared' / 'mobilenetv2_shapescenes.py')

FAKE = """
import json, sys
from pathlib import Path
tool, *args = sys.argv[1:]
here = Path(args[args.index('--work-dir') + 1])
here.mkdir(parents=True, exist_ok=True)
with open(here.parent / 'calls', 'a') as stream:
    stream.write(tool + '\\n')
if tool == 'train' and any((f / 'fail').is_file() for f in (here.parent, here.parent.parent)):
    sys.exit(3)
if tool == 'search':
    (here / 'branching.json').write_text('{}')
elif tool == 'train':
    (here / 'iter_20.pth').touch()
    (here / 'iter_100.pth').touch()
else:
    assert args[1].endswith('iter_100.pth')
    Path(args[args.index('--out') + 1]).write_text(json.dumps(dict(method='branched', args=args)))
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    (tmp_path / 'fake.py').write_text(FAKE)
    monkeypatch.setattr(sweep, 'PROGRAM', [sys.executable, str(tmp_path / 'fake.py')])
    return tmp_path / 'work'


@pytest.fixture(scope='module')
def main():
    return command


def calls(folder):
    return (folder / 'calls').read_text().split()


def test_method_is_the_key_or_the_folder(tmp_path):
    grid = {'method': ['mine'], 'randomness.seed': ['1']}
    assert [p.method for p in make_points(SHARED, grid, tmp_path)] == ['mine']
    assert [p.method for p in make_points(SHARED, {}, tmp_path)] == ['shared']


def test_grid():
    assert parse_grid(['lambda=0.1,1', 'size=(64,64),(96,96)']) == {
        'lambda': ['0.1', '1'],
        'size': ['(64,64)', '(96,96)'],
    }
    for entry in ('lambda', '=1', 'a=', 'a=1,,2'):
        with pytest.raises(ValueError, match='must be of the form key=v1,v2'):
            parse_grid([entry])
    with pytest.raises(ValueError, match='a is given twice'):
        parse_grid(['a=1', 'a=2'])


def test_options_are_read_as_the_commands_read_them(tmp_path):
    grid = parse_grid(['model.channels_last=true,false'])
    assert len(make_points(SHARED, grid, tmp_path)) == 2
    for options, message in (
        (['max_iters'], '--train-options max_iters: must be of the form key=value'),
        (['train_cfg.max_iter=3'], 'train_cfg.max_iter: .* did you mean .max_iters'),
        (['input_size=(64,64'], 'Imbalanced brackets'),
    ):
        with pytest.raises(ValueError, match=message):
            make_points(SHARED, {}, tmp_path, train_options=options)
        with pytest.raises(ValueError, match=message):
            make_points(SEARCH, {}, tmp_path, BRANCHED, options)


def test_points_are_the_product_and_carry_their_options(tools):
    grid = parse_grid(['lambda=0.1,1', 'seed=0,1'])
    points = make_points(SEARCH, grid, tools, BRANCHED, ['train_cfg.max_iters=5'])
    assert [p.name for p in points] == [
        'lambda=0.1,seed=0',
        'lambda=0.1,seed=1',
        'lambda=1,seed=0',
        'lambda=1,seed=1',
    ]
    names, commands = zip(*stages(points[3]))
    assert names == ('search', 'train', 'test')
    search, train = commands[0](), commands[1]()
    assert search[-2:] == ['search.resource_loss.weight=1', 'randomness.seed=1']
    assert train[-2:] == ['randomness.seed=1', 'train_cfg.max_iters=5']
    assert train[train.index('--branching') + 1].endswith('lambda=1,seed=1/search/branching.json')


def test_sweep_runs_skips_and_resumes(tools, main, capsys):
    arguments = [SEARCH, '--retrain', BRANCHED, '--grid', 'seed=0,1', '--work-dir', str(tools)]
    tools.mkdir()
    (tools / 'fail').touch()
    assert run_tool(main, arguments) == 2
    error = capsys.readouterr().err
    assert '2 of 2 points failed' in error and 'train ended with code 3, see' in error
    (tools / 'fail').unlink()
    assert run_tool(main, arguments) == 0
    # the search that ended well was not run again
    assert calls(tools / 'seed=1') == ['search', 'train', 'train', 'test']
    results = json.loads((tools / 'seed=1' / 'results.json').read_text())
    assert results['method'] == 'bmtas' and results['sweep']['options'] == ['randomness.seed=1']
    capsys.readouterr()
    assert run_tool(main, arguments) == 0
    assert capsys.readouterr().out.count('finished') == 2
    assert len(calls(tools / 'seed=1')) == 4


def test_one_failing_point_does_not_lose_the_others(tools, main, capsys):
    arguments = [SHARED, '--grid', 'seed=0,1,2', '--work-dir', str(tools)]
    (tools / 'seed=1').mkdir(parents=True)
    (tools / 'seed=1' / 'fail').touch()
    assert run_tool(main, arguments) == 2
    assert '1 of 3 points failed: seed=1: train ended with code 3' in capsys.readouterr().err
    finished = [(tools / f'seed={s}' / 'results.json').is_file() for s in (0, 1, 2)]
    assert finished == [True, False, True]
    # nor does one that the scheduler refuses
    script = f'import sys; sys.exit({str(tools)!r} + "/seed=1" in sys.argv[1])'
    template = f'{shlex.join([sys.executable, "-c", script])} {{command}}'
    for seed in (0, 2):
        (tools / f'seed={seed}' / 'results.json').unlink()
    assert run_tool(main, [*arguments, '--launcher-template', template]) == 2
    assert '1 of 3 points failed: seed=1: the launcher failed' in capsys.readouterr().err


def test_other_options_do_not_take_over_what_was_run(tools, main, capsys):
    arguments = [SHARED, '--grid', 'seed=0', '--work-dir', str(tools)]
    assert run_tool(main, [*arguments, '--train-options', 'train_cfg.max_iters=5']) == 0
    assert run_tool(main, [*arguments, '--train-options', 'train_cfg.max_iters=6']) == 2
    error = capsys.readouterr().err
    assert 'was begun with train_options train_cfg.max_iters=5, not train_cfg.max_iters=6' in error
    assert run_tool(main, [*arguments, '--train-options', 'train_cfg.max_iters=5']) == 0


def test_two_processes_do_not_run_one_point(tools):
    point = make_points(SHARED, {}, tools)[0]
    point.to_file()
    lock = FolderLock(point.folder)
    with pytest.raises(ValueError, match='run: process .* is running in this folder'):
        run_point(point.folder)
    lock.release()
    run_point(point.folder)
    assert point.is_finished()


def test_training_alone(tools, main):
    point = make_points(SHARED, {}, tools, extra=['--amp'])[0]
    point.to_file()
    assert Point.from_folder(point.folder) == point
    run_point(point.folder)
    assert calls(tools / 'run') == ['train', 'test']
    assert '--amp' in json.loads((tools / 'run' / 'results.json').read_text())['args']


def test_launcher_template(tools, main, capsys):
    echo = f'{sys.executable} -c "import sys; print(sys.argv[1:])" {{name}} --wrap={{command}}'
    arguments = [SHARED, '--grid', 'seed=0,1', '--work-dir', str(tools)]
    assert run_tool(main, [*arguments, '--launcher-template', echo]) == 0
    folder = str(tools / 'seed=0')
    command = shlex.join([*sweep.PROGRAM, 'sweep', '--point', folder])
    said = capsys.readouterr().out
    assert "['seed=0', '--wrap=trap" in said and f'{command};' in said
    assert (Path(folder) / 'point.json').is_file()


def test_options_that_do_not_vary_stay_out_of_folder_names(tools):
    grid = parse_grid(['lambda=0.1,1', 'search.hard=True', 'seed=4'])
    points = make_points(SEARCH, grid, tools, BRANCHED)
    assert [point.name for point in points] == ['lambda=0.1', 'lambda=1']
    assert 'search.hard=True' in points[0].options and 'randomness.seed=4' in points[0].options
    assert make_points(SHARED, parse_grid(['seed=4']), tools)[0].name == 'run'


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([SEARCH, '--grid', 'lambda=1'], 'is a search: give --retrain CONFIG'),
        ([SHARED, '--retrain', BRANCHED], 'is no search, --retrain has no meaning'),
        ([SHARED, '--grid', 'model.encodr.x=1'], 'encodr'),
        (['none.py'], 'config none.py does not exist'),
        ([], 'give either CONFIG or --point'),
        (['--point', 'none'], 'none is no point of a sweep'),
        ([SHARED, '--grid', 'seed=0,1', '--jobs', '0', '--dry-run'], '--jobs'),
    ],
)
def test_mistakes_end_in_one_line(tools, main, capsys, arguments, message):
    assert run_tool(main, arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and '\n' not in error


def test_dry_run_lists_and_writes_nothing(tools, main, capsys):
    assert (
        run_tool(main, [SHARED, '--grid', 'seed=0,1', '--dry-run', '--work-dir', str(tools)]) == 0
    )
    assert capsys.readouterr().out.count('to do') == 2 and not tools.exists()
