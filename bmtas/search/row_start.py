"""Branched networks that start from a trained shared one: its weights, its optimizer's moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import nn

from bmtas.engine import unwrap


def names_in_shared(model: nn.Module) -> dict[str, str]:
    """Names of a branched network's weights -> those in the shared one: the first copy's."""
    first: dict[int | None, str] = {}
    prefixes = {}
    for part in model.encoder.parts():
        if part.layer is not None and part.layer >= 0:
            name = first.setdefault(part.layer, part.name)
            prefixes[f'encoder.{part.name}.'] = f'encoder.{name}.'
    return {
        own: next((b + own[len(a) :] for a, b in prefixes.items() if own.startswith(a)), own)
        for own in model.state_dict()
    }


class StartHook(Hook):
    """Starts a training from a shared network: every copy from the one layer, moments too."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self.start = start

    def before_train(self, runner: Any) -> None:
        """Load, unless the run goes on from its own checkpoint."""
        if runner.iter:
            return
        model, state = unwrap(runner.model), self.start['state']
        shared = names_in_shared(model)
        model.load_state_dict({own: state[name] for own, name in shared.items()})
        moments = self.start.get('moments') or {}
        optimizer = runner.optim_wrapper.optimizer
        for name, parameter in model.named_parameters():
            for key, value in moments.get(shared[name], {}).items():
                place = value if value.dim() == 0 else value.to(parameter.device)
                optimizer.state[parameter][key] = place.clone()


def end_state(model: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Weights, and the optimizer's moments by parameter."""
    state = {k: v.cpu() for k, v in model.state_dict().items()}
    if optimizer is None:
        return dict(state=state)
    moments = {
        name: {k: v.detach().cpu() for k, v in optimizer.state[p].items() if torch.is_tensor(v)}
        for name, p in model.named_parameters()
        if p in optimizer.state
    }
    return dict(state=state, moments=moments)
