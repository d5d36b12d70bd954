import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bmtas.models.backbones import LayeredBackbone
from bmtas.models.encoders import (
    MTANEncoder,
)

NAMES = ('a', 'b', 'c')


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    return LayeredBackbone('mobilenet_v2')


@pytest.fixture(scope='module')
def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 64, 64)


def mtan_by_definition(encoder, images, task, ends):
    """The network written down stage by stage, with masks of one where they are switched off."""
    x, carry, low = encoder.stem(images), None, None
    for stage, (first, last) in enumerate(zip([0, *(e + 1 for e in ends)], ends)):
        for index in range(first, last):
            x = encoder.layers[index](x)
        u, x = x, encoder.layers[last](x)
        z = u if carry is None else torch.cat([u, carry], 1)
        attended = encoder.attention[stage][task](z) * x
        low = attended if last == 2 else low
        carry = encoder.carries[stage](attended)
        if stage + 1 < len(ends):
            follower = nn.Sequential(*encoder.layers[last + 1 : ends[stage + 1]])(x).shape[-1]
            if follower < carry.shape[-1]:
                carry = F.max_pool2d(carry, 2, ceil_mode=True)
    return encoder.layers[-1][task](carry), low


@pytest.mark.parametrize('separable', [False, True])
def test_mtan_is_its_definition(backbone, separable):
    torch.manual_seed(3)
    encoder = MTANEncoder(backbone, NAMES, separable=separable).eval()
    # sizes 48, 24, 12, 6 and 72, 36, 18, 9: the strides leave odd sizes
    images = torch.randn(1, 3, 48, 72)
    features = encoder(images, NAMES)
    for task in NAMES:
        expected = mtan_by_definition(encoder, images, task, backbone.stage_ends)
        for x, y in zip(features[task], expected):
            torch.testing.assert_close(x, y)


def test_mtan_with_open_masks_passes_the_backbone_on(backbone, images):
    """With masks of one the low-level feature is the backbone's own, the same for all tasks."""
    encoder = MTANEncoder(backbone, NAMES).eval()
    for stage in encoder.attention:
        for mask in stage.values():
            nn.init.zeros_(mask[4].weight)
            nn.init.constant_(mask[4].bias, 100.0)
    x = encoder.stem(images)
    for index in range(3):
        x = encoder.layers[index](x)
    features = encoder(images, NAMES)
    for task in NAMES:
        torch.testing.assert_close(features[task][1], x)
