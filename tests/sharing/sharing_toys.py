"""A small base network with sub-tasks whose deltas are random."""

import torch

from bmtas.models.backbones import LayeredBackbone, LayeredViT
from bmtas.sharing import DeltaEncoder

TASKS = ('base', 'a', 'b')
SPARSE = dict(type='SparseDelta')
LOW_RANK = dict(type='LowRankDelta', rank=4)


def vit(**options):
    torch.manual_seed(0)
    return LayeredViT(**dict(dict(dim=16, depth=3, heads=2, patch=8), **options))


def mobilenet():
    torch.manual_seed(0)
    return LayeredBackbone(
        'mobilenet_v2',
        output_stride=4,
        stem=['features.0'],
        layers=[f'features.{index}' for index in range(1, 4)],
        aspp=dict(type='RASPP', channels=8, dropout=0.0),
    )


def randomise(encoder, scale=0.05, density=0.3):
    """Random deltas, of which a share is in the support."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in sorted(encoder.deltas.state_dict().items()):
            if name.endswith('.support'):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) < density)
            elif tensor.is_floating_point() and not name.endswith('running_var.value'):
                tensor.add_(torch.randn(tensor.shape, generator=generator) * scale)
    return encoder.eval()


def encoder(backbone=None, delta=SPARSE, tasks=TASKS, scale=0.05, **options):
    built = DeltaEncoder(backbone or vit(), tasks, 'base', delta, **options)
    return randomise(built, scale) if scale else built.eval()


def rand_images(count=2, height=32, width=48, seed=1):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
