"""Which parameters an optimizer gets, and at which learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS
from torch import nn

from bmtas.engine.dist import unwrap
from bmtas.engine.updates import split_parameters
from bmtas.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS


def _wrap(cfg: Mapping[str, Any], parameters: list) -> OptimWrapper:
    """Build an optimizer of these parameters (or groups) and its wrapper."""
    options = dict(cfg)
    optimizer = OPTIMIZERS.build(dict(options.pop('optimizer'), params=parameters))
    options.setdefault('type', 'OptimWrapper')
    return OPTIM_WRAPPERS.build(dict(options, optimizer=optimizer))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BranchingOptimWrapperConstructor:
    """One optimizer for the weights of a supergraph, one for alpha.

    Args:
        optim_wrapper_cfg: ``dict(weights=..., alpha=...)``, each the config of an optimizer
            wrapper: ``dict(optimizer=dict(type=...))``.
        paramwise_cfg: Must be None.

    Raises:
        ValueError: Other groups than these two, or gradient accumulation.
    """

    def __init__(
        self, optim_wrapper_cfg: Mapping[str, Any], paramwise_cfg: Mapping[str, Any] | None = None
    ) -> None:
        groups = {key for key in optim_wrapper_cfg if key != 'type'}
        if groups != {'weights', 'alpha'}:
            raise ValueError(
                f'optim_wrapper: needs the groups weights and alpha, got {sorted(groups)}'
            )
        if paramwise_cfg is not None:
            raise ValueError('optim_wrapper.paramwise_cfg: not supported in a search')
        for name in groups:
            if optim_wrapper_cfg[name].get('accumulative_counts', 1) != 1:
                raise ValueError(
                    f'optim_wrapper.{name}.accumulative_counts: a search does not accumulate'
                )
        self.cfg = optim_wrapper_cfg

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Build both wrappers for a MultiTaskModel with a supergraph encoder."""
        model = unwrap(model)
        if not model.encoder.searchable:
            raise ValueError(
                'model.encoder: a search needs one with candidates (SupergraphEncoder), not '
                f'{type(model.encoder).__name__}'
            )
        weights, alpha = split_parameters(model)
        return OptimWrapperDict(
            weights=_wrap(self.cfg['weights'], weights), alpha=_wrap(self.cfg['alpha'], alpha)
        )


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
        return _wrap(self.cfg, parameters)
