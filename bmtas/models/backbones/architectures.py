"""torchvision's classification models, some of them at another width."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torchvision
from torch import nn
from torchvision.models import get_model, list_models
from torchvision.models.vgg import cfgs, make_layers

from bmtas.files import nearest
from bmtas.models.backbones.conv4 import Conv4

# torchvision's letters for the depths
_VGG = {'vgg11': 'A', 'vgg13': 'B', 'vgg16': 'D', 'vgg19': 'E'}


_OWN: dict[str, Callable[[], nn.Module]] = {'conv4': Conv4}


def register_architecture(name: str, make: Callable[[], nn.Module]) -> None:
    """Let ``LayeredBackbone(arch=name, stem=..., layers=...)`` cut a model of anybody's.

    Args:
        name: What configs call it; a name that is taken is replaced.
        make: Gives a new model; its children named in ``layers`` are called one after the other.
    """
    _OWN[name] = make


def build_model(arch: str, width: float = 1.0) -> nn.Module:
    """A model with random weights.

    Args:
        arch: torchvision's name.
        width: Factor of the channels of every convolution.

    Raises:
        ValueError: Unknown name, the width is not positive, or the family has one width.
    """
    # of the one module, as building a detector would download its backbone
    known = [*_OWN, *list_models(module=torchvision.models)]
    if arch not in known:
        raise ValueError(
            f'backbone: torchvision has no classification model {arch!r}; {nearest(arch, known)}'
        )
    if width <= 0:
        raise ValueError(f'backbone: width must be positive, got {width}')
    own = arch in _OWN
    if arch.startswith('vgg') and not own:
        return _vgg(arch, width)
    if arch == 'mobilenet_v2' and not own:
        return get_model(arch, weights=None, width_mult=width)
    if width != 1:
        raise ValueError(f'backbone: width exists for vgg* and mobilenet_v2, not for {arch!r}')
    if own:
        return _OWN[arch]()
    # RegNet computes its sizes with tensors, which the meta device cannot
    with torch.device('cpu') if arch.startswith('regnet') else nullcontext():
        model = get_model(arch, weights=None)
    return model.to(torch.get_default_device())


def _vgg(arch: str, width: float) -> nn.Module:
    """The features alone: the classifier has 124 of VGG-11's 133 million parameters."""
    name, _, norm = arch.partition('_')
    channels = [v if v == 'M' else max(1, round(v * width)) for v in cfgs[_VGG[name]]]
    features = make_layers(channels, batch_norm=norm == 'bn')
    for module in features:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(module.bias)
    return nn.Sequential(OrderedDict(features=features))
