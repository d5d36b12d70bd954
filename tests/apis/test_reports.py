"""The report: one file, complete, drawn by a browser without errors, one-line faults."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from bmtas.apis.reports import report
from bmtas.apis.reports.collect import search_of, training_of
from bmtas.branching import BranchingTree
from bmtas.visualization import draw_alpha, draw_tree

TASKS = ['seg', 'depth']


def results(**changes):
    content = dict(
        version=1,
        method='shared',
        tasks=TASKS,
        scores=dict(seg=40.0, depth=1.5),
        score_names=dict(seg='mIoU', depth='rmse'),
        higher_is_better=dict(seg=True, depth=False),
        delta_m=None,
        madds=2_000_000_000,
        params=3_000_000,
        input_size=[64, 64],
        classes=dict(
            seg=dict(
                score='IoU',
                names=['wall', 'sky'],
                scores=[60.0, None],
                confusion=[[30, 10], [0, 0]],
            )
        ),
    )
    return content | changes


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def history(update, routes, cost):
    return dict(
        update=update,
        routes=routes,
        probabilities=[[[0.5, 0.5], [0.25, 0.75]]] * 2,
        cost_tree=cost,
        cost_exact=cost + 0.1,
        tau=5.0 / (1 + update),
        losses=dict(loss_seg=2.0 - update / 100, loss_depth=1.0),
    )


@pytest.fixture
def runs(tmp_path):
    """Two searches, the second short and bare, two tests, and a training with validation."""
    tree = BranchingTree.from_routes([[0, 0], [0, 1]], TASKS, ['layer1', 'layer2'])
    tree.to_file(tmp_path / 'branching.json')
    draw_tree(tree, tmp_path / 'vis' / 'tree.png')
    draw_alpha(np.full((2, 2, 2), 0.5), tree.tasks, None, tmp_path / 'vis' / 'affinity.png')
    (tmp_path / 'alpha.json').write_text(json.dumps(dict(alpha=[[[0, 0], [0, 1]]] * 2)))
    rows = [history(0, [[0, 1], [0, 1]], 0.3), history(50, [[0, 0], [0, 1]], 0.2)]
    lines(tmp_path / 'history.jsonl', rows)
    trees = [dict(cost=1e9, score=0.4, deviation=0.1, config=[[0, 0], [0, 0]])]
    trees.append(dict(cost=2e9, score=0.1, deviation=0.0, config=tree.routes.tolist()))
    front = dict(unit='MAdds', score='risk', trees=trees)
    (tmp_path / 'front.json').write_text(json.dumps(front))
    command = dict(time='2030-01-01 00:00:00', command="bmtas search 'a b.py'", environment={})
    lines(tmp_path / 'commands.jsonl', [command])
    tree.to_file(tmp_path / 'bare' / 'branching.json')
    lines(tmp_path / 'bare' / 'history.jsonl', rows[:1])
    for name, changes in dict(
        one=dict(), two=dict(method='<b>', scores=dict(seg=50.0, depth=2.5), delta_m=-3.0)
    ).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'results.json').write_text(json.dumps(results(**changes)))
    logged = [{'step': s, 'loss_seg': 100.0 / s, 'lr': 0.1, 'seg/mIoU': s} for s in (1, 50, 100)]
    lines(tmp_path / 'one' / '2030' / 'vis_data' / 'scalars.json', logged)
    return tmp_path


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))


def test_the_report_is_complete_and_links_nothing(runs):
    page = report([runs], runs / 'out' / 'report.html').read_text()
    assert page.count('data:image/png;base64,') == 1  # the picture that the page does not draw
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert '&lt;b&gt;' in page and '<b>' not in page
    cells = re.findall(r'<td(?: class="(best)")?>([^<]*)</td>', page)
    assert ('best', '50') in cells and ('', '40') in cells
    assert ('best', '1.5') in cells and ('', '2.5') in cells
    assert ('', '–') in cells and ('', '-3.00') in cells
    for text in ('bmtas search &#39;a b.py&#39;', 'Classes of seg', '>75</td>', '>25</td>'):
        assert text in page
    titles = [chart['title'] for chart in data_of(page)['charts']]
    for title in ('Front: the best tree for every budget', 'Training losses', 'Validation of seg'):
        assert titles.count(title) == 1
    # searched twice, reported once
    again = report([runs, runs / 'one'], runs / 'b.html').read_text()
    assert again.count('<tr><td>shared') == 1


def test_tree_and_alpha_over_time(runs):
    first, second, last = search_of(runs)['steps']
    assert (first['update'], second['update'], last['update']) == (0, 50, 50)
    assert first['routes'] == [[0, 1], [0, 1]] and last['routes'] == [[0, 0], [0, 1]]
    assert last['alpha'][0] == [[0.5, 0.5], [0.269, 0.731]]  # softmax by hand


def test_the_front_is_that_of_the_search(runs):
    front = next(c for c in search_of(runs)['charts'] if c['title'].startswith('Front'))
    assert front['series'][0]['x'] == [1, 2] and front['series'][0]['y'] == [0.4, 0.1]
    assert (front['ylabel'], front['xlabel']) == ('risk', 'GMAdds')
    above, below, found = front['series'][1:]
    assert above['y'] == pytest.approx([0.5, 0.1]) and below['y'] == pytest.approx([0.3, 0.1])
    assert (found['name'], found['x'], found['y']) == ('found', [2], [0.1])


def test_short_runs_have_no_empty_axes(runs):
    assert search_of(runs / 'bare')['charts'] == []
    lines(runs / 'one' / '2030' / 'vis_data' / 'scalars.json', [dict(step=1, loss_seg=2.0)])
    assert training_of(runs / 'one') == []


def test_tasks_have_the_same_colours_in_all_charts(tmp_path):
    rows = [{'step': s, 'lr': 0.1, 'loss_seg': 1 / s, 'loss_depth': 2.0} for s in (1, 2)]
    lines(tmp_path / '2030' / 'vis_data' / 'scalars.json', rows)
    losses = training_of(tmp_path)[0]['series']
    searched = [history(update, [[0, 0], [0, 1]], 0.2) for update in (0, 50)]
    lines(tmp_path / 'history.jsonl', searched)
    BranchingTree.from_routes([[0, 0], [0, 1]], TASKS).to_file(tmp_path / 'branching.json')
    search = next(c for c in search_of(tmp_path)['charts'] if c['title'].startswith('Losses'))
    assert [(line['name'], line['colour']) for line in losses] == [
        (line['name'], line['colour']) for line in search['series']
    ]


PROBE = """<script>
const slider = document.querySelector('input[type=range]');
const before = document.querySelector('.tree svg').outerHTML;
slider.value = 0; slider.dispatchEvent(new Event('input'));
const moved = before !== document.querySelector('.tree svg').outerHTML;
const boxes = [...document.querySelectorAll('[data-chart] svg text')];
const small = Math.min(...boxes.map(t => t.getBoundingClientRect().height));
document.title = JSON.stringify({wide: document.documentElement.scrollWidth, moved, small,
  charts: document.querySelectorAll('[data-chart] svg').length,
  lines: document.querySelectorAll('[data-chart] polyline').length});
</script>"""


@pytest.mark.slow
@pytest.mark.parametrize('width', [400, 1200])
def test_a_browser_draws_it(runs, tmp_path, width):
    browser = shutil.which('chromium') or shutil.which('google-chrome')
    if browser is None:
        pytest.skip('no Chromium here: apt-get install chromium')
    page = report([runs], tmp_path / 'report.html')
    probed = tmp_path / 'probed.html'
    probed.write_text(page.read_text().replace('</body>', f'{PROBE}</body>'))
    command = [
        browser,
        '--headless=new',
        '--no-sandbox',
        '--disable-gpu',
        '--enable-logging=stderr',
    ]
    command += [
        '--enable-logging=stderr',
        f'--window-size={width},2500',
        f'--user-data-dir={tmp_path / "profile"}',
    ]
    shot = tmp_path / 'shot.png'
    drawn = subprocess.run(
        [*command, f'--screenshot={shot}', f'file://{page}'], capture_output=True, text=True
    )
    dumped = subprocess.run(
        [*command, '--dump-dom', f'file://{probed}'], capture_output=True, text=True
    )
    assert 'CONSOLE' not in drawn.stderr + dumped.stderr
    found = json.loads(re.search(r'<title>(.*?)</title>', dumped.stdout).group(1))
    assert found['moved'] and found['charts'] == 7 and found['lines'] >= 8
    assert found['wide'] <= max(width, 500)  # the browser's windows are 500 wide at least
    assert found['small'] >= 11  # pixels: legible
    pixels = np.asarray(Image.open(shot).convert('L'))
    assert pixels.shape[1] == width and (pixels < 128).mean() > 0.002


def test_what_is_no_number_in_a_log_is_a_gap(tmp_path):
    losses = [1.0, float('nan'), 2.0, float('inf')]
    rows = [dict(step=step, loss_seg=loss) for step, loss in enumerate(losses)]
    lines(tmp_path / 'w' / '20260101_000000' / 'vis_data' / 'scalars.json', rows)
    assert training_of(tmp_path / 'w')[0]['series'][0]['y'] == [1.0, None, 2.0, None]
    report([tmp_path / 'w'], tmp_path / 'report.html')


def test_mistakes(runs, tmp_path):
    with pytest.raises(FileNotFoundError, match='none does not exist'):
        report([tmp_path / 'none'], tmp_path / 'r.html')
    with pytest.raises(ValueError, match='no work dirs'):
        report([], tmp_path / 'r.html')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty: neither results.json'):
        report([tmp_path / 'empty'], tmp_path / 'r.html')
    (runs / 'one' / 'results.json').write_text('{"tasks": []}')
    with pytest.raises(ValueError, match="key 'scores' is missing"):
        report([runs], tmp_path / 'r.html')
    (runs / 'one' / 'results.json').write_text('{')
    with pytest.raises(ValueError, match='is not JSON'):
        report([runs], tmp_path / 'r.html')
    assert not (tmp_path / 'r.html').exists()
