"""The study of task routing: its commands, its means over seeds, and the tables in the docs."""

import re
import statistics
from pathlib import Path

import pytest

from bmtas.cli import search, test, train
from bmtas.engine.config import load_config
from bmtas.files import read_json

REPO = Path(__file__).resolve().parents[2]
RESULTS = REPO / 'benchmarks' / 'task_routing_results.json'


@pytest.fixture
def report(load_script):
    return load_script('task_routing_report')


@pytest.fixture
def study(load_script, monkeypatch):
    monkeypatch.syspath_prepend(REPO / 'benchmarks')
    return load_script('task_routing_study')


def test_tables_in_the_docs_are_those_of_the_committed_results(report):
    text = (REPO / 'docs' / 'task_routing.md').read_text()
    made = report.tables(read_json(RESULTS, 'results'))
    assert set(re.findall(r'<!-- table: (\w+) -->', text)) == set(made)
    assert report.filled(text, made) == text


def network(scores, madds=(4e6, 6e6)):
    return dict(
        tasks='a b',
        scores=' '.join(map(str, scores)),
        accuracy='70 80',
        madds_by_task=' '.join(f'{m:.0f}' for m in madds),
        madds=int(sum(madds)),
    )


def test_rows_are_means_over_seeds(report):
    names = dict(vgg11_bn_shapes40=71.94, vgg11_bn_digits=72.5)
    scores = [(60, 70), (64, 76)]
    networks = {f'keep0.5_seed{seed}': network(pair) for seed, pair in enumerate(scores)}
    networks |= {'shared_seed0': network((50, 51)), 'weighted_keep0.5': network((50, 52))}
    made = report.tables(dict(majority=names, networks=networks))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in made['ratios'].split('\n')]
    deviation = statistics.stdev([65, 70])
    expected = ['keep0.5', '2', f'67.5 ± {deviation:.1f}', '62.0', '75.0', '5.00', '10.0']
    assert rows[2:] == [
        expected,
        ['shared', '1', '50.5', '50.0', '75.0', '5.00', '10.0'],
        ['majority class', '', '50.0', '50.0', '71.9', '', ''],
    ]
    assert 'weighted_keep0.5 | 1 ' in made['weighted'] and 'search' not in made


def test_attributes_of_the_search_alone(report):
    """Of three tasks the tree has two; hard sharing still costs one pass, routing the sum."""
    whole = dict(tasks='x a b', scores='90 60 70', accuracy='1 2 3', madds_by_task='9 4 6')
    found = report.networks_of(
        dict(
            networks={
                'tree20': network((60, 70)),
                'keep0.5_seed0': dict(whole, madds=19),
                'shared_seed0': dict(whole, madds_by_task='9 9 9', madds=9),
            }
        )
    )
    rows = report.on_twenty(found)
    assert list(rows) == ['tree20', 'keep0.5', 'shared']
    (routed,), (shared,) = rows['keep0.5'], rows['shared']
    assert routed['scores'] == [60, 70] and routed['madds'] == 10 and shared['madds'] == 9


def test_pages_keep_what_is_not_a_table(report):
    page = 'a\n\n<!-- table: x -->\n\n| old |\n|---|\n\nb | c\n'
    assert report.filled(page, dict(x='| new |')) == 'a\n\n<!-- table: x -->\n\n| new |\n\nb | c\n'
    with pytest.raises(KeyError):
        report.filled(page, {})


def test_tools_and_configs_accept_every_command(study, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(study, '_call', lambda *words: commands.append(words))
    study.main(['run', str(tmp_path)])
    names = {Path(words[words.index('--work-dir') + 1]).name for tool, *words in commands}
    ratios = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    assert {f'keep{keep}_seed{seed}' for keep in ratios for seed in (0, 1)} <= names
    assert {
        'keep0.5_long_seed0',
        'single_seed1',
        'shared_seed1',
        'tree20',
        'digits_shared',
    } <= names
    tools, read = dict(search=search, train=train, test=test), set()
    for tool, config, *words in commands:
        args = tools[tool].parse_args([str(REPO / 'configs' / f'{config}.py'), *words])
        if (tool, config) not in read and tool != 'test':
            read.add((tool, config))
            load_config(args.config, args.cfg_options, None, args.work_dir)
