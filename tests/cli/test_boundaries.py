"""bmtas boundaries from the command line down."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bmtas.cli import boundaries
from bmtas.cli.base import run_tool


@pytest.fixture(scope='module')
def tool():
    return boundaries


@pytest.fixture
def folders(tmp_path):
    """Two images: one predicted perfectly, one whose line is missed."""
    for folder in ('predicted', 'truth'):
        (tmp_path / folder).mkdir()
        for row, name in enumerate('ab'):
            lines = np.zeros((20, 30), np.uint8)
            lines[4 + 9 * row * (folder == 'truth'), 3:23] = 200
            Image.fromarray(lines).save(tmp_path / folder / f'{name}.png')
    return str(tmp_path / 'predicted'), str(tmp_path / 'truth')


def test_prints_and_writes_the_scores(tool, folders, tmp_path, capsys):
    out = tmp_path / 'boundaries.json'
    assert run_tool(tool.main, [*folders, '--thresholds', '9', '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert 'ODS  0.5000  0.5000  0.5000' in printed
    written = json.loads(out.read_text())
    assert written['ods']['f'] == 0.5
    assert written['images']['a']['f'] == 1
    assert written['images']['b']['f'] == 0
    assert len(written['curve']['recall']) == 9
    assert written['protocol']['tolerance'] == 0.0075


def test_split_file_with_windows_line_ends(tool, folders, tmp_path, capsys):
    split = tmp_path / 'split.txt'
    split.write_bytes(b'a\r\n\r\n')
    assert run_tool(tool.main, [*folders, '--split', str(split)]) == 0
    assert 'ODS  1.0000' in capsys.readouterr().out


def test_split_file_in_another_encoding(tool, folders, tmp_path, capsys):
    split = tmp_path / 'split.txt'
    split.write_bytes('ä'.encode('latin-1'))
    assert run_tool(tool.main, [*folders, '--split', str(split)]) == 2
    assert f'split {split} is not UTF-8' in capsys.readouterr().err


@pytest.mark.parametrize(
    'options, message',
    [
        (['--tolerance', '4.3'], 'fraction of the diagonal'),
        (['--thresholds', '0'], 'at least one'),
        (['--jobs', '-1'], '--jobs'),
        (['--truth', 'points'], 'points'),
        (['--split', 'nowhere.txt'], 'nowhere.txt: no such file'),
        (['--out', 'nowhere/out.json'], 'its folder does not exist'),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tool, folders, options, message, capsys):
    assert run_tool(tool.main, [*folders, *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ''


def test_unreadable_prediction(tool, folders, capsys):
    Path(folders[0], 'a.png').write_text('no image')
    assert run_tool(tool.main, list(folders)) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if 'error' in line]
    assert len(errors) == 1
    assert 'a.png: cannot be read as an image' in errors[0]


def test_help(tool, capsys):
    assert run_tool(tool.main, ['--help']) == 0
    assert 'tolerance' in capsys.readouterr().out


def test_says_so_when_no_map_exceeds_the_lowest_threshold(tool, folders, capsys):
    predictions, truths = folders
    for path in Path(predictions).iterdir():
        Image.fromarray(np.full((20, 30), 2, np.uint8)).save(path)
    assert run_tool(tool.main, [predictions, truths, '--protocol', 'pascal-mti']) == 0
    assert 'no prediction exceeds the lowest threshold 0.01' in capsys.readouterr().err
