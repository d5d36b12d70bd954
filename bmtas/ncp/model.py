"""The multi-task network of a network code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from bmtas.models import MultiTaskModel
from bmtas.registry import MODELS
from bmtas.structures import Task

CostPart = tuple[nn.Module, tuple[Tensor, ...]]


class _Spread(nn.Module):
    """A module of a list of branches, called with the branches one by one."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *branches: Tensor) -> Tensor | tuple[Tensor, ...]:
        out = self.module(branches)
        return out if isinstance(out, Tensor) else tuple(out)


@MODELS.register_module()
class NetworkCodeModel(MultiTaskModel):
    """A MultiTaskModel whose encoder is the network of a code.

    Args:
        tasks: The task table.
        backbone: Config of a MultiResolutionNetwork; its key ``code`` is what a search found.
        head, data_preprocessor, channels_last, init_cfg: As in MultiTaskModel.
    """

    def __init__(
        self,
        tasks: Sequence[Mapping[str, Any] | Task],
        backbone: Mapping[str, Any],
        head: Mapping[str, Any],
        data_preprocessor: Mapping[str, Any] | None = None,
        channels_last: bool = True,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        encoder = dict(type='MultiResolutionEncoder', backbone=backbone)
        super().__init__(tasks, encoder, head, data_preprocessor, channels_last, init_cfg)

    def cost_parts(self, image: Tensor) -> dict[str, Any]:
        """What the resource model counts: each part with the tensors that it is called with.

        Args:
            image: (1, 3, H, W) on the device of the model.

        Returns:
            dict(stem, layers, heads): a (module, inputs) pair, pairs by the name of each entry of
            the code's body (``stage2.1`` is the second of stage 2) and ``fuse``, pairs by task.
        """
        network, parts = self.encoder.branches, {}
        branches = (network.stem(image),)
        names = [
            f'stage{stage}.{entry}'
            for stage, (repeats, *_) in enumerate(network.code.stages(), start=1)
            for entry in range(repeats)
        ]
        for name, layer in zip(names, network.body, strict=True):
            parts[name] = (_Spread(layer), branches)
            branches = parts[name][0](*branches)
        parts['fuse'] = (_Spread(self.encoder.fuse), branches)
        features = (parts['fuse'][0](*branches), branches[0])
        return dict(
            stem=(network.stem, (image,)),
            layers=parts,
            heads={name: (head, features) for name, head in self.heads.items()},
        )
