"""bmtas resources: parts that add up, published digits, one-line errors."""

import json
from pathlib import Path

import pytest

from bmtas.branching import BranchingTree
from bmtas.cli.base import run_tool
from bmtas.cli.resources import main
from bmtas.engine.config import load_config
from bmtas.resources import cost_report, table_from_cfg
from bmtas.resources.report import report_text

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'


@pytest.fixture(scope='module')
def tool():
    return main


def config(kind, name='mobilenetv2_shapescenes'):
    return str(CONFIGS / kind / f'{name}.py')


def run_json(tool, capsys, *args):
    tool([*args, '--json'])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    'path, total, params',
    [
        ('single/mobilenetv2_pascal', '15.7 GMAdds', '9.860'),
        pytest.param('single/resnet50_pascal', '345.7 GMAdds', '201.742', marks=pytest.mark.slow),
        pytest.param('single/resnet50_nyud', '254.4 GMAdds', '161.399', marks=pytest.mark.slow),
        pytest.param('shared/mobilenetv2_pascal', '6.0 GMAdds', '2.152', marks=pytest.mark.slow),
        pytest.param('shared/resnet50_pascal', '154.6 GMAdds', '45.570', marks=pytest.mark.slow),
        ('shared/resnet50_nyud', '122.2 GMAdds', '44.269'),
    ],
)
def test_configs_of_the_paper_print_its_figures(tool, capsys, path, total, params):
    tool([str(CONFIGS / f'{path}.py'), '--convention', 'paper'])
    last = capsys.readouterr().out.strip().split('\n')[-1]
    assert last.startswith(f'{total} (paper convention') and f'{params} M parameters' in last


@pytest.mark.parametrize('kind', ['single', 'mtan', 'bmtas'])
def test_parts_add_up(tool, capsys, kind):
    report = run_json(tool, capsys, config(kind))
    parts = report['stem'] + sum(report['layers']) + sum(report['heads'].values())
    assert parts + report['other'] == report['total']
    assert (report['other'] > 0) == (kind == 'mtan')
    flat = [report['stem'], *report['layers'], *report['heads'].values(), report['params']]
    assert all(isinstance(n, int) and n > 0 for n in flat)
    assert report['unit'] == 'MAdds' and report['convention'] == 'mac'


def test_branching_file(tool, capsys, tmp_path):
    cfg = load_config(config('branched'))
    table = table_from_cfg(cfg)
    names = list(cfg.tasks)
    routes = [[0] * 6] * 10 + [[0, 0, 1, 1, 2, 2]] * 8
    tree = BranchingTree.from_routes(routes, tasks=names)
    tree.to_file(tmp_path / 'branching.json')
    arguments = ['--branching', str(tmp_path / 'branching.json')]
    report = run_json(tool, capsys, config('branched'), *arguments)
    assert report['total'] == tree.cost(table) and report['params'] == tree.cost(table.params)
    assert report['layers'][-1] == 3 * table.layers[-1]
    # the same network with its routes in the config
    cfg.model.encoder.routes = routes
    inline = cost_report(cfg)
    assert inline == report


def test_other_quantities(tool, capsys):
    report = run_json(tool, capsys, config('nddr'), '--quantity', 'params')
    assert report['unit'] == 'params' and report['total'] == report['params']


def test_table(tool, capsys):
    tool(['--convention', 'paper', '--table', config('bmtas'), config('shared')])
    lines = capsys.readouterr().out.strip().split('\n')
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert 'bmtas/mobilenetv2_shapescenes' in lines[2] and ' to ' in lines[2]
    assert '6' in lines[3] and '64x64' in lines[3]


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'CONFIG or --table is needed'),
        (['none.py'], 'config none.py does not exist'),
        ([config('shared'), '--convention', 'flops'], 'invalid choice'),
        ([config('branched'), '--branching', 'none.json'], 'none.json'),
        ([config('shared'), '--cfg-options', 'modell.a=1'], 'modell'),
    ],
)
def test_mistakes_end_in_one_line(tool, capsys, arguments, message):
    assert run_tool(tool, arguments) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and '\n' not in error and error.startswith('error: ')


def test_many_heads_of_one_cost_share_a_line():
    heads = {f't{number}': 256 for number in range(40)} | dict(depth=1000)
    report = dict(
        unit='MAdds', convention='mac', input_size=[32, 32], stem=5, layers=[7], layer_names=['a'],
        heads=heads, other=0, total=12 + 40 * 256 + 1000, params=10, more={},
    )  # fmt: skip
    lines = report_text(report).splitlines()
    shown = [line.split() for line in lines if 'head' in line]
    assert [words[:-1] for words in shown] == [
        ['40', 'heads', 'of', '256', '10,240'],
        ['head', 'depth', '1,000'],
    ]
    assert 'head b' in report_text(dict(report, heads=dict(a=1, b=1)))


def test_a_device_that_is_not_there_is_an_error_for_every_quantity():
    with pytest.raises(ValueError, match="^device 'foo' cannot be used"):
        main(['shared/mobilenetv2_shapescenes', '--device', 'foo'])
