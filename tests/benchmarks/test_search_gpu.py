"""One grouped layer computes what the separate candidates do."""

from pathlib import Path

import pytest
import torch
from torch import nn

from bmtas.models.backbones import build_backbone

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'


@pytest.mark.parametrize('index', [0, 3, 6])  # without expansion, with a stride, without
def test_grouped_is_separate(load_script, monkeypatch, index):
    monkeypatch.syspath_prepend(BENCHMARKS)  # it imports a neighbour
    module = load_script('search_gpu')
    torch.manual_seed(0)
    layer_of = dict(type='LayeredBackbone', arch='mobilenet_v2', weights=None)
    layer = build_backbone(layer_of).copy_layer(index)
    candidates = [build_backbone(layer_of).copy_layer(index) for _ in range(3)]
    grouped, separate = module.Grouped(layer, 3), module.Separate(candidates)
    parts = [m for m in grouped.body if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for number, part in enumerate(parts):
        own = [
            [m for m in c.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)][number]
            for c in candidates
        ]
        for name, value in part.state_dict().items():
            if value.ndim:
                value.copy_(torch.cat([source.state_dict()[name] for source in own]))
    first = next(m for m in layer.modules() if isinstance(m, nn.Conv2d))
    x = torch.randn(2, first.in_channels, 9, 9)
    for one, other in zip(grouped(x), separate(x)):
        assert torch.allclose(one, other, atol=1e-5)
