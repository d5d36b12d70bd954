"""Single updates of a search: who moves, by what gradient, and where descent ends."""

from contextlib import nullcontext

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from bmtas.branching import BranchingTree, expected_cost
from bmtas.engine.updates import active_tasks
from bmtas.resources import Costs, ResourceTable
from bmtas.search.gradient import (
    ResourceLoss,
    ResourceTerm,
    alpha_update,
    split_parameters,
    warmup_update,
    weight_update,
)
from bmtas.tasks import MultiTaskSample, TaskMaps, build_tasks
from bmtas.typed import accepted_arguments, check_arguments

TASKS = build_tasks([dict(name=name, kind='depth') for name in 'abc'])
LAYERS = (4, 3, 2, 1)


class ToyEncoder(nn.Module):
    """Mixing weights in, their product with one weight per candidate out."""

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(len(LAYERS), 3, 3))
        self.scale = nn.Parameter(torch.ones(len(LAYERS), 3))
        self.seen = []

    def same_images(self):
        return nullcontext()

    def arch_parameters(self):
        yield self.alpha

    def warmup_weights(self):
        return torch.eye(3).expand(len(LAYERS), 3, 3)

    def forward(self, row, weights):
        self.seen.append(row)
        return (weights[:, row] * self.scale).sum(0)


class ToyModel(BaseModel):
    """Each task likes its own candidate: the gain is 1 per layer that it does not share."""

    def __init__(self):
        super().__init__()
        self.tasks = TASKS
        self.encoder = ToyEncoder()
        self.captured = None

    def forward(self, inputs, data_samples, mode, tasks, weights):
        losses = {}
        for name in tasks:
            row = 'abc'.index(name)
            losses[f'loss_{name}'] = -self.encoder(row, weights)[row]
        return losses


def batch(labelled='abc'):
    labels = {name: torch.full((2, 2), float(name in labelled)) for name in 'abc'}
    return dict(
        inputs=[torch.zeros(3, 2, 2)], data_samples=[MultiTaskSample(labels=TaskMaps(labels))]
    )


def optimizers(model, rate=0.1):
    weights, alpha = split_parameters(model)
    return OptimWrapperDict(
        weights=OptimWrapper(torch.optim.SGD(weights, lr=rate)),
        alpha=OptimWrapper(torch.optim.SGD(alpha, lr=rate)),
    )


def table():
    heads = dict.fromkeys('abc', 0)
    options = dict(layer_names=('p', 'q', 'r', 's'), unit='MAdds', convention='mac')
    layers = tuple(10**9 * cost for cost in LAYERS)
    params = Costs(0, LAYERS, heads)
    return ResourceTable(0, layers, heads, input_size=(2, 2), backbone='', params=params, **options)


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_weight_updates_leave_alpha_and_alpha_updates_the_weights():
    model = ToyModel()
    wrappers = optimizers(model)
    before = snapshot(model)
    mixing = model.encoder.alpha.softmax(-1)
    values = weight_update(model, batch(), wrappers, mixing)
    after = snapshot(model)
    assert torch.equal(after['encoder.alpha'], before['encoder.alpha'])
    assert not torch.equal(after['encoder.scale'], before['encoder.scale'])
    assert list(values) == ['loss', 'loss_a', 'loss_b', 'loss_c']
    alpha_update(model, batch(), wrappers, model.encoder.alpha.softmax(-1))
    last = snapshot(model)
    assert torch.equal(last['encoder.scale'], after['encoder.scale'])
    assert not torch.equal(last['encoder.alpha'], after['encoder.alpha'])
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_no_gradient_of_one_group_reaches_the_next_step_of_the_other():
    steps = []
    for leak in (False, True):
        model = ToyModel()
        wrappers = optimizers(model)
        if leak:  # what a careless loop would leave behind
            for parameter in model.parameters():
                parameter.grad = torch.full_like(parameter, 11.0)
        weight_update(model, batch(), wrappers, model.encoder.alpha.softmax(-1))
        alpha_update(model, batch(), wrappers, model.encoder.alpha.softmax(-1))
        steps.append(snapshot(model))
    for name in steps[0]:
        assert torch.equal(steps[0][name], steps[1][name])


def test_alpha_gradient_is_that_of_the_whole_objective():
    model = ToyModel()
    torch.manual_seed(0)
    with torch.no_grad():
        model.encoder.alpha.normal_()
    alpha = model.encoder.alpha
    term = ResourceTerm(table(), ResourceLoss(0.7))
    start = alpha.detach().clone()
    mixing = alpha.softmax(-1)
    losses = sum(model(None, None, 'loss', 'abc', mixing).values())
    objective = losses + 0.7 * expected_cost(alpha, LAYERS)
    (gradient,) = torch.autograd.grad(objective, alpha)
    values = alpha_update(model, batch(), optimizers(model), alpha.softmax(-1), term)
    torch.testing.assert_close(alpha.detach(), start - 0.1 * gradient)
    assert float(values['loss_resource']) == pytest.approx(
        0.7 * float(expected_cost(start, LAYERS)), rel=1e-6
    )


def test_warm_up_runs_tasks_in_turn_on_their_own_candidate():
    model = ToyModel()
    warmup_update(model, batch(), optimizers(model))
    assert model.encoder.seen == [0, 1, 2]
    # each task moved its own candidate only: by one step of gradient -1
    torch.testing.assert_close(model.encoder.scale.detach(), torch.full((4, 3), 1.1))


def test_a_task_without_labels_is_skipped():
    model = ToyModel()
    assert active_tasks(TASKS, batch('ac')['data_samples']) == ['a', 'c']
    values = warmup_update(model, batch('ac'), optimizers(model))
    assert list(values) == ['loss', 'loss_a', 'loss_c']
    assert model.encoder.seen == [0, 2]
    before = snapshot(model)
    term = ResourceTerm(table(), ResourceLoss(1.0))
    assert alpha_update(model, batch(''), optimizers(model), before['encoder.alpha'], term) == {}
    assert torch.equal(model.encoder.alpha, before['encoder.alpha'])


def test_units_and_profile_of_lambda():
    assert ResourceTerm(table(), ResourceLoss(0.5)).factor(5) == 0.5
    loss = ResourceLoss(0.05, mode='paper', unit='gflops', per_task=True)
    reference = ResourceTerm(table(), loss)
    assert reference.factor(5) == pytest.approx(0.5)  # 2 * T * lambda
    assert float(reference.cost(torch.zeros(4, 3, 3))) > float(
        reference.cost(torch.zeros(4, 3, 3), 'exact')
    )
    for bad in (dict(mode='exakt'), dict(unit='mflops'), dict(weight=-1.0)):
        with pytest.raises(ValueError, match='search.resource_loss.(mode|unit|weight): '):
            check_arguments(bad, accepted_arguments(ResourceLoss), 'search.resource_loss')


@pytest.mark.parametrize(('weight', 'shared'), [(20.0, True), (0.0, False)])
def test_descent_shares_all_for_a_large_lambda_and_nothing_without(weight, shared):
    """Task losses alone pull every task to its own candidate; the resource term to one."""
    model = ToyModel()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        model.encoder.alpha.copy_(0.1 * torch.randn(4, 3, 3, generator=generator))
    _, alpha = split_parameters(model)
    wrappers = optimizers(model)
    wrappers['alpha'].optimizer = torch.optim.Adam(alpha, lr=0.05, weight_decay=5e-5)
    term = ResourceTerm(table(), ResourceLoss(weight))
    for _ in range(250):
        alpha_update(model, batch(), wrappers, model.encoder.alpha.softmax(-1), term)
    tree = BranchingTree.from_routes(model.encoder.alpha.argmax(-1), 'abc')
    expected = BranchingTree.shared(4, 'abc') if shared else BranchingTree.separate(4, 'abc')
    assert tree == expected
