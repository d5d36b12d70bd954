"""Losses on one scale: gradients of logs, whatever the units."""

import pytest
import torch
from torch import nn

from bmtas.engine.log_losses import SmoothedLogs, elasticities_of, on_log_scale


def test_gradient_is_that_of_the_weighted_logs():
    torch.manual_seed(0)
    x = nn.Parameter(torch.rand(5))
    kappas = dict(a=0.5, b=2.0)

    def losses():
        return dict(loss_a=(x**2).sum(), loss_b=1000 * x.exp().mean(), loss_extra=x.sum())

    found = torch.autograd.grad(sum(on_log_scale(losses(), kappas).values()), x)[0]
    values = losses()
    logs = 0.5 * values['loss_a'].log() + 2 * values['loss_b'].log() + values['loss_extra']
    torch.testing.assert_close(found, torch.autograd.grad(logs, x)[0])
    assert on_log_scale(values, None) == values


def test_a_task_without_labels_stays_in_the_graph_and_adds_nothing():
    x = nn.Parameter(torch.ones(2))
    scaled = on_log_scale(dict(loss_a=0 * x.sum()), dict(a=1.0))
    assert torch.autograd.grad(scaled['loss_a'], x)[0].eq(0).all()


def test_factors_are_smoothed_and_kept_in_the_memory():
    memory = {}
    logs = SmoothedLogs(['a', 'b'], dict(a=2.0, b=1.0), memory, updates=4)
    series = [8.0, 4.0, 2.0, 2.0, 2.0, 2.0]
    mean = 0.0
    for number, value in enumerate(series, 1):
        mean += max(1 / 4, 1 / number) * (value - mean)  # a plain mean at first
        assert logs.factor('a', torch.tensor(value)) == pytest.approx(2.0 / mean)
        if number == 3:  # as after a resume
            memory = {key: value.clone() for key, value in memory.items()}
            logs = SmoothedLogs(['a', 'b'], dict(a=2.0, b=1.0), memory, updates=4)
    assert logs.factor('b', torch.tensor(0.0)) == 0.0


def test_mistakes():
    assert elasticities_of(False, ['a'], 'k') is None
    assert elasticities_of(True, ['a', 'b'], 'k') == dict(a=1.0, b=1.0)
    assert elasticities_of(dict(b=0.3), ['a', 'b'], 'k') == dict(a=1.0, b=0.3)
    with pytest.raises(ValueError, match=r"k: no task 'c', there are \['a'\]"):
        elasticities_of(dict(c=1.0), ['a'], 'k')
    with pytest.raises(ValueError, match='k.a: must be greater than 0, got -1'):
        elasticities_of(dict(a=-1), ['a'], 'k')
    with pytest.raises(ValueError, match="loss of task 'a' is -1, it has no log"):
        on_log_scale(dict(loss_a=torch.tensor(-1.0)), dict(a=1.0))


def test_training_does_not_notice_the_weights_of_the_tasks(train_config, run):
    """Weights are units: with plain losses they change the result, with logs they do not."""

    def stem(log_losses, weight):
        options = {
            'tasks.2.weight': weight,
            'train_cfg.max_iters': 3,
            'train_cfg.val_interval': 9,
            'train_cfg.log_losses': log_losses,
        }
        runner = run(train_config, f'{log_losses}{weight}', 'train', options)
        return torch.cat([p.flatten() for p in runner.model.encoder.stem.parameters()])

    torch.testing.assert_close(stem(True, 1.0), stem(True, 64.0), rtol=1e-4, atol=1e-5)
    assert (stem(False, 1.0) - stem(False, 64.0)).abs().max() > 1e-3


def test_no_elasticity_named_is_one_for_all(train_config, run):
    options = {'train_cfg.max_iters': 1, 'val_cfg': None, 'train_cfg.log_losses': {}}
    loop = run(train_config, 'empty', 'train', options).train_loop
    assert loop.elasticities == dict(semseg=1.0, sal=1.0, depth=1.0)


def test_search_with_log_losses(search_config, run):
    """lambda counts in costs of the shared network; the memory follows the losses."""
    runner = run(search_config, 'logs', options={'search.log_losses': dict(sal=0.5)})
    loop = runner.train_loop
    term = loop.resource
    assert term.factor(3) * term.table.shared / term.scale == pytest.approx(term.loss.weight)
    assert loop.memory['loss_updates'].tolist() == [4, 4, 4]
    assert (loop.memory['mean_losses'] > 0).all() and loop.elasticities['sal'] == 0.5


def test_balancing_of_losses_has_a_scale_of_its_own(train_config, run):
    pytest.importorskip('torchjd')
    options = {
        'train_cfg.type': 'BalancedTrainLoop',
        'train_cfg.balancing': dict(method='PCGrad'),
        'train_cfg.log_losses': True,
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 9,
    }
    run(train_config, 'gradients', 'train', options)
    options['train_cfg.balancing'] = dict(method='UW')
    with pytest.raises(ValueError, match='train_cfg.log_losses: UW has a scale of losses'):
        run(train_config, 'losses', 'train', options)
