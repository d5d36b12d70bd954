"""benchmarks/boundaries.py runs and measures what it says."""

import pytest


@pytest.fixture
def script(load_script):
    return load_script('boundaries')


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
