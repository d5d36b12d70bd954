"""Which parameters an optimizer gets, and at which learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from bmtas.engine.dist import unwrap
from bmtas.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


def build_wrapper(cfg: Mapping[str, Any], parameters: list) -> OptimWrapper:
    """Build an optimizer of these parameters (or groups) and its wrapper."""
    options = dict(cfg)
    optimizer = OPTIMIZERS.build(dict(options.pop('optimizer'), params=parameters))
    options.setdefault('type', 'OptimWrapper')
    return OPTIM_WRAPPERS.build(dict(options, optimizer=optimizer))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class SharedLRConstructor:
    """Divides the learning rate of a block by the number of tasks that share it.

    The gradient of a shared block is the sum of its tasks' gradients. The counts come from the
    encoder's ``parts``; heads keep the full rate.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with ``optimizer``.
        paramwise_cfg: ``dict(shared_lr=False)`` switches the division off.

    Raises:
        ValueError: Other keys in ``paramwise_cfg``.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        options = dict(paramwise_cfg or {})
        self.enabled = options.pop('shared_lr', True)
        if options:
            raise ValueError(
                f'optim_wrapper.paramwise_cfg.{next(iter(options))}: unknown key; known: shared_lr'
            )
        self.cfg = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapper; one group of parameters for each number of sharing tasks."""
        model = unwrap(model)
        sharing = {
            id(parameter): max(1, len(part.tasks))
            for part in (model.encoder.parts() if self.enabled else ())
            for parameter in part.module.parameters()
        }
        groups: dict[int, list[nn.Parameter]] = {}
        for parameter in model.parameters():
            if parameter.requires_grad:
                groups.setdefault(sharing.get(id(parameter), 1), []).append(parameter)
        rate = self.cfg['optimizer'].get('lr')
        if rate is None:
            raise ValueError('optim_wrapper.optimizer.lr: must be given')
        # the unshared group first: its rate is the one that stands in the log
        parameters = [dict(params=groups[n], lr=rate / n) for n in sorted(groups)]
        return build_wrapper(self.cfg, parameters)
