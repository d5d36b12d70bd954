"""Networks from a config and a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from bmtas.engine.config import load_config, select_tasks
from bmtas.models.encoders import encoder_class
from bmtas.registry import MODELS
from bmtas.resources import is_open, usable_device, without_weights
from bmtas.sealed import load_state
from bmtas.typed import accepted_arguments, check_value


def load_model(
    config: str | Path,
    checkpoint: str | Path,
    options: Mapping[str, Any] | None = None,
    device: str | torch.device | None = None,
) -> tuple[Config, Any]:
    """Build the network of a config with the weights of a checkpoint, ready to predict.

    Args:
        config: Config of the network; the routes of a branched one come from the checkpoint.
        checkpoint: File written by a training.
        options: Overrides of the config by dotted key.
        device: Where to put it; a GPU if there is one by default.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        ValueError: Faulty config, damaged checkpoint, or one of another network.
    """
    cfg = load_config(config, options)
    if 'model' not in cfg:
        raise ValueError(f'{config}: model: missing, there is no network to run')
    device = usable_device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    return cfg, trained_model(cfg, checkpoint).to(device).eval()


def trained_model(cfg: Config, checkpoint: str | Path) -> Any:
    """The network of a complete config, which a checkpoint may change, with its weights.

    Raises:
        FileNotFoundError, ValueError: As ``load_model``.
    """
    encoder_from_checkpoint(cfg, checkpoint)
    content = load_state(checkpoint)
    state = content.get('state_dict', content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise ValueError(f'checkpoint {checkpoint} holds no weights')
    model = MODELS.build(without_weights(cfg.model))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = ' '.join(line.strip() for line in str(error).split('\n')[1:])
        raise ValueError(
            f'checkpoint {checkpoint} does not fit the model of {cfg.filename}: {lines[:300]}'
        ) from error
    return model


def encoder_from_checkpoint(cfg: Config, checkpoint: str | Path) -> None:
    """Take from a checkpoint what its encoder must be built with, e.g. the routes of a tree.

    A checkpoint of a part of the tasks (key ``tasks`` of its encoder) reduces the config to them.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: The checkpoint is damaged, lacks the tree, or is for other tasks.
    """
    content = load_state(checkpoint)
    encoder = cfg.model.get('encoder')
    if encoder is None:
        return
    state, where = content.get('encoder') or {}, f'checkpoint {checkpoint}: encoder'
    check_value(state, Mapping[str, Any], where)
    state = dict(state)
    tasks = state.pop('tasks', None)
    if tasks is not None:
        check_value(tasks, Sequence[str], f'{where}.tasks')
        select_tasks(cfg, tasks)
    known = accepted_arguments(encoder_class(encoder))
    foreign = [key for key in state if known is not None and key not in known]
    if foreign:
        raise ValueError(
            f'checkpoint {checkpoint} is of another encoder: {encoder.get("type")} of '
            f'{cfg.filename} takes no {foreign[0]}'
        )
    _merge(encoder, state)
    if is_open(cfg.model) and not encoder_class(encoder).searchable:
        raise ValueError(f'checkpoint {checkpoint} holds no routes; it is not a branched network')


def _merge(cfg: dict[str, Any], state: Mapping[str, Any]) -> None:
    """Replace values of a config, those of nested dicts one by one."""
    for key, value in state.items():
        if isinstance(value, Mapping) and isinstance(cfg.get(key), dict):
            _merge(cfg[key], value)
        else:
            cfg[key] = value
