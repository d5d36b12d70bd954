"""benchmarks/boundaries.py runs and measures what it says."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / 'benchmarks' / 'boundaries.py'


@pytest.fixture(scope='module')
def script():
    spec = importlib.util.spec_from_file_location('benchmark_boundaries', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_synthetic_image_and_measures(script):
    images = [script.synthetic_image(0)]
    probability, truths = images[0]
    assert probability.shape == script.SIZE
    assert len(truths) == script.ANNOTATORS
    assert all(2000 < truth.sum() < 8000 for truth in truths)
    thresholds = script.make_thresholds(3)
    assert script.seconds(images, 1, thresholds, False) > 0
    shares = script.shares(images, 2, thresholds)
    assert 0 < shares['match'] + shares['thin'] <= 1


def test_says_what_bounds_it(script):
    text = script.bound(dict(match=0.6, thin=0.3), 0.4)
    assert text.startswith('bound by matching') and '40%' in text
    assert script.bound(dict(match=0.1, thin=0.3), 0.4).startswith('bound by thinning')


def test_two_folders_or_none(script, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['boundaries.py', 'only_one'])
    with pytest.raises(SystemExit):
        script.main()
    assert 'both' in capsys.readouterr().err
