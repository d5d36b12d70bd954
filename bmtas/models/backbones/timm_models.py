"""Backbones of timm, by the stages between which it hands out features."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bmtas.files import nearest
from bmtas.models.backbones.recipes import ASPP, Recipe, pixels_last

TIMM = 'timm/'
"""How the names of timm's models begin in ``LayeredBackbone(arch=...)``."""


def build_timm(arch: str, width: float, weights: str | None) -> nn.Module:
    """A model of timm that hands out features.

    Args:
        arch: ``timm/`` and timm's name.
        width: Must be 1.
        weights: None for random weights, ``imagenet`` for timm's pretrained ones (from its cache or
            by download), or a file of weights in timm's form.

    Raises:
        ValueError: timm is missing, has no such model, the model has no chain of stages, or the
            file is of another one.
        FileNotFoundError: Weights that are not there.
    """
    if importlib.util.find_spec('timm') is None:
        raise ValueError(f"backbone: arch {arch!r} needs timm: pip install '.[timm]'")
    if width != 1:
        raise ValueError(f'backbone: width exists for vgg* and mobilenet_v2, not for {arch!r}')
    import timm

    name = arch.removeprefix(TIMM)
    if not timm.is_model(name):
        raise ValueError(
            f'backbone: timm has no model {name!r}; {nearest(name, timm.list_models())}'
        )
    if weights not in (None, 'imagenet') and not Path(weights).is_file():
        raise FileNotFoundError(f'backbone: weights file {weights} does not exist')
    options: dict[str, Any] = dict(pretrained=weights is not None)
    try:
        if weights not in (None, 'imagenet'):
            overlay = dict(state_dict=_complete(name, weights))
            options['pretrained_cfg_overlay'] = overlay
            # without its classifier a model takes whatever the file has
            timm.create_model(name, **options)
        return timm.create_model(name, features_only=True, **options)
    except Exception as error:  # whatever the model, the loader or the network raises
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        kind = FileNotFoundError if weights == 'imagenet' else ValueError
        raise kind(f'backbone: {arch} with weights={weights!r}: {reason}') from None


def _complete(name: str, weights: str) -> dict[str, Any]:
    """A file's state dict, with a classifier of random weights where the file has none."""
    import timm

    model, state = timm.create_model(name), timm.models.load_state_dict(weights)
    last = model.pretrained_cfg['classifier'] or ()
    places = tuple(f'{place}.' for place in ([last] if isinstance(last, str) else last))
    own = {key: v for key, v in model.state_dict().items() if key.startswith(places)}
    unlike = any(key in state and state[key].shape != v.shape for key, v in own.items())
    return {**state, **own} if unlike else {**own, **state}


def timm_recipe(arch: str, model: nn.Module) -> Recipe:
    """Cut a model at the modules whose outputs it hands out.

    Features at stride 2 belong to the stem.

    Raises:
        ValueError: The model is no chain of such modules.
    """
    ends = [name.replace('.', '_') for name in model.feature_info.module_name()]
    strides = model.feature_info.reduction()
    chain = _chain(model, ends)
    places = [index for index, name in enumerate(chain) if name.replace('.', '_') in ends]
    if len(places) != len(ends):
        raise ValueError(f'backbone: {arch} is no chain of stages; {_REMEDY}')
    # else the stem is what comes before the first stage, e.g. the embedding of patches
    first = places.pop(0) + 1 if strides[0] <= 2 else places[0]
    cuts = [first, *(place + 1 for place in places)]
    layers = tuple(tuple(chain[a:b]) for a, b in zip(cuts, cuts[1:]))
    turned = str(getattr(model, 'output_fmt', '')).endswith('NHWC')
    recipe = Recipe(tuple(chain[:first]), layers, ASPP, *([pixels_last] if turned else []))
    _check_chain(arch, model, chain[: cuts[-1]])
    return recipe


_REMEDY = 'take one whose features timm hands out one after the other, or a model of torchvision'


def _chain(model: nn.Module, ends: Sequence[str]) -> list[str]:
    """Names of the modules in order; children that hold several ends are opened."""
    chain = []
    for name, child in model.named_children():
        inside = [end for end in ends if end.startswith(f'{name}_')]
        if inside and isinstance(child, nn.Sequential):
            chain += [f'{name}.{key}' for key, _ in child.named_children()]
        else:
            chain.append(name)
    return chain


@torch.no_grad()
def _check_chain(arch: str, model: nn.Module, chain: Sequence[str]) -> None:
    """Run the modules one after the other: does timm's model compute the same?"""
    device = next(model.parameters()).device
    model.eval()
    x = y = torch.linspace(-1, 1, 3 * 64 * 64, device=device).view(1, 3, 64, 64)
    try:
        for name in chain:
            y = model.get_submodule(name)(y)
        expected = model(x)[-1]
    except Exception as error:  # whatever a module says to an input that it was not made for
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f'backbone: {arch}: {reason[:100]}; {_REMEDY}') from None
    if y.shape != expected.shape or not (y.is_meta or torch.equal(y, expected)):
        raise ValueError(f'backbone: {arch} is no chain of stages; {_REMEDY}')
    model.train()
