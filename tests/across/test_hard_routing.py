"""Straight-through routing: which updates use it, and what it cannot see."""

import pytest
import torch

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.encoders import SupergraphEncoder
from bmtas.search.gradient import HISTORY, read_history


@pytest.mark.parametrize(
    'hard, expected', [(True, {True}), (False, {False}), ('weights', {True, False})]
)
def test_hard_can_be_limited_to_weight_updates(
    search_config, run, monkeypatch, tmp_path, hard, expected
):
    seen = []
    sample = SupergraphEncoder.sample_weights

    def spy(self, temperature, generator, hard, *skips):
        seen.append((torch.is_grad_enabled(), hard))
        return sample(self, temperature, generator, hard, *skips)

    monkeypatch.setattr(SupergraphEncoder, 'sample_weights', spy)
    run(search_config, 'run', options={'search.hard': hard})
    # gradients are wanted in alpha updates only
    assert {flag for alpha, flag in seen if alpha} == {hard is True}
    assert {flag for alpha, flag in seen if not alpha} == {bool(hard)}
    assert {flag for _, flag in seen} == expected


def test_the_share_of_candidates_that_top_k_skips_is_logged(search_config, run, tmp_path):
    run(search_config, 'run', options={'search.top_k': 2})
    rows = read_history(tmp_path / 'run' / HISTORY)
    shares = {
        phase: {row['losses'].get('skipped') for row in rows if row['phase'] == phase}
        for phase in ('warmup', 'alpha', 'weights')
    }
    third = next(iter(shares['alpha']))
    assert third == pytest.approx(1 / 3)
    assert shares == {'warmup': {None}, 'alpha': {third}, 'weights': {third}}


AT_LEAST_TWO = 'must be at least 2 and at most 3, the number of candidates'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'top_k': 1}, f'search.top_k: 1 {AT_LEAST_TWO}'),
        ({'top_k': 4}, f'search.top_k: 4 {AT_LEAST_TWO}'),
        ({'top_k': 2, 'hard': True}, 'search.top_k: is for soft updates, search.hard=True has no'),
        ({'skip_below': 0.1, 'hard': True}, 'search.skip_below: is for soft updates'),
    ],
)
def test_nothing_to_skip_is_one_line(search_config, run, options, message):
    with pytest.raises(ValueError, match=message):
        run(search_config, 'run', options={f'search.{key}': v for key, v in options.items()})


def test_unknown_hard_is_one_line(search_config, run):
    with pytest.raises(ValueError, match="search.hard: 'alpha' is none of False, True, 'weights'"):
        run(search_config, 'run', options={'search.hard': 'alpha'})


def test_one_running_candidate_gives_alpha_no_gradient_before_a_batch_norm():
    """features.2 has no identity connection: its batch norm undoes the scale of features.1."""
    torch.manual_seed(0)
    backbone = LayeredBackbone(
        arch='mobilenet_v2',
        output_stride=4,
        stem=['features.0'],
        layers=['features.1', 'features.2', 'features.3'],
        aspp=dict(type='RASPP', channels=8),
    )
    encoder = SupergraphEncoder(backbone, ['a', 'b']).train()
    with torch.no_grad():  # candidates start equal; here they have been trained apart
        for parameter in encoder.layers.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    images = torch.randn(4, 3, 32, 32)
    sizes = {}
    for hard in (True, False):
        generator = torch.Generator().manual_seed(1)
        weights = encoder.sample_weights(1.0, generator=generator, hard=hard)
        weights.retain_grad()
        deep, _ = encoder(images, ['a'], weights=weights)['a']
        (deep * torch.randn_like(deep)).sum().backward()
        sizes[hard] = weights.grad[:2, 0].abs().amax(-1)
    # features.1 feeds a batch norm, features.2 an identity connection
    assert sizes[True][0] < 1e-4 * sizes[True][1]
    assert (sizes[False] > 1e-2 * sizes[False].max()).all()
