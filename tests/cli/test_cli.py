"""The command ``bmtas``: help, version, unknown words, plug-ins, configs by name."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import bmtas
from bmtas import cli
from bmtas.engine.config import load_config
from bmtas.engine.record import read_lines, record_command
from bmtas.engine.shipped import config_names, find_config

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / 'tools').rglob('*.py'))


def test_help_lists_every_command_and_imports_no_torch():
    code = (
        'import sys; from bmtas.cli import main\n'
        'assert main(["--help"]) == 0; assert "torch" not in sys.modules'
    )
    out = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    listed = [line.split()[0] for line in out.stdout.split('\n') if line.startswith('  ')]
    modules = {path.stem for path in Path(cli.__file__).parent.glob('[a-z]*.py')} - {'base'}
    assert modules == set(cli.COMMANDS) <= set(listed)


def test_version_and_no_command(capsys):
    assert cli.main(['--version']) == 0
    assert capsys.readouterr().out == f'bmtas {bmtas.__version__}\n'
    assert cli.main([]) == 2


def test_unknown_command_names_the_nearest(capsys):
    assert cli.main(['serach', 'x.py']) == 2
    assert "no command 'serach'; did you mean 'search'?" in capsys.readouterr().err


def test_plug_ins_bring_commands(monkeypatch, capsys):
    entry = EntryPoint('greet', f'{__name__}:greet', cli.GROUP)
    monkeypatch.setattr(cli, 'entry_points', lambda group: [entry])
    assert cli.main(['--help']) == 0
    assert f'greet       {__doc__}\n' in capsys.readouterr().out
    assert cli.main(['greet', 'you']) == 0
    assert capsys.readouterr().out == 'hello you\n'


def test_a_plug_in_that_is_gone_does_not_hide_the_other_commands(monkeypatch, capsys):
    entry = EntryPoint('greet', 'bmtas.nowhere.cli:greet', cli.GROUP)
    monkeypatch.setattr(cli, 'entry_points', lambda group: [entry])
    assert cli.main(['--help']) == 0
    out = capsys.readouterr().out
    assert 'there is no module bmtas.nowhere.cli' in out and '  search ' in out


def greet(argv):
    print('hello', *argv)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_the_commands(script):
    out = subprocess.run([sys.executable, script, '--help'], capture_output=True, text=True)
    command = out.stdout.split()[:3]
    assert out.returncode == 0 and command[:2] == ['usage:', 'bmtas']
    if script.stem != 'eval_boundaries':
        assert command[2] == script.stem


def test_configs_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'shared/mobilenetv2_shapescenes'
    assert name in config_names() and config_names('shared/mobile*scenes') == [name]
    assert not any(name.startswith('_base_') for name in config_names())
    expected = ROOT / 'configs' / f'{name}.py'
    for word in (name, f'configs/{name}.py'):
        assert find_config(word).samefile(expected)
    assert Path(load_config(name).filename).samefile(expected)
    with pytest.raises(FileNotFoundError, match="did you mean 'shared/mobilenetv2_shapescenes'"):
        find_config('shared/mobilnetv2_shapescenes')
    (tmp_path / 'shared').mkdir()
    (tmp_path / 'shared' / 'mine.py').touch()
    assert find_config('shared/mine.py') == Path('shared/mine.py')


def test_copied_configs_load_and_are_not_overwritten(tmp_path, capsys):
    name = 'shared/mobilenetv2_shapescenes'
    assert cli.main(['configs', name, '--copy', str(tmp_path)]) == 0
    copied = Path(capsys.readouterr().out.strip())
    assert copied == tmp_path / f'{name}.py'
    ours, theirs = load_config(copied), load_config(name)
    ours.pop('work_dir'), theirs.pop('work_dir')
    assert ours.to_dict() == theirs.to_dict()
    assert cli.main(['configs', name, '--copy', str(tmp_path)]) == 0  # the same again
    copied.write_text('a = 1\n')
    assert cli.main(['configs', name, '--copy', str(tmp_path)]) == 2
    assert f'{copied}: exists already with another content' in capsys.readouterr().err
    assert copied.read_text() == 'a = 1\n'
    assert cli.main(['configs', 'nothing']) == 2


def test_environment_report(capsys):
    assert cli.main(['env']) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.strip().split('\n'))
    assert lines['bmtas'] == bmtas.__version__
    assert lines['python'] == '.'.join(map(str, sys.version_info[:3]))
    assert lines['timm'] and lines['torch']


def test_command_lines_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['/bin/bmtas', 'train', 'a b.py'])
    record_command(tmp_path)
    record_command(tmp_path)
    with open(tmp_path / 'commands.jsonl', 'a') as stream:
        stream.write('{"time": "cut o')  # by a kill
    rows = read_lines(tmp_path / 'commands.jsonl')
    assert [row['command'] for row in rows] == ["bmtas train 'a b.py'"] * 2
    assert rows[0]['environment']['bmtas'] == bmtas.__version__
