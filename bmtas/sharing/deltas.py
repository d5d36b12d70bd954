"""The difference between a task's network and the base network, tensor by tensor."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.registry import MODELS
from bmtas.sharing import gates
from bmtas.sharing.rows import LowRankProduct

Product = Callable[[Tensor, Tensor], None]


class Delta(nn.Module):
    """The delta of one tensor; a subclass says how it is made.

    ``forward(base)`` gives the task's tensor, ``product`` how the delta of a weight is applied to
    rows without making it dense, ``cost`` what that takes.
    """

    def forward(self, base: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The task's tensor; with a generator a draw of its gates, if it has any."""
        raise NotImplementedError

    def dense(self) -> Tensor:
        """The delta as it is evaluated, of the base's shape."""
        raise NotImplementedError

    def nonzero(self) -> int:
        """Stored values."""
        raise NotImplementedError

    def product(self, bias: Tensor | None = None) -> Product:
        """``product(y, x)`` adds dW x + dc to rows y (R, d_out), for rows x (R, d_in).

        It holds the delta as it is now.
        """
        raise NotImplementedError

    def cost(self) -> int:
        """Multiply-adds of a product for each row."""
        return self.nonzero()


@MODELS.register_module()
class SparseDelta(Delta):
    """theta = base + m * delta.

    With gates (stage ``gates``) m = g z, with a hard-concrete gate z for every weight and one g
    for the tensor; gradients are autograd's, there is no straight-through step. Without gates m is
    the boolean ``support``. delta is 0 at first.

    Args:
        base: The base tensor; its shape, type and device count.
        gated: Whether there are gates.
        alpha: Logit of all gates at first; 5 opens a gate with probability 0.993.

    Attributes:
        delta, alpha, alpha_tensor: Parameters.
        support: Boolean buffer.
    """

    def __init__(self, base: Tensor, gated: bool = False, alpha: float = 5.0) -> None:
        super().__init__()
        self.delta = nn.Parameter(torch.zeros_like(base))
        self.gated = gated
        if gated:
            self.alpha = nn.Parameter(torch.full_like(base, alpha))
            self.alpha_tensor = nn.Parameter(base.new_full((), alpha))
        else:
            self.register_buffer('support', torch.ones_like(base, dtype=torch.bool))

    def forward(self, base: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Base plus masked delta; a draw of the gates with a generator, else deterministic ones."""
        return base + self._mask(generator) * self.delta

    def _mask(self, generator: torch.Generator | None) -> Tensor:
        if not self.gated:
            return self.support
        if generator is None:
            return gates.gate(self.alpha_tensor) * gates.gate(self.alpha)
        noise = gates.logistic_noise(self.alpha, generator)
        own = gates.logistic_noise(self.alpha_tensor, generator)
        # gates stay in float32 whatever autocast makes of the rest
        return gates.gate(self.alpha_tensor, own) * gates.gate(self.alpha, noise)

    def penalty(self, form: str) -> Tensor:
        """Expected number of open gates: 'sum' adds those of weights and tensor, 'product' is L0.

        The sum is the public code's; in truth a weight is open if both its gates are.
        """
        weights = gates.probability_open(self.alpha).sum()
        tensor = gates.probability_open(self.alpha_tensor)
        return weights + tensor if form == 'sum' else weights * tensor

    def score(self) -> Tensor:
        """|E[g z] delta|, by which weights are kept."""
        mask = gates.expected_gate(self.alpha) * gates.expected_gate(self.alpha_tensor)
        return (mask * self.delta).abs().detach()

    def dense(self) -> Tensor:
        """Masked delta."""
        return (self._mask(None) * self.delta).detach()

    def nonzero(self) -> int:
        """Weights in the support."""
        mask = self.support if not self.gated else self._mask(None) > 0
        return int(mask.sum())

    def product(self, bias: Tensor | None = None) -> Product:
        """By a sparse matrix in CSR form."""
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # torch calls its CSR matrices a beta version
            weight = self.dense().flatten(1).to_sparse_csr()
        shift = 0.0 if bias is None else bias

        def add(y: Tensor, x: Tensor) -> None:
            y.add_((weight @ x.t()).t()).add_(shift)

        return add


@MODELS.register_module()
class LowRankDelta(Delta):
    """theta = base + B A for matrices and convolutions (flattened to d_out x d_in), dense else.

    Hu et al., "LoRA", ICLR 2022: A is random, B zero at first. Vectors, that is biases and the
    scales and shifts of norms, have a plain delta.

    Args:
        base: The base tensor.
        rank: r.

    Raises:
        ValueError: r is no positive number up to the smaller side of the weight.
    """

    def __init__(self, base: Tensor, rank: int, gated: bool = False) -> None:
        super().__init__()
        self.shape = tuple(base.shape)
        if base.dim() < 2:
            self.delta = nn.Parameter(torch.zeros_like(base))
            return
        sides = base.flatten(1).shape
        if not 1 <= rank <= min(sides):
            raise ValueError(
                f'model.encoder.delta.rank: {rank} must be 1 to {min(sides)}, the smaller side of '
                f'a weight {self.shape}'
            )
        self.a = nn.Parameter(torch.randn_like(base.flatten(1)[:rank]) / sides[1] ** 0.5)
        self.b = nn.Parameter(base.new_zeros(sides[0], rank))

    @property
    def is_matrix(self) -> bool:
        """Whether the delta is a product of factors."""
        return len(self.shape) > 1

    def forward(self, base: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Base plus delta."""
        return base + self._delta()

    def _delta(self) -> Tensor:
        return (self.b @ self.a).view(self.shape) if self.is_matrix else self.delta

    def dense(self) -> Tensor:
        """B A, or the vector."""
        return self._delta().detach()

    def nonzero(self) -> int:
        """Values of both factors."""
        return sum(p.numel() for p in self.parameters())

    def product(self, bias: Tensor | None = None) -> Product:
        """By both factors in turn."""
        a, b = self.a.detach(), self.b.detach().t().contiguous()
        return LowRankProduct(a, b, b.new_zeros(b.shape[1]) if bias is None else bias.detach())


class OwnBuffer(nn.Module):
    """A task's own copy of a buffer of the base, e.g. a batch norm's running mean."""

    def __init__(self, base: Tensor) -> None:
        super().__init__()
        self.register_buffer('value', base.clone())

    def forward(self, base: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The task's buffer, which the norm updates in place."""
        return self.value


class TaskDelta(nn.Module):
    """The deltas of one task: a tree of modules under the names of the base's tensors.

    Args:
        base: Stem and layers by name, e.g. ``layers.3``; those of the shared prefix left out.
        cfg: Config of a delta (registry MODELS).
        gated: Whether the stage learns gates.
    """

    def __init__(
        self, base: Mapping[str, nn.Module], cfg: Mapping[str, Any], gated: bool = False
    ) -> None:
        super().__init__()
        for place, module in base.items():
            for name, tensor in module.named_parameters():
                delta = MODELS.build(dict(cfg, base=tensor.detach(), gated=gated))
                _attach(self, f'{place}.{name}', delta)
            for name, tensor in module.named_buffers():
                _attach(self, f'{place}.{name}', OwnBuffer(tensor))

    def deltas(self) -> Iterator[tuple[str, Delta]]:
        """Name of the base's tensor and its delta, for all parameters."""
        return ((n, m) for n, m in self.named_modules() if isinstance(m, Delta))

    def tensors(
        self, place: str, module: nn.Module, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The task's parameters and buffers of one part of the base, by name inside it."""
        tensors = (*module.named_parameters(), *module.named_buffers())
        return {n: self.get_submodule(f'{place}.{n}')(t, generator) for n, t in tensors}


def _attach(root: nn.Module, name: str, leaf: nn.Module) -> None:
    *path, last = name.split('.')
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root._modules[part]
    root.add_module(last, leaf)
