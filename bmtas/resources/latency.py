"""Measured time of a module, the resource of last resort: true, but noisy and of one machine."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.benchmark import Timer

from bmtas.resources.counting import evaluation_mode, materialised

ONNX = 'onnxruntime'
"""The device that stands for ONNX Runtime on the CPU, beside torch's devices."""


def measure_latency(
    module: nn.Module,
    *inputs: Any,
    min_run_time: float = 0.2,
    clock: Callable[[], float] | None = None,
) -> int:
    """Median time of one forward pass in microseconds (evaluation mode, no gradients).

    torch's benchmark timer repeats the call for ``min_run_time`` seconds after a warm-up and
    waits for the device; threads are those of ``torch.get_num_threads()``.

    Args:
        module, inputs: What runs, see ``on_device``.
        min_run_time: Seconds of repetitions.
        clock: Seconds, e.g. ``time.process_time`` for one thread of a machine that others use, too.
    """
    timer = Timer(
        'module(*inputs)',
        globals=dict(module=module, inputs=inputs),
        num_threads=torch.get_num_threads(),
        **({} if clock is None else dict(timer=clock)),
    )
    with evaluation_mode(module), torch.no_grad():
        timer.timeit(1)
        return max(1, round(1e6 * timer.blocked_autorange(min_run_time=min_run_time).median))


def on_device(module: nn.Module, inputs: tuple[Any, ...], device: str) -> tuple[Any, ...]:
    """A module and its inputs, (module, *inputs), ready to be timed; all numbers are zeros.

    Args:
        module, inputs: On the meta device or another.
        device: A device of torch, or ``onnxruntime``: the module is exported to ONNX and run by
            ONNX Runtime on the CPU.

    Raises:
        ValueError: ONNX Runtime or the exporter is missing.
    """
    if device != ONNX:
        return materialised(module, inputs, device)
    real, *tensors = materialised(module, inputs)
    return _Session(real, tensors), *tensors


class _Session(nn.Module):
    """A module as a session of ONNX Runtime with as many threads as torch uses."""

    def __init__(self, module: nn.Module, inputs: list[Any]) -> None:
        super().__init__()
        missing = [n for n in (ONNX, 'onnx', 'onnxscript') if not importlib.util.find_spec(n)]
        if missing:
            raise ValueError(
                f'resources.device: onnxruntime needs {" and ".join(missing)}: pip install '
                "'.[export]'"
            )
        import onnxruntime

        file = io.BytesIO()
        with torch.no_grad(), redirect_stdout(io.StringIO()):
            torch.onnx.export(module.eval(), tuple(inputs), dynamo=True, verbose=False).save(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = ['CPUExecutionProvider']
        self.session = onnxruntime.InferenceSession(file.getvalue(), options, providers=providers)
        names = [entry.name for entry in self.session.get_inputs()]
        leaves = tree_leaves(inputs)
        self.feed = {name: x.contiguous().numpy() for name, x in zip(names, leaves, strict=True)}

    def forward(self, *inputs: Any) -> list[Any]:
        """Run what was exported, on zeros, whatever the inputs are."""
        return self.session.run(None, self.feed)
