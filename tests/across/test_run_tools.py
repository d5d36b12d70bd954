"""bmtas search, train and test: help, the common mistakes, and the whole path."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny import NETWORK

from bmtas.cli.base import ToolParser, one_line, run_tool
from bmtas.engine.config import load_config
from bmtas.engine.test import constants_of
from bmtas.registry import DATASETS
from bmtas.tasks import build_tasks

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / 'configs'
TASKS = ['semseg', 'sal', 'depth']
SEARCH = """
search = dict(warmup_updates=1, weight_updates=2, alpha_phase=1, weight_phase=2)
"""
TRAIN = """
train_cfg = dict(max_iters=2)
"""


def tool(name):
    """A tool's main function."""
    return importlib.import_module(f'bmtas.cli.{name}').main


@pytest.fixture
def config(tmp_path):
    """Write a tiny config that builds on a shipped one: ``config('bmtas', extra)`` -> path."""

    def write(method, extra=''):
        path = tmp_path / f'{method}.py'
        base = SHIPPED / method / 'mobilenetv2_shapescenes.py'
        path.write_text(f"_base_ = ['{base}']\n{NETWORK}{extra}")
        return str(path)

    return write


@pytest.fixture
def fails(capsys):
    """Assert that a command line ends with exit code 2 and one line that holds some text."""

    def check(name, argv, *texts):
        capsys.readouterr()
        assert run_tool(tool(name), [str(word) for word in argv]) == 2
        lines = capsys.readouterr().err.strip().split('\n')
        assert len(lines) == 1, lines
        assert lines[0].startswith('error: ')
        for text in texts:
            assert text in lines[0]

    return check


def branching(path, tasks=TASKS, layers=4):
    content = dict(config=[list(range(len(tasks)))] * layers, tasks=list(tasks))
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('name', ['search', 'train', 'test'])
def test_help(name, capsys):
    assert run_tool(tool(name), ['--help']) == 0
    text = capsys.readouterr().out
    for option in ('CONFIG', '--work-dir', '--data-root', '--cfg-options', '--amp', '--launcher'):
        assert option in text


def test_help_needs_no_torch():
    code = (
        'import runpy, sys; sys.argv = ["search.py", "--help"]\n'
        'try: runpy.run_path("tools/search.py", run_name="__main__")\n'
        'except SystemExit as stop: assert stop.code == 0\n'
        'assert "torch" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_mistakes_in_the_command_line(fails, tmp_path):
    fails('search', [], 'CONFIG', '--help')
    fails('search', ['c.py', '--resum'], '--resum')
    fails('search', ['c.py', '--cfg-options', 'a.b'], "'a.b' is not of the form key=value")
    fails('train', ['c.py', '--launcher', 'cloud'], 'cloud')
    fails('search', [tmp_path / 'none.py'], 'none.py does not exist')


def test_bad_key_and_value(fails, config):
    path = config('shared')
    fails(
        'train', [path, '--cfg-options', 'train_cfg.max_iter=3'], 'train_cfg.max_iter', 'max_iters'
    )
    fails('train', [path, '--cfg-options', 'tasks.0.num_classes=0'], 'num_classes must be')
    fails('search', [path], 'search: missing, the config is no search')


def test_missing_and_damaged_checkpoint(fails, config, tmp_path):
    path = config('branched')
    fails('test', [path, tmp_path / 'none.pth'], 'none.pth does not exist')
    (tmp_path / 'bad.pth').write_bytes(b'no checkpoint')
    fails('test', [path, tmp_path / 'bad.pth'], 'bad.pth cannot be loaded')
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    fails('test', [path, tmp_path / 'empty.pth'], 'empty.pth holds no routes')
    shared = config('shared')
    work = ['--work-dir', tmp_path / 'work']
    fails(
        'test', [shared, tmp_path / 'empty.pth', *work], 'empty.pth does not fit', 'not in the file'
    )
    (tmp_path / 'base.json').write_text('{}')
    baseline = ['--baseline', tmp_path / 'base.json']
    fails('test', [shared, tmp_path / 'empty.pth', *baseline], 'base.json', 'scores')


def test_trees_that_do_not_fit(fails, config, tmp_path):
    path, work = config('branched'), ['--work-dir', tmp_path / 'work']
    fails('train', [path, *work], '--branching FILE')
    fails('train', [path, *work, '--branching', tmp_path / 'none.json'], 'none.json does not exist')
    other = branching(tmp_path / 'other.json', ['semseg', 'sal', 'edge'])
    fails('train', [path, *work, '--branching', other], 'other.json', "unknown task 'edge'")
    short = branching(tmp_path / 'short.json', layers=3)
    fails('train', [path, *work, '--branching', short], 'short.json', '3 layers', '4')
    good = branching(tmp_path / 'good.json')
    fails('train', [config('single'), '--branching', good], 'SingleTaskEncoder takes no tree')


def test_configs_without_what_a_tool_works_with(fails, tmp_path):
    """Each would end in a traceback, the test after all its images."""
    empty = tmp_path / 'empty.py'
    empty.write_text("method = 'x'\n")
    tree = branching(tmp_path / 'tree.json')
    fails('bench', [empty], 'empty.py: model: missing')
    fails('resources', ['--table', empty], 'empty.py: model.encoder (or backbone) and input_size')
    torch.save(dict(state_dict={}), tmp_path / 'x.pth')
    fails('test', [empty, tmp_path / 'x.pth'], 'empty.py: model: missing')
    fails('train', [empty, '--branching', tree], 'empty.py: model: missing')


def test_a_baseline_of_other_tasks_is_refused_before_the_test(fails, config, tmp_path):
    path = config('shared', TRAIN)
    content = dict(scores=dict(semseg=1.0), score_names=dict(semseg='mIoU'))
    content['higher_is_better'] = dict(semseg=True)
    (tmp_path / 'base.json').write_text(json.dumps(content))
    torch.save(dict(state_dict={}), tmp_path / 'x.pth')
    arguments = [path, tmp_path / 'x.pth', '--work-dir', tmp_path / 'w']
    fails('test', [*arguments, '--baseline', tmp_path / 'base.json'], "has the tasks ['semseg']")
    assert not (tmp_path / 'w').exists()


@DATASETS.register_module()
class Wrapper:
    """A user's data set around another."""

    def __init__(self, dataset):
        self.inner = DATASETS.build(dataset)

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, index):
        return self.inner[index]


def test_constants_of_wrapped_data(config):
    cfg = load_config(config('shared'))
    plain, held_out = (cfg[f'{split}_dataloader'].dataset for split in ('train', 'test'))
    wrapped = dict(type='Wrapper', dataset=plain)
    first, second = (constants_of(build_tasks(cfg.tasks), d, held_out) for d in (plain, wrapped))
    assert first == pytest.approx(second)


def test_data_that_is_not_there(fails, config, tmp_path):
    (tmp_path / 'data').mkdir()
    tabletop = SHIPPED / 'shared' / 'mobilenetv2_tabletop.py'
    arguments = ['--data-root', tmp_path / 'data', '--work-dir', tmp_path / 'work']
    fails('train', [tabletop, *arguments], str(tmp_path / 'data'))
    empty = ['--cfg-options', 'train_dataloader.dataset.length=0']
    fails('train', [config('shared'), '--work-dir', tmp_path / 'work', *empty], 'length')


def test_errors_are_one_line_and_bugs_are_not_hidden(capsys, monkeypatch):
    def user_error(argv):
        raise KeyError('two\nlines')

    def bug(argv):
        raise RuntimeError('a bug')

    assert run_tool(user_error, []) == 2
    assert capsys.readouterr().err == 'error: two lines\n'
    monkeypatch.setenv('BMTAS_DEBUG', '1')
    assert run_tool(user_error, []) == 2
    assert 'Traceback' in capsys.readouterr().err
    with pytest.raises(RuntimeError):
        run_tool(bug, [])
    assert one_line(ValueError()) == 'ValueError'
    with pytest.raises(SystemExit):
        ToolParser(prog='x').error('wrong')


def test_search_train_test(config, tmp_path, capsys):
    """The whole path, with Delta_m against itself and a resumed search."""
    work = tmp_path / 'work'
    arguments = ['--work-dir', str(work / 'search')]
    assert run_tool(tool('search'), [config('bmtas', SEARCH), *arguments]) == 0
    assert run_tool(tool('search'), [config('bmtas', SEARCH), *arguments, '--resume']) == 0
    for name in ('branching.json', 'alpha.json', 'resources.json', 'history.jsonl', 'vis/tree.png'):
        assert (work / 'search' / name).is_file(), name
    path = config('branched', TRAIN)
    tree = str(work / 'search' / 'branching.json')
    arguments = [path, '--work-dir', str(work / 'train')]
    assert run_tool(tool('train'), [*arguments, '--branching', tree, '--amp']) == 0
    checkpoint = work / 'train' / 'iter_2.pth'
    routes = json.loads(Path(tree).read_text())['config']
    assert torch.load(checkpoint, weights_only=True)['encoder']['routes']['config'] == routes
    assert Config.fromfile(work / 'train' / 'branched.py').model.encoder.routes == routes
    out = tmp_path / 'results.json'
    command = [path, str(checkpoint), '--work-dir', str(work / 'test'), '--out', str(out)]
    assert run_tool(tool('test'), [*command, '--sheet', '1']) == 0
    assert (
        run_tool(tool('test'), [*command, '--sheet', '0', '--baseline', str(out), '--constant'])
        == 0
    )
    results = json.loads(out.read_text())
    assert results['tasks'] == TASKS
    assert results['delta_m'] == 0
    assert set(results['constant']) == set(TASKS)
    assert results['branching'] == dict(tasks=TASKS, config=routes)
    assert results['scores']['depth'] == results['metrics']['depth']['rmse']
    assert results['madds'] == json.loads(Path(tree).read_text())['cost']
    assert results['method'] == tmp_path.name
    assert (tmp_path / 'vis' / 'predictions.png').is_file()
    assert 'Traceback' not in capsys.readouterr().err
