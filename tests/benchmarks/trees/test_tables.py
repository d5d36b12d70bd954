"""The tables of the page are those of the committed results."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / 'benchmarks' / 'trees' / 'results'


@pytest.mark.parametrize(
    'names',
    [
        ('others_easy', 'others_hard'),
        ('others_noisy', 'others_five'),
        ('noisy',),
        ('five',),
        ('planted_all',),
        ('shapescenes',),
    ],
)
def test_the_page_shows_the_committed_results(names):
    from tables import markdown

    results = {name: json.loads((RESULTS / f'{name}.json').read_text()) for name in names}
    assert markdown(results) in (ROOT / 'docs' / 'tree_benchmark.md').read_text()


def test_figures_intervals_and_gaps():
    from tables import markdown

    one = dict(units=3.6, normalised=0.456, against_best_of_n=[0.1, -0.2, 0.3], percentile=66.7)
    free = dict(units=0.0, normalised=0.0, against_best_of_n=[0, 0, 0])
    assert markdown(dict(a=dict(x=one), b=dict(x=one, y=free))).splitlines() == [
        '| strategy | units | a: normalised | minus best of n | default minus it '
        '| b: normalised | minus best of n | default minus it |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
        '| x | 4 | 0.46 | +0.10 [-0.20, +0.30] |  | 0.46 | +0.10 [-0.20, +0.30] |  |',
        '| y | 0 |  |  |  | 0.00 |  |  |',
    ]
    assert '| 67 |' in markdown(dict(a=dict(x=one)))
