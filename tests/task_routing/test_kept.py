"""A network run on kept channels alone against the masked one, in training."""

import copy

import pytest
import torch

from bmtas.models.backbones import LayeredBackbone
from bmtas.task_routing import RoutedEncoder

TASKS = ('a', 'b', 'c')
CASES = [
    ('vgg11_bn', dict(output_stride=32, aspp=False), 'per_task_stats'),
    ('resnet18', dict(output_stride=32), 'per_task'),
    ('mobilenet_v2', dict(), 'batch_stats'),
    ('efficientnet_b0', dict(output_stride=32), 'per_task_stats'),
]


def loss_of(encoder, x, task):
    deep, low = encoder(x, (task,))[task]
    return (deep * torch.linspace(0, 1, deep.shape[1]).view(-1, 1, 1)).mean() + low.sin().mean()


@pytest.mark.parametrize(('arch', 'options', 'norm'), CASES)
def test_training_on_kept_channels_is_training_with_masks(arch, options, norm):
    """Outputs, gradients and statistics; some parts are shared wholly."""
    torch.manual_seed(0)
    backbone = LayeredBackbone(arch, **options)
    masked = RoutedEncoder(backbone, TASKS, norm=norm, first_layer=2).double()
    for module in masked.modules():
        if hasattr(module, 'p'):  # dropout draws other numbers for fewer channels
            module.p = 0.0
    kept = copy.deepcopy(masked)
    kept.kept_only = True
    kept._use_masks()
    assert not any('kept' in name for name in kept.state_dict())
    x = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    for task in ('a', 'c', 'a'):
        losses = []
        for encoder in (masked, kept):
            encoder.train().zero_grad()
            losses.append(loss_of(encoder, x, task))
            losses[-1].backward()
        assert torch.allclose(*losses, rtol=1e-9)
        for (name, wide), narrow in zip(masked.named_parameters(), kept.parameters()):
            if narrow.grad is None:  # masked wholly in this part
                assert wide.grad is None or not wide.grad.any(), name
            else:
                assert torch.allclose(wide.grad, narrow.grad, rtol=1e-6, atol=1e-10), name
        with torch.no_grad():
            for encoder in (masked, kept):
                for parameter in encoder.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.01 * parameter.grad
    with torch.no_grad():
        wide, narrow = masked.eval()(x, TASKS), kept.eval()(x, TASKS)
    for task in TASKS:
        for one, other in zip(wide[task], narrow[task]):
            assert (one - other).abs().max() <= 1e-8 * one.abs().max(), task


def test_masks_that_are_exchanged_or_loaded_are_taken():
    backbone = LayeredBackbone('vgg11_bn', output_stride=32, aspp=False, width=0.125)
    one = RoutedEncoder(backbone, TASKS, kept_only=True).train()
    two = RoutedEncoder(backbone, TASKS, seed=1).train()
    x = torch.randn(4, 3, 64, 64)
    one(x, TASKS)
    one.load_state_dict(two.state_dict())
    with torch.no_grad():
        assert torch.allclose(one(x, ('b',))['b'][0], two(x, ('b',))['b'][0], atol=1e-5)
        one.set_masks(RoutedEncoder(backbone, TASKS, seed=2).masks)
        two.set_masks(one.masks)
        assert torch.allclose(one(x, ('b',))['b'][0], two(x, ('b',))['b'][0], atol=1e-5)


def test_masked_parts_are_not_run_in_training_and_run_in_evaluation():
    encoder = RoutedEncoder(LayeredBackbone('vgg11_bn', width=0.125), TASKS, kept_only=True)
    calls, x = [], torch.zeros(2, 3, 64, 64)
    encoder.train()(x, ('a',))
    for part in encoder.chain:
        part.register_forward_hook(lambda *_: calls.append(1))
    encoder(x, ('a',))
    assert not calls
    encoder.eval()(x, ('a',))
    assert len(calls) == len(encoder.chain)


def test_pooled_statistics_are_refused():
    with pytest.raises(ValueError, match="kept_only: norm='shared' .*kept_only=False") as error:
        RoutedEncoder(LayeredBackbone('vgg11_bn'), TASKS, norm='shared', kept_only=True)
    assert '\n' not in str(error.value)
