"""Parameters of whole networks against the published figures."""

import pytest
import torch

from bmtas.models.backbones import LayeredBackbone
from bmtas.registry import MODELS

PASCAL = dict(semseg=21, human_parts=7, sal=1, normals=3, edge=1)
NYUD = dict(semseg=40, depth=1, normals=3, edge=1)
HEADS = {
    'mobilenet_v2': dict(type='DeepLabV3PlusHead'),
    'resnet50': dict(type='DeepLabV3PlusHead', width=256, separable=False, activation='relu'),
}


def count(arch, channels, **encoder):
    with torch.device('meta'):
        backbone = LayeredBackbone(arch)
        built = MODELS.build(dict(encoder, backbone=backbone, tasks=list(channels)))
        heads = [
            MODELS.build(
                dict(
                    HEADS[arch],
                    deep_channels=built.deep_channels,
                    low_channels=built.low_channels,
                    out_channels=out,
                )
            )
            for out in channels.values()
        ]
    return sum(p.numel() for module in (built, *heads) for p in module.parameters())


@pytest.mark.parametrize(
    'encoder, expected',
    [
        (dict(type='BranchedEncoder', routes='shared'), 2_151_505),
        (dict(type='BranchedEncoder', routes='separate'), 9_856_465),
        (dict(type='SingleTaskEncoder'), 9_860_177),
        # T copies without the affine of 90 norms, and L * T * T logits
        (dict(type='SupergraphEncoder'), 9_840_145 + 450),
    ],
)
def test_mobilenetv2_on_pascal(encoder, expected):
    assert count('mobilenet_v2', PASCAL, **encoder) == expected


@pytest.mark.parametrize(
    'channels, shared, separate, single',
    [
        (PASCAL, 45.570, 201.704, 201.742),
        pytest.param(NYUD, 44.269, 161.370, 161.399, marks=pytest.mark.slow),
    ],
)
def test_resnet50(channels, shared, separate, single):
    def millions(**encoder):
        return round(count('resnet50', channels, **encoder) / 1e6, 3)

    assert millions(type='BranchedEncoder', routes='shared') == shared
    assert millions(type='BranchedEncoder', routes='separate') == separate
    assert millions(type='SingleTaskEncoder') == single
