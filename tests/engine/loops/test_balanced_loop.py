"""Balanced trainings: against the plain training, and resumed."""

import pytest
import torch
from mmengine.hooks import Hook

from bmtas.engine.checkpoint import checkpoints_of
from bmtas.models.encoders import BranchedEncoder

pytest.importorskip('torchjd')


class Interrupt(Exception):
    """Stands for a kill."""


class StopBalancedHook(Hook):
    """Stops in front of update 5."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 5:
            raise Interrupt


def balanced(name, **kwargs):
    return {
        'train_cfg.type': 'BalancedTrainLoop',
        'train_cfg.balancing': dict(method=name, **kwargs),
        'train_cfg.max_iters': 7,
        'val_cfg': None,
    }


def state(work_dir):
    return torch.load(checkpoints_of(work_dir)[0], weights_only=True)


def weights(work_dir):
    return {k: v for k, v in state(work_dir)['state_dict'].items() if v.is_floating_point()}


def test_sum_is_the_plain_training(train_config, run, tmp_path):
    run(train_config, 'plain', 'train', {'train_cfg.max_iters': 7, 'val_cfg': None})
    run(train_config, 'sum', 'train', balanced('Sum'))
    first, second = weights(tmp_path / 'plain'), weights(tmp_path / 'sum')
    for key in first:
        torch.testing.assert_close(first[key], second[key])


@pytest.mark.parametrize('name', ['UW', 'DWA', 'FAMO', 'PCGrad', 'UPGrad'])
def test_resumed_equals_uninterrupted(name, train_config, run, tmp_path):
    """Seven updates, in each pass over the data seven; DWA's memory is filled by short passes."""
    options = {**balanced(name), 'train_dataloader.dataset.length': 4}
    run(train_config, 'whole', 'train', options)
    with pytest.raises(Interrupt):
        run(train_config, 'stopped', 'train', options, hooks=[StopBalancedHook()])
    run(train_config, 'stopped', 'train', options, resume=True)
    first, second = weights(tmp_path / 'whole'), weights(tmp_path / 'stopped')
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert 'balancing' in state(tmp_path / 'whole')
    assert all(torch.isfinite(value).all() for value in first.values())


ALL = ['UW', 'DWA', 'FAMO', 'GeometricMean', 'Random']
ALL += ['PCGrad', 'MGDA', 'CAGrad', 'AlignedMTL', 'UPGrad']


@pytest.mark.parametrize('name', ALL)
def test_every_method_trains_every_part_of_a_branched_network(name, train_config, run):
    """Switched by the command line alone; the tasks part in layers 1 and 2."""
    if name == 'CAGrad':
        pytest.importorskip('cvxpy')
    options = {
        'model.encoder.routes': [[0, 0, 0], [0, 0, 1], [0, 1, 2], [0, 1, 2]],
        **balanced(name),
        'train_cfg.max_iters': 2,
        'optim_wrapper.optimizer.weight_decay': 0.0,
        'default_hooks.checkpoint.interval': 100,
    }
    still = {**options, 'optim_wrapper.optimizer.lr': 1e-30}
    before, after = (
        run(train_config, kind, 'train', o) for kind, o in (('a', still), ('b', options))
    )
    moved = dict(before.model.named_parameters())
    for key, value in after.model.named_parameters():
        assert torch.isfinite(value).all()
        if value.dim() > 1:  # batch norms may cancel the gradient of a bias
            assert not torch.equal(value, moved[key]), key


@pytest.mark.parametrize('name', ['UW', 'PCGrad'])
def test_extra_losses_of_an_encoder_train_beside_the_balanced_ones(
    name, train_config, run, monkeypatch
):
    """A pull on one weight that no task's gradient could be mistaken for."""
    options = {**balanced(name), 'train_cfg.max_iters': 1}
    plain = run(train_config, 'plain', 'train', options)

    def extra(encoder):
        return dict(pull=1e4 * next(encoder.stem.parameters()).sum())

    monkeypatch.setattr(BranchedEncoder, 'extra_losses', extra)
    pulled = run(train_config, 'pulled', 'train', options)
    before, after = (next(r.model.encoder.stem.parameters()) for r in (plain, pulled))
    assert (after < before).all()
    others = zip(plain.model.heads.parameters(), pulled.model.heads.parameters())
    assert all(torch.equal(x, y) for x, y in others)


@pytest.mark.parametrize('name, groups', [('UW', 2), ('PCGrad', 1), ('FAMO', 1)])
def test_lr_is_divided_only_where_gradients_are_summed(name, groups, train_config, run):
    runner = run(train_config, name, 'train', {**balanced(name), 'train_cfg.max_iters': 1})
    rates = {group['lr'] for group in runner.optim_wrapper.param_groups}
    assert len(rates) == groups


def test_task_without_labels_does_not_move_its_head(train_config, run):
    """Depth has no label: its head keeps its weights but for the decay, which is switched off."""
    options = {
        **balanced('PCGrad'),
        'train_cfg.max_iters': 2,
        'tasks.2.label': 'nothing',
        'train_dataloader.dataset.labels': ['semseg', 'sal'],
        'optim_wrapper.optimizer.weight_decay': 0.0,
    }
    before = run(train_config, 'none', 'train', {**options, 'optim_wrapper.optimizer.lr': 1e-30})
    after = run(train_config, 'some', 'train', options)
    for task, moves in (('semseg', True), ('depth', False)):
        first, second = (list(r.model.heads[task].parameters()) for r in (before, after))
        assert any(not torch.equal(a, b) for a, b in zip(first, second)) == moves


def test_batches_without_any_label_count_for_accumulation_and_passes(train_config, run):
    """A run that is resumed counts the updates before it, whatever they held."""
    options = {
        **balanced('DWA'),
        'train_cfg.max_iters': 4,
        'train_dataloader.dataset.length': 4,
        'optim_wrapper.accumulative_counts': 2,
        'default_hooks.checkpoint.interval': 4,
        'train_dataloader.dataset.labels': [],
        **{f'tasks.{number}.label': f'nothing {number}' for number in range(3)},
    }
    runner = run(train_config, 'none', 'train', options)
    assert runner.optim_wrapper._inner_count == 4
    assert len(runner.train_loop.balancer.method._previous_averages) == 2


def test_mistakes_are_named(train_config, run):
    with pytest.raises(ValueError, match="torchjd has no method 'PcGrad'"):
        run(train_config, 'a', 'train', balanced('PcGrad'))
    wrong = {**balanced('MGDA'), 'optim_wrapper.paramwise_cfg': dict(shared_lr=True)}
    with pytest.raises(ValueError, match='shared_lr: must be False with MGDA'):
        run(train_config, 'b', 'train', wrong)
    wrong = {**balanced('MGDA'), 'optim_wrapper.accumulative_counts': 2}
    wrong['default_hooks.checkpoint.interval'] = 4
    graphs = {**balanced('MGDA'), 'model.cuda_graphs': True}
    with pytest.raises(ValueError, match='model.cuda_graphs: must be False with MGDA'):
        run(train_config, 'graphs', 'train', graphs)
    with pytest.raises(ValueError, match='accumulative_counts: must be 1 with MGDA'):
        run(train_config, 'd', 'train', wrong)
    with pytest.raises(ValueError, match="train_cfg.balancing: must be a dict, got 'UW'"):
        run(train_config, 'c', 'train', {**balanced('UW'), 'train_cfg.balancing': 'UW'})
