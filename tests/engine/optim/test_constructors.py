import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn

from bmtas.engine import optim  # noqa: F401  (registers)
from bmtas.models.encoders import Part


class ToyEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(1, 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Linear(1, 1) for _ in range(2)) for _ in range(11)
        )

    def parts(self):
        shared = {'stem': 3, 'layers.1.0': 2, 'layers.10.0': 3, 'layers.1.1': 0}
        return [Part(k, self.get_submodule(k), None, tuple('abc'[:n])) for k, n in shared.items()]


class ToyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = ToyEncoder()
        self.heads = nn.ModuleDict(dict(a=nn.Linear(1, 1)))


def rates(paramwise_cfg=None):
    model = ToyModel()
    model.encoder.layers[0].requires_grad_(False)
    cfg = dict(
        constructor='bmtas.SharedLRConstructor',
        optimizer=dict(type='SGD', lr=0.6),
        paramwise_cfg=paramwise_cfg,
    )
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(p)]: group['lr']
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }


def test_rate_of_a_block_is_divided_by_the_tasks_that_share_it():
    found = rates()
    assert found['encoder.stem.weight'] == pytest.approx(0.2)
    assert found['encoder.layers.1.0.bias'] == pytest.approx(0.3)
    assert found['encoder.layers.10.0.weight'] == pytest.approx(0.2)
    assert found['encoder.layers.1.1.weight'] == found['heads.a.weight'] == 0.6
    assert 'encoder.layers.0.0.weight' not in found  # frozen
    assert set(rates(dict(shared_lr=False)).values()) == {0.6}
    with pytest.raises(ValueError, match='paramwise_cfg.shared'):
        rates(dict(shared=False))


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (dict(weights={}), 'needs the groups weights and alpha'),
        (dict(weights=dict(accumulative_counts=2), alpha={}), 'weights.accumulative_counts'),
        (dict(weights={}, alpha={}, paramwise_cfg={'a': 1}), 'paramwise_cfg'),
    ],
)
def test_search_optimizers_refuse_what_they_cannot_do(cfg, message):
    with pytest.raises(ValueError, match=message):
        build_optim_wrapper(
            ToyModel(), dict(cfg, constructor='bmtas.BranchingOptimWrapperConstructor')
        )


def test_tasks_can_be_trained_in_turn(train_config, run):
    runner = run(train_config, 'turns', 'train', {'train_cfg.order': 'sequential'})
    # every task made its own forward pass through the shared stem
    norms = [m for m in runner.model.encoder.stem.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in norms] == [8 * 3]
    with pytest.raises(ValueError, match='train_cfg.order'):
        run(train_config, 'typo', 'train', {'train_cfg.order': 'parallel'})
