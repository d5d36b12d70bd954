"""Measured time of a module, the resource of last resort: true, but noisy and of one machine."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import Timer

from bmtas.resources.counting import evaluation_mode


def measure_latency(module: nn.Module, *inputs: Any, min_run_time: float = 0.2) -> int:
    """Median time of one forward pass in microseconds (evaluation mode, no gradients).

    torch's benchmark timer repeats the call for ``min_run_time`` seconds after a warm-up and
    waits for the device; threads are those of ``torch.get_num_threads()``.
    """
    timer = Timer(
        'module(*inputs)',
        globals=dict(module=module, inputs=inputs),
        num_threads=torch.get_num_threads(),
    )
    with evaluation_mode(module), torch.no_grad():
        timer.timeit(1)
        return max(1, round(1e6 * timer.blocked_autorange(min_run_time=min_run_time).median))
