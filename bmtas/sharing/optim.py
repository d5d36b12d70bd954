"""Learning rates of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.optim import LinearLR, OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from bmtas.engine import unwrap
from bmtas.engine.optim import build_wrapper
from bmtas.models.encoders import STEM
from bmtas.registry import OPTIM_WRAPPER_CONSTRUCTORS

KEYS = ('gate_lr', 'gate_decay', 'layer_decay')


@PARAM_SCHEDULERS.register_module()
class CoolDownLR(LinearLR):
    """A constant learning rate that falls linearly at the end of a run, whatever its length.

    Args:
        share: Share of the run that it falls in, in (0, 1].
        end_factor: Factor of the last update.
        end: Length of the run, which the runner fills in.

    Raises:
        ValueError: A share out of range.
    """

    def __init__(
        self,
        optimizer: Any,
        share: float = 1 / 3,
        end_factor: float = 0.05,
        *,
        end: int,
        **more: Any,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f'CoolDownLR: share must be in (0, 1], got {share}')
        begin = min(round(end * (1 - share)), end - 2)
        super().__init__(
            optimizer, start_factor=1.0, end_factor=end_factor, begin=max(0, begin), end=end, **more
        )


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SharingOptimWrapperConstructor:
    """Gates have a learning rate and a decay of their own; vectors are not decayed.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer``.
        paramwise_cfg: ``gate_lr`` (0.1) and ``gate_decay`` (0) of the gates' logits. The public
            code's decay of 0.01 is what its sparsity comes from. ``layer_decay`` (1): factor on the
            learning rate for each layer that the base's layer lies below the head, stem included.

    Raises:
        ValueError: Other keys in ``paramwise_cfg``.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        options = dict(paramwise_cfg or {})
        unknown = [key for key in options if key not in KEYS]
        if unknown:
            raise ValueError(
                f'optim_wrapper.paramwise_cfg.{unknown[0]}: unknown key; known: {", ".join(KEYS)}'
            )
        self.gate_lr = options.get('gate_lr', 0.1)
        self.gate_decay = options.get('gate_decay', 0.0)
        self.layer_decay = options.get('layer_decay', 1.0)
        self.cfg = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper, of the parameters that the stage trains."""
        encoder = unwrap(model).encoder
        optimizer, depth = self.cfg['optimizer'], {}
        for part in encoder.parts():
            if part.layer is not None:
                below = encoder.num_layers - (0 if part.layer == STEM else part.layer + 1)
                depth.update({id(p): below for p in part.module.parameters()})
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in unwrap(model).named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self._rates(name, parameter, depth, optimizer), []).append(
                    parameter
                )
        # the largest ordinary rate first: it is the one that stands in the log
        keys = sorted(groups, key=lambda key: (key[0] != optimizer['lr'], -key[0], -key[1]))
        parameters = [dict(params=groups[k], lr=k[0], weight_decay=k[1]) for k in keys]
        return build_wrapper(self.cfg, parameters)

    def _rates(
        self, name: str, parameter: nn.Parameter, depth: Mapping[int, int], optimizer: Mapping
    ) -> tuple[float, float]:
        """Learning rate and decay of one parameter."""
        if name.rpartition('.')[2] in ('alpha', 'alpha_tensor') and '.deltas.' in name:
            return self.gate_lr, self.gate_decay
        decay = optimizer.get('weight_decay', 0.0) if parameter.dim() > 1 else 0.0
        return optimizer['lr'] * self.layer_decay ** depth.get(id(parameter), 0), decay
