"""From a routed network and its checkpoint to the network of some of its tasks, as a config and
weights like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from bmtas.engine import load_model, require, select_tasks
from bmtas.files import atomic_path, make_folder
from bmtas.models import MultiTaskModel
from bmtas.registry import MODELS
from bmtas.resources import count_params, count_run, measure_latency
from bmtas.sealed import save_state
from bmtas.task_routing.compact import CompactEncoder
from bmtas.task_routing.hooks import MaskFileHook, RoamingHook
from bmtas.task_routing.routed import RoutedEncoder

CONFIG, WEIGHTS = 'config.py', 'model.pth'


def extract(
    config: str | Path,
    checkpoint: str | Path,
    tasks: Sequence[str],
    out: str | Path,
    fold: bool = False,
    options: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, int]]:
    """Write ``config.py`` and ``model.pth`` of the sub-network of some tasks.

    Args:
        config, checkpoint: Of a routed network.
        tasks: Names.
        out: Folder to write to.
        fold: Fold batch norms into the convolutions before them.
        options: Overrides of the config by dotted key.

    Returns:
        ``before`` and ``after``: ``madds``, ``params`` and ``latency`` (us) of one image for these
        tasks, of the masked and of the compact network.

    Raises:
        ValueError: No routed network, an unknown task, or a result that would not be exact.
    """
    cfg, model = load_model(config, checkpoint, options, 'cpu')
    require(cfg, 'input_size')
    encoder = model.encoder
    if not isinstance(encoder, RoutedEncoder):
        raise ValueError(
            f'{config}: model.encoder.type: {type(encoder).__name__} is not routed; extract needs '
            'a RoutedEncoder'
        )
    names = list(dict.fromkeys(tasks))
    encoder.task_indices(names)
    names = [name for name in encoder.tasks if name in names]
    before = _cost(model, cfg, tasks=names)
    small = encoder.compact(names, fold)
    _rewrite(cfg, small, names, fold)
    new = MODELS.build(cfg.model)
    new.encoder.load_state_dict(small.state_dict())
    for name in names:
        new.heads[name].load_state_dict(small.slice_head(model.heads[name], name).state_dict())
    folder = make_folder(out)
    with atomic_path(folder / CONFIG) as part:
        cfg.dump(str(part))
    save_state(folder / WEIGHTS, dict(state_dict=new.state_dict(), meta={}, encoder={}))
    return dict(before=before, after=_cost(new.eval(), cfg))


def _rewrite(cfg: Config, small: CompactEncoder, names: Sequence[str], fold: bool) -> None:
    """Make the config of a routed network that of the compact one."""
    select_tasks(cfg, names)
    old = cfg.model.encoder
    encoder = dict(
        type='CompactEncoder',
        backbone=dict(old.backbone, weights=None),
        masks=small.masks.content(),
        norm=old.get('norm', 'per_task_stats'),
        first_layer=old.get('first_layer', 0),
        fold=fold,
    )
    cfg.model.pop('encoder')
    cfg.model.encoder = encoder
    gone = {MaskFileHook.__name__, RoamingHook.__name__}
    cfg.custom_hooks = [h for h in cfg.get('custom_hooks') or () if h['type'] not in gone]
    cfg.pop('work_dir', None)


def _cost(model: MultiTaskModel, cfg: Config, **routing: Any) -> dict[str, int]:
    size = cfg.input_size
    names = routing.get('tasks') or list(model.heads)
    counted = count_run(model, size, **routing)
    heads = sum(count_params(model.heads[name]) for name in names)
    image = torch.zeros(1, 3, *size).to(memory_format=model.memory_format)
    latency = measure_latency(model, image, None, 'tensor', names)
    return dict(madds=counted['madds'], params=count_params(model.encoder) + heads, latency=latency)
