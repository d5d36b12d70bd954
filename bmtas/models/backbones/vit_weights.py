"""Weights of vision transformers from other packages' state dicts, by a map of their keys.

| here           | timm, MAE            | torchvision               | MultiViT                    |
|----------------|----------------------|---------------------------|-----------------------------|
| stem.proj      | patch_embed.proj     | conv_proj                 | input_adapters.rgb.proj     |
| blocks.i.norm1 | blocks.i.norm1       | encoder_layer_i.ln_1      | encoder.i.norm1             |
| .attn.qkv      | .attn.qkv            | .self_attention.in_proj_* | .attn.qkv                   |
| .attn.proj     | .attn.proj           | .self_attention.out_proj  | .attn.proj                  |
| .norm2         | .norm2               | .ln_2                     | .norm2                      |
| .mlp.fc1, fc2  | .mlp.fc1, fc2        | .mlp.0, 3 (linear_1, 2)   | .mlp.fc1, fc2               |

``attn.{q,k,v}`` or ``attn.{q,k,v}_proj`` are packed. Dropped are positions, class and mask tokens,
the final norm, classifiers, decoders and adapters of other modalities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from bmtas.models.backbones.weights import load_file

_UNUSED = re.compile(
    r'(cls_token|class_token|dist_token|mask_token|global_tokens|pos_embed$|decoder_|'
    r'norm\.|fc_norm\.|head\.|head_dist\.|heads\.|encoder\.pos_embedding|encoder\.ln\.|'
    r'output_adapters\.|input_adapters\.(?!rgb\.proj\.))'
)
_RENAMED = (
    (r'^(patch_embed\.proj|conv_proj|input_adapters\.rgb\.proj)\.', 'stem.proj.'),
    (r'^encoder\.layers\.encoder_layer_(\d+)\.', r'blocks.\1.'),
    (r'^encoder\.(\d+)\.', r'blocks.\1.'),
    (r'\.ln_([12])\.', r'.norm\1.'),
    (r'\.self_attention\.in_proj_', '.attn.qkv.'),
    (r'\.self_attention\.out_proj\.', '.attn.proj.'),
    (r'\.mlp\.(0|linear_1)\.', '.mlp.fc1.'),
    (r'\.mlp\.(3|linear_2)\.', '.mlp.fc2.'),
)


def load_vit_weights(stem: nn.Module, blocks: Sequence[nn.Module], weights: str) -> None:
    """Load a state dict into patch embedding and blocks, in place.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a state dict of such a ViT: a key is missing, unknown or of another shape.
    """
    state = map_keys(load_file(Path(weights)))
    template = nn.ModuleDict(dict(stem=stem, blocks=nn.ModuleList(blocks)))
    wanted = template.state_dict()
    found = (
        ('lack', [key for key in wanted if key not in state]),
        ('have unknown', [key for key in state if key not in wanted]),
        ('misfit', [k for k in wanted if k in state and state[k].shape != wanted[k].shape]),
    )
    for problem, keys in found:
        if keys:
            raise ValueError(
                f'backbone: weights {weights} {problem} {len(keys)} tensors, the first is '
                f'{keys[0]!r}; is it a ViT of depth {len(blocks)} and width '
                f'{stem.proj.out_channels} from MAE, timm, torchvision or MultiViT?'
            )
    template.load_state_dict(state)


def map_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that a LayeredViT uses, under its names; unknown keys keep theirs."""
    mapped, parts = {}, {}
    for key, value in state.items():
        if _UNUSED.match(key):
            continue
        for pattern, name in _RENAMED:
            key = re.sub(pattern, name, key)
        single = re.fullmatch(r'(.*\.attn\.)([qkv])(?:_proj)?\.(weight|bias)', key)
        if single:
            parts.setdefault((single[1], single[3]), {})[single[2]] = value
        else:
            mapped[key] = value
    for (prefix, kind), found in parts.items():
        if len(found) == 3:
            mapped[f'{prefix}qkv.{kind}'] = torch.cat([found[name] for name in 'qkv'])
    return mapped
