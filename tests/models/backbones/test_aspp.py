import pytest
import torch

from bmtas.models.backbones import LayeredBackbone


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_dropout_of_the_context_module():
    with torch.device('meta'):
        backbone = LayeredBackbone('mobilenet_v2', aspp=dict(dropout=0.3))
        assert backbone.copy_layer(17).dropout.p == 0.3
        assert backbone.copy_layer(17, dropout=0.0).dropout.p == 0


def test_context_module_trains_on_a_single_image():
    layer = LayeredBackbone('mobilenet_v2').copy_layer(17)
    layer(torch.rand(1, 320, 4, 4)).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
