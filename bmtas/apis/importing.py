"""Checkpoints of other programs in our form: public BMTAS networks, DeepLab backbones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from bmtas.branching import BranchingTree
from bmtas.engine import set_routes
from bmtas.files import meant_as
from bmtas.models.backbones import load_file
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.sealed import load_state, save_state

_PARTS = ('conv', 'norm')  # the public code's op.0 and op.1
_CONTEXT = {
    'aspp_branch_1': 'branches.0',
    'aspp_branch_2.1': 'branches.1',
    'aspp_projection': 'project',
}
_HEAD = {
    'low_level_reduce': 'low_proj',
    'conv_1.0': 'fuse.0.depthwise',
    'conv_1.1': 'fuse.0.pointwise',
    'conv_2.0': 'fuse.1.depthwise',
    'conv_2.1': 'fuse.1.pointwise',
}


def convert_bmtas(path: str | Path, cfg: Config, out: str | Path) -> BranchingTree:
    """Write a checkpoint of the public BMTAS code (MobileNetV2) as one of ours.

    Args:
        path: Its ``checkpoint.pth``, with ``state_dict``, ``tasks`` and ``branch_config``.
        cfg: Config of a branched network of the same tasks, such as
            ``branched/mobilenetv2_pascal``; the weights are loaded into it, all of them.
        out: Checkpoint to write; the tree goes beside it, ``<out>.json``.

    Returns:
        The tree.

    Raises:
        ValueError: A key is missing, tasks differ, or weights do not fit.
    """
    content = load_state(path)
    with meant_as('checkpoint of the public BMTAS code', path):
        names, given = list(content['tasks']), dict(content['state_dict'])
        routes = [[int(value) for value in row] for row in content['branch_config']]
    unknown = sorted(set(names) ^ set(cfg.tasks))
    if unknown:
        raise ValueError(
            f'{path}: its tasks are {names}, those of {cfg.filename} {list(cfg.tasks)}'
        )
    tree = BranchingTree.from_routes(routes, names).reorder(list(cfg.tasks))
    set_routes(cfg, tree, path)
    places = _groups(routes, names, tree)
    state = {}
    for key, value in given.items():
        try:
            state[_our_name(key.removeprefix('module.'), places)] = value
        except (KeyError, IndexError, ValueError):
            raise ValueError(f'{path}: {key!r} is no tensor of the public network') from None
    model = MODELS.build(without_weights(cfg.model))
    _load_all(model, state, path)
    save_state(out, dict(state_dict=model.state_dict(), encoder=model.encoder.checkpoint_state()))
    tree.to_file(f'{out}.json')
    return tree


def _groups(
    routes: Sequence[Sequence[int]], names: Sequence[str], tree: BranchingTree
) -> list[list[int]]:
    """For each layer, our number of the public code's n-th copy.

    The public code numbers the groups of a layer by the candidate that they use, and within one
    candidate by the number of the group in the layer before.
    """
    before, places = [set(range(len(names)))], []
    for row, ours in zip(routes, tree.groups):
        chosen = [{t for t, k in enumerate(row) if k == value} for value in range(len(names))]
        before = [part & old for part in chosen for old in before if part & old]
        named = [{names[t] for t in group} for group in before]
        places.append([[set(group) for group in ours].index(group) for group in named])
    return places


def _our_name(key: str, places: Sequence[Sequence[int]]) -> str:
    """Our name of a tensor of the public network."""
    words = key.split('.')
    if words[0] == 'stem':  # stem.op.O.X
        return '.'.join(['encoder.stem', *words[2:]])
    if words[0] == 'encoder':  # encoder.L.path.B.<inside>
        layer, copy = int(words[1]), int(words[3])
        start = f'encoder.layers.{layer}.{places[layer][copy]}'
        inside = '.'.join(words[4:])
        return f'{start}.{_context(inside) if "aspp" in inside else _block(layer, words[5:])}'
    task, inside = words[1], '.'.join(words[2:])  # decoder.T.<inside>
    if inside.startswith('conv_logits'):
        return f'heads.{task}.{inside.replace("conv_logits", "logits")}'
    module, _, rest = inside.partition('.op.')
    part, name = rest.split('.')
    return f'heads.{task}.{_HEAD[module]}.{_PARTS[int(part)]}.{name}'


def _block(layer: int, words: Sequence[str]) -> str:
    """An inverted residual: ``C.op.O.X`` of its chain; the first block has no expansion."""
    chain, part, name = int(words[0]), int(words[2]), words[3]
    last = 1 if layer == 0 else 2
    # the projection stands unwrapped at the end
    return f'conv.{chain + part}.{name}' if chain == last else f'conv.{chain}.{part}.{name}'


def _context(inside: str) -> str:
    module, _, rest = inside.partition('.op.')
    part, name = rest.split('.')
    return f'{_CONTEXT[module]}.{_PARTS[int(part)]}.{name}'


def _load_all(model: Any, state: Mapping[str, Tensor], path: str | Path) -> None:
    wanted = model.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith('num_batches_tracked')]
    wrong = [k for k in state if k not in wanted or state[k].shape != wanted[k].shape]
    for problem, keys in (('lacks', missing), ('has what does not fit:', wrong)):
        if keys:
            raise ValueError(f'{path}: {problem} {len(keys)} tensors, the first is {keys[0]}')
    model.load_state_dict(state, strict=False)


def convert_backbone(path: str | Path, out: str | Path) -> int:
    """Write the ResNet of a DeepLab checkpoint as a file for ``backbone.weights``.

    Torchvision's ``deeplabv3_resnet*`` and mmsegmentation's DeepLabV3 and V3+ on ResNet name it
    ``backbone.*``, its tensors as torchvision's classification models. A stem of three
    convolutions (mmsegmentation's ResNetV1c) gets the names of timm's ``resnet*c``.

    Returns:
        Number of tensors.

    Raises:
        ValueError: No such tensors.
    """
    found = {
        key.removeprefix('module.').removeprefix('backbone.'): value
        for key, value in load_file(Path(path)).items()
        if key.removeprefix('module.').startswith('backbone.')
    }
    found = {_of_timm(key): value for key, value in found.items()}
    if not any(re.match(r'layer1\.0\.conv1', key) for key in found):
        raise ValueError(f'{path}: no tensors backbone.layer1.*; is it a DeepLab on ResNet?')
    save_state(out, dict(state_dict=found))
    return len(found)


def _of_timm(key: str) -> str:
    """The name of a ResNetV1c's tensor in timm: ``stem.7`` is the norm behind the stem."""
    match = re.match(r'stem\.(\d+)\.(.*)', key)
    if match is None:
        return key
    return f'bn1.{match[2]}' if match[1] == '7' else f'conv1.{match[1]}.{match[2]}'
