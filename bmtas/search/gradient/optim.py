"""One optimizer for the weights, one for alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapperDict
from torch import nn

from bmtas.engine import unwrap
from bmtas.engine.optim import build_wrapper
from bmtas.registry import OPTIM_WRAPPER_CONSTRUCTORS
from bmtas.search.gradient.updates import split_parameters


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
            weights=build_wrapper(self.cfg['weights'], weights),
            alpha=build_wrapper(self.cfg['alpha'], alpha),
        )
