"""Learning rates and decays of a stage's parameters, one by one."""

import pytest
import torch
from sharing_toys import SPARSE, vit
from torch import nn

from bmtas.sharing import CoolDownLR, DeltaEncoder, SharingOptimWrapperConstructor

ADAMW = dict(optimizer=dict(type='AdamW', lr=2e-5, weight_decay=1e-6))


class Model(nn.Module):
    """An encoder and a head of a task."""

    def __init__(self, stage, task):
        super().__init__()
        self.encoder = DeltaEncoder(vit(), [task], 'base', SPARSE, stage=stage)
        self.heads = nn.ModuleDict({task: nn.Linear(16, 3)})


def rates(model, **paramwise):
    """Learning rate and decay of every trained parameter by name."""
    wrapper = SharingOptimWrapperConstructor(ADAMW, paramwise)(model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group['lr'], group['weight_decay'])
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


@pytest.mark.parametrize('given', [{}, dict(gate_lr=0.02, gate_decay=0.01)])
def test_gates_have_a_rate_and_a_decay_of_their_own(given):
    found = rates(Model('gates', 'a'), **given)
    expected = given.get('gate_lr', 0.1), given.get('gate_decay', 0.0)
    gates = [name for name in found if name.endswith(('.alpha', '.alpha_tensor'))]
    assert len(gates) == 2 * len([name for name in found if name.endswith('.delta')]) > 0
    for name, own in found.items():
        if name in gates:
            assert own == expected, name
        else:
            matrix = name.endswith('.weight.delta') and 'norm' not in name or name[-6:] == 'weight'
            assert own == (2e-5, 1e-6 if matrix else 0.0), name
    assert not any(name.startswith(('encoder.stem', 'encoder.layers')) for name in found)


def test_layers_of_the_base_learn_the_slower_the_deeper_they_lie():
    found = rates(Model('base', 'base'), layer_decay=0.75)
    # as MAE's fine-tuning: the head at 1, then block by block, the patches last
    power = {'heads': 0, 'encoder.layers.2': 1, 'encoder.layers.1': 2, 'encoder.layers.0': 3}
    power['encoder.stem'] = 4
    for name, (rate, _) in found.items():
        known = next(value for start, value in power.items() if name.startswith(start))
        assert rate == pytest.approx(2e-5 * 0.75**known), name


def test_an_unknown_option_is_named():
    with pytest.raises(ValueError, match='paramwise_cfg.gate_rate: unknown key; known: gate_lr'):
        SharingOptimWrapperConstructor(ADAMW, dict(gate_rate=1))


def test_the_rate_stays_and_falls_in_the_last_third():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, seen = CoolDownLR(optimizer, end=30, by_epoch=False), []
    for _ in range(30):
        seen.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    assert seen[:20] == [1.0] * 20 and seen[-1] == pytest.approx(0.05, abs=0.06)
    steps = [a - b for a, b in zip(seen[20:], seen[21:])]
    assert min(steps) > 0 and max(steps) == pytest.approx(min(steps))
    with pytest.raises(ValueError, match='share must be in'):
        CoolDownLR(optimizer, share=0.0, end=3)
