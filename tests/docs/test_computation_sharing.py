"""The page on computation sharing holds the table that its command makes of the results."""

import importlib

import pytest


@pytest.fixture
def script(monkeypatch, request):
    monkeypatch.syspath_prepend(request.config.rootpath / 'benchmarks')
    return importlib.import_module('sharing_table')


def test_the_table_of_the_page_is_that_of_the_results(script, request, tmp_path, capsys):
    root, copy = request.config.rootpath, tmp_path / 'page.md'
    page = (root / 'docs' / 'computation_sharing.md').read_text()
    copy.write_text(page)
    script.main([str(root / 'benchmarks' / 'sharing_results.json'), '--page', str(copy)])
    assert copy.read_text() == page
    assert capsys.readouterr().out.split('\n\n')[0] in page


def test_a_table_takes_the_place_of_the_old_one(script):
    old = 'above\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nbelow\n\n'
    new = '| a | b |\n|---|---|\n| 3 | 4 |\n| 5 | 6 |'
    assert script.with_table(old, new) == f'above\n\n{new}\n\nbelow\n\n'


def test_several_seeds_have_a_deviation(script):
    assert script.spread([1.0], 2) == '1.00'
    assert script.spread([1.0, 3.0], 1) == '2.0 ± 1.4'
