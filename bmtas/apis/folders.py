"""A network in a folder of its own: weights, config and tree, to be kept and handed on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from bmtas.apis.setup import OWN
from bmtas.engine import load_model
from bmtas.files import make_folder, write_json
from bmtas.models.backbones import register_architecture
from bmtas.resources import without_weights
from bmtas.sealed import save_state

CONFIG, WEIGHTS, TREE = 'config.json', 'weights.pth', 'branching.json'
KEPT = ('tasks', 'input_size', 'custom_imports', 'method')


def save(folder: str | Path, cfg: Config, model: Any) -> Path:
    """Keep a network in a folder that needs nothing else.

    Args:
        folder: Is made; files of an earlier ``save`` are replaced.
        cfg: Its config.
        model: The network.

    Returns:
        The folder, with ``config.json``, ``weights.pth`` and, of a branched network,
        ``branching.json``.
    """
    folder = make_folder(folder)
    plain = cfg.to_dict()
    content = {key: plain[key] for key in KEPT if key in plain}
    content['model'] = without_weights(plain['model'])
    write_json(folder / CONFIG, content)
    state = dict(state_dict=model.state_dict(), encoder=model.encoder.checkpoint_state())
    save_state(folder / WEIGHTS, state)
    if model.encoder.tree is not None:
        model.encoder.tree.to_file(folder / TREE)
    return folder


def load(
    folder: str | Path, backbone: nn.Module | None = None, device: str | None = None
) -> tuple[Config, Any]:
    """Config and network of a folder that ``save`` wrote, ready to predict.

    Args:
        folder: The folder.
        backbone: The module that the network was made from, where that was no named architecture.
        device: Where to put it; a GPU if there is one by default.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A damaged file, or no ``backbone`` where one is needed.
    """
    folder = Path(folder)
    if backbone is not None:
        register_architecture(OWN, lambda: copy.deepcopy(backbone))
    return load_model(folder / CONFIG, folder / WEIGHTS, device=device)
