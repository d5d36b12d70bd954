"""The penalty that keeps a network's activations near a reference's."""

from __future__ import annotations

from torch import Tensor, nn

from bmtas.sharing.ops import Reference, operators

SIDES = ('input', 'output')

# children of a ViT's block besides the operators whose outputs the public code penalises
_REFERENCE_POINTS = ('norm1', 'act')


def penalised(module: nn.Module, side: str) -> list[tuple[str, nn.Module]]:
    """Modules whose inputs or outputs are penalised, by name.

    Inputs of the operators are what thresholds on inputs look at. On the output side they are the
    public code's six of a ViT block: norm1, qkv, proj, fc1, act, fc2.
    """
    points = operators(module)
    if side == 'output':
        points += [
            (n, m) for n, m in module.named_modules() if n.split('.')[-1] in _REFERENCE_POINTS
        ]
    return points


class AlignPenalty:
    """Mean absolute difference over all entries of all places.

    The public code takes the sum, whose weight depends on batch and resolution.
    """

    def __init__(self, side: str) -> None:
        self.side, self.total, self.entries = side, 0.0, 0

    def add(self, x: Tensor, y: Tensor, reference: Reference) -> None:
        """Add one module's difference; no gradient flows into the reference."""
        value, old = (x, reference[0]) if self.side == 'input' else (y, reference[1])
        self.total = self.total + (value.float() - old.detach().float()).abs().sum()
        self.entries += value.numel()

    def mean(self) -> Tensor:
        """The penalty; 0 where nothing was compared."""
        return self.total / max(self.entries, 1)
