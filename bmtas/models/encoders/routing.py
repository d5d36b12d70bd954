"""Routing weights of the supergraph: Gumbel-softmax samples and the weighted sum of candidates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gumbel_softmax(
    logits: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
    hard: bool = False,
    floor: float = 0.0,
    top_k: int | None = None,
) -> Tensor:
    """Sample from the Gumbel-softmax distribution over the last dimension.

    Jang et al., "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017. The noise is
    drawn on the generator's device, so that one seed gives one sample on every device.

    Args:
        logits: (..., K).
        temperature: > 0; towards 0 the samples become one-hot.
        generator: Source of the noise.
        hard: Return exact one-hot rows whose gradient is the soft sample's (straight-through).
        floor: Weights below it become exact zeros and the others are scaled to the sum 1: the
            softmax over those that remain. Its gradient for the logits that it drops is zero.
        top_k: Only the largest k weights of a row stay, in the same way: k draws without
            replacement (Kool et al., "Stochastic Beams and Where to Find Them", ICML 2019).

    Returns:
        (..., K) weights, each row summing to 1.

    Raises:
        ValueError: Temperature not positive, or a floor under which all weights could lie.
    """
    if not 0 <= floor < 1 / logits.shape[-1]:
        raise ValueError(f'floor: must be below 1 / {logits.shape[-1]} candidates, got {floor}')
    if temperature <= 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
    device = logits.device if generator is None else generator.device
    noise = torch.empty(logits.shape, dtype=torch.float32, device=device)
    noise = -noise.exponential_(generator=generator).clamp_min_(1e-20).log_()
    scores = (logits + noise.to(logits)) / temperature
    soft = scores.softmax(dim=-1)
    if not hard and (floor or top_k):
        dropped = soft.detach() < floor
        if top_k:
            dropped.scatter_(-1, scores.detach().argsort(-1)[..., :-top_k], True)
        soft = scores.masked_fill(dropped, -torch.inf).softmax(dim=-1)
    return StraightThrough.apply(soft) if hard else soft


class StraightThrough(torch.autograd.Function):
    """One-hot of the largest entry forward, identity backward; the forward value is exact."""

    @staticmethod
    def forward(ctx, soft: Tensor) -> Tensor:
        return torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad


def mix(outputs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Weighted sum of candidates' outputs.

    Args:
        outputs: k tensors of one shape.
        weights: (k,), float32 also when the outputs are bfloat16.
    """
    return _Mix.apply(weights, *outputs)


class _Mix(torch.autograd.Function):
    """Accumulates in place; keeps the outputs only if the weights want a gradient."""

    @staticmethod
    def forward(ctx, weights: Tensor, *outputs: Tensor) -> Tensor:
        kept = outputs if ctx.needs_input_grad[0] else ()
        ctx.save_for_backward(weights, *kept)
        scales = weights.to(outputs[0].dtype)
        total = outputs[0] * scales[0]
        for output, scale in zip(outputs[1:], scales[1:]):
            total.addcmul_(output, scale)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        weights, *outputs = ctx.saved_tensors
        to_weights = None
        if outputs:
            wide = torch.promote_types(grad.dtype, torch.float32)
            products = [(grad * output).sum(dtype=wide) for output in outputs]
            to_weights = torch.stack(products).to(weights.dtype)
        scales = weights.to(grad.dtype)
        needed = ctx.needs_input_grad[1:]
        return to_weights, *(grad * s if n else None for s, n in zip(scales, needed))
