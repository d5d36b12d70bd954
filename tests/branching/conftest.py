"""Costs of the networks of the paper, in the paper's counting convention."""

from types import SimpleNamespace

import pytest

PASCAL = ('semseg', 'human_parts', 'sal', 'normals', 'edge')


@pytest.fixture(scope='session')
def mobilenet_pascal():
    """MobileNetV2 with R-ASPP at 512x512, five tasks."""
    layers = [50855936, 148439040, 131923968, 79265792, 56557568, 56557568, 38993920]
    layers += [53444608] * 3 + [66011136, 117915648, 117915648, 155631616]
    layers += [322355200, 322355200, 479559680, 75571136]
    heads = [740294656, 710934528, 698351616, 702545920, 698351616]
    return SimpleNamespace(stem=55574528, layers=tuple(layers), heads=dict(zip(PASCAL, heads)))


@pytest.fixture(scope='session')
def resnet_nyud():
    """ResNet-50 with ASPP at 425x560, four tasks."""
    layers = [1099651840, 1040211200, 1040211200, 1788290560] + [1051384320] * 3
    layers += [1794441600] + [1052110080] * 5 + [5695280640, 4209891840, 4209891840, 14183205120]
    heads = {
        'semseg': 19661070240,
        'depth': 19511509920,
        'normals': 19519179680,
        'edge': 19511509920,
    }
    return SimpleNamespace(stem=563498880, layers=tuple(layers), heads=heads)
