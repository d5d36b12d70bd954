"""The routing layer against hand-masked references and the public layer where it is right."""

import numpy as np
import pytest
import torch
from torch import nn

from bmtas.task_routing import TaskRouter, active_task


def test_output_and_gradient_equal_a_masking_by_hand():
    router, x = TaskRouter(6, 3), torch.randn(4, 6, 5, 5, requires_grad=True)
    y = router(x, 1)
    row = router.mask[1]
    assert torch.equal(y[:, row], x[:, row]) and not y[:, ~row].any()
    y.square().sum().backward()
    expected = 2 * x.detach()
    expected[:, ~row] = 0
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize('after', [nn.Identity(), nn.Sigmoid(), nn.Conv2d(6, 4, 3)])
def test_masked_channels_get_no_gradient_whatever_follows(after):
    conv, router = nn.Conv2d(3, 6, 3), TaskRouter(6, 2)
    after(router(conv(torch.randn(2, 3, 9, 9)), 0)).sum().backward()
    masked = ~router.mask[0]
    assert not conv.weight.grad[masked].any() and not conv.bias.grad[masked].any()
    assert conv.weight.grad[~masked].any()


def test_one_task_id_for_each_sample():
    router, x = TaskRouter(8, 5), torch.randn(3, 8, 2, 2)
    ids = torch.tensor([4, 0, 4])
    assert torch.equal(
        router(x, ids), torch.cat([router(x[i : i + 1], int(t)) for i, t in enumerate(ids)])
    )


def test_token_sequences():
    router, x = TaskRouter(8, 2, dim=-1), torch.randn(3, 5, 8)
    expected = x * router.mask[1]
    assert torch.equal(router(x, 1), expected)
    ids = torch.tensor([1, 0, 1])
    assert torch.equal(router(x, ids)[0], expected[0])


class PublicLayer(nn.Module):
    """The layer as published: it writes into the data of its input, past autograd."""

    def __init__(self, mask):
        super().__init__()
        self.mask, self.task = mask, 0

    def forward(self, x):
        x.data.mul_(self.mask[self.task].view(1, -1, 1, 1))
        return x


@pytest.mark.parametrize('relu', [True, False])
def test_the_public_layer_is_right_only_with_a_relu_behind_it(relu):
    router, conv = TaskRouter(8, 2), nn.Conv2d(3, 8, 3)
    public, x = PublicLayer(router.mask.float()), torch.randn(2, 3, 7, 7)
    grads = []
    for layer in (lambda y: router(y, 0), public):
        conv.zero_grad()
        y = layer(conv(x))
        out = y.relu() if relu else y
        (out * torch.arange(1.0, 9).view(1, 8, 1, 1)).sum().backward()
        grads.append((out.detach(), conv.weight.grad.clone()))
    assert torch.equal(grads[0][0], grads[1][0])
    assert torch.equal(grads[0][1], grads[1][1]) == relu


def test_no_parameters_a_saved_mask_and_the_same_layer_twice():
    router = TaskRouter(16, 4, name='x')
    assert not list(router.parameters()) and set(router.state_dict()) == {'mask'}
    assert torch.equal(router.mask, TaskRouter(16, 4, name='x').mask)
    with torch.device('meta'):
        assert torch.equal(TaskRouter(16, 4, name='x').mask, router.mask)


def test_active_task_is_set_below_and_restored():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), TaskRouter(8, 3), nn.ReLU(), TaskRouter(8, 3))
    x = torch.randn(2, 3, 4, 4)
    with active_task(model, 2):
        expected = model[3](model[1](model[0](x), 2).relu(), 2)
        assert torch.equal(model(x), expected)
        with active_task(model, 1), pytest.raises(RuntimeError):
            assert model[1].task == 1
            raise RuntimeError
        assert model[1].task == 2
    with pytest.raises(ValueError, match='no active task'):
        model(x)


@pytest.mark.parametrize(('convention', 'kept'), [('zeroed', 8), ('kept', 2)])
def test_sigma_has_two_meanings(convention, kept):
    router = TaskRouter.from_sigma(10, 3, 0.25, convention=convention)
    assert (router.mask.sum(1) == kept).all() or convention == 'kept'
    assert (router.mask.sum(1) == (8 if convention == 'zeroed' else 3)).all()


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: TaskRouter.from_sigma(8, 2, 0.5), "say 'zeroed'"),
        (lambda: TaskRouter.from_sigma(8, 2, 1.0, convention='zeroed'), 'keep_ratio'),
        (lambda: TaskRouter(8, 2, 1.5), 'keep_ratio'),
        (lambda: TaskRouter(8, 2)(torch.zeros(1, 8, 1, 1), 2), '2 is not among 2 tasks'),
        (lambda: TaskRouter(8, 2)(torch.zeros(1, 8, 1, 1), -1), '-1 is not among'),
        (lambda: TaskRouter(8, 2)(torch.zeros(2, 8), torch.tensor([0, 5])), '5 is not among'),
        (
            lambda: TaskRouter(8, 2)(torch.zeros(2, 8), torch.tensor([0])),
            r'shape \(1,\) for a batch of 2',
        ),
        (lambda: TaskRouter(8, 2)(torch.zeros(1, 6, 1, 1), 0), 'made for 8 channels, got 6'),
    ],
)
def test_bad_calls_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert '\n' not in str(error.value)


def test_a_given_mask_is_taken_as_it_is():
    mask = np.eye(3, dtype=bool)
    assert TaskRouter(3, 3, mask=mask).mask.tolist() == mask.tolist()
