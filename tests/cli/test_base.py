"""Errors of the tools take one line, wherever they are raised."""

import warnings

import pytest
from torch.utils.data import DataLoader, Dataset

from bmtas.cli.base import one_line, run_tool


class Faulty(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize('kind', [ValueError, FileNotFoundError, KeyError])
@pytest.mark.parametrize('workers', [0, 1])
def test_errors_of_a_loader(kind, workers, capsys):
    message = 'a/b.png: cannot be read: the file is damaged'

    def main(argv):
        next(iter(DataLoader(Faulty(kind(message)), num_workers=workers)))

    assert run_tool(main) == 2
    line = capsys.readouterr().err
    assert line.strip('\n') in (f'error: {message}', f"error: '{message}'")


def test_line_breaks_become_spaces():
    assert one_line(ValueError('a\n  b')) == 'a b'
    assert one_line(ValueError()) == 'ValueError'


@pytest.mark.parametrize('resume', ['', 'start again to go on'])
def test_interrupt(resume, capsys):
    def main(argv):
        raise KeyboardInterrupt

    assert run_tool(main, resume=resume) == 130
    assert capsys.readouterr().err.strip() == '; '.join(filter(None, ['interrupted', resume]))


@pytest.mark.parametrize('rank, times', [('0', 1), ('1', 0)])
def test_of_several_processes_one_warns(rank, times, monkeypatch):
    monkeypatch.setenv('RANK', rank)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert run_tool(lambda argv: warnings.warn('once', stacklevel=1)) == 0
    assert len(caught) == times
