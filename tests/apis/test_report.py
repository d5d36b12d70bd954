"""The report: one file, complete, with errors that name the folder."""

import json
import re

import numpy as np
import pytest

from bmtas.apis.report import write_report
from bmtas.branching import BranchingTree
from bmtas.visualization import draw_alpha, draw_tree


def results(**changes):
    content = dict(
        version=1,
        method='shared',
        tasks=['seg', 'depth'],
        scores=dict(seg=40.0, depth=1.5),
        score_names=dict(seg='mIoU', depth='rmse'),
        higher_is_better=dict(seg=True, depth=False),
        delta_m=None,
        madds=2_000_000_000,
        params=3_000_000,
        input_size=[64, 64],
    )
    return content | changes


@pytest.fixture
def runs(tmp_path):
    """Two searches, the second without pictures, and two tests, one folder in the other."""
    tree = BranchingTree.from_routes([[0, 0], [0, 1]], ['seg', 'depth'])
    tree.to_file(tmp_path / 'branching.json')
    draw_tree(tree, tmp_path / 'vis' / 'tree.png')
    draw_alpha(np.full((2, 2, 2), 0.5), tree.tasks, None, tmp_path / 'vis' / 'alpha.png')
    tree.to_file(tmp_path / 'bare' / 'branching.json')
    for name, changes in dict(
        one=dict(), two=dict(method='<b>', scores=dict(seg=50.0, depth=2.5), delta_m=-3.0)
    ).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'results.json').write_text(json.dumps(results(**changes)))
    return tmp_path


def test_the_report_is_complete_and_links_nothing(runs):
    page = write_report([runs], runs / 'out' / 'report.html').read_text()
    assert page.count('data:image/png;base64,') == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert '&lt;b&gt;' in page and '<b>' not in page
    cells = re.findall(r'<td(?: class="(best)")?>([^<]*)</td>', page)
    assert ('best', '50') in cells and ('', '40') in cells
    assert ('best', '1.5') in cells and ('', '2.5') in cells
    assert ('', '–') in cells and ('', '-3.00') in cells
    # searched twice, reported once
    assert write_report([runs, runs / 'one'], runs / 'b.html').read_text().count('<tr>') == 3


def test_mistakes(runs, tmp_path):
    with pytest.raises(FileNotFoundError, match='none does not exist'):
        write_report([tmp_path / 'none'], tmp_path / 'r.html')
    with pytest.raises(ValueError, match='no work dirs'):
        write_report([], tmp_path / 'r.html')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty: neither results.json'):
        write_report([tmp_path / 'empty'], tmp_path / 'r.html')
    (runs / 'one' / 'results.json').write_text('{"tasks": []}')
    with pytest.raises(ValueError, match="key 'scores' is missing"):
        write_report([runs], tmp_path / 'r.html')
    (runs / 'one' / 'results.json').write_text('{')
    with pytest.raises(ValueError, match='is not JSON'):
        write_report([runs], tmp_path / 'r.html')
    assert not (tmp_path / 'r.html').exists()
