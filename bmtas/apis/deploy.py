"""Export a trained network for other runtimes, and prove that the export computes the same."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmtas.files import atomic_path

FORMATS = ('onnx', 'torch-export')
OPSET = 18


class Deployed(nn.Module):
    """A network as one function: images in, one output per task, nothing else needed.

    Input: (N, 3, H, W) float32 RGB, 0 to 255; the normalisation is inside. Output: a tuple in the
    order of ``names``, as the task's kind activates logits: maps (N, [C,] H, W), classes int64;
    probabilities (N, C) of image-level tasks.

    Args:
        model: A ``MultiTaskModel`` with weights; it is taken over.
        tasks: Names of the tasks; all by default.
    """

    def __init__(self, model: Any, tasks: Sequence[str] | None = None) -> None:
        super().__init__()
        self.tasks = model.select(tasks)
        self.names = [task.name for task in self.tasks]
        model.encoder, model.tasks = model.encoder.for_export(self.names), tuple(self.tasks)
        model.heads = nn.ModuleDict({name: model.heads[name] for name in self.names})
        # the layout of the weights is of no use to an exported program
        self.model = model.eval().to(memory_format=torch.contiguous_format)
        self.model.memory_format = torch.contiguous_format
        self.register_buffer('mean', model.data_preprocessor.mean.clone())
        self.register_buffer('std', model.data_preprocessor.std.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.model((images - self.mean) / self.std, mode='tensor')
        return tuple(task.kind.activate(logits[task.name]) for task in self.tasks)


def export(
    model: Any,
    path: str | Path,
    fmt: str,
    input_size: Sequence[int],
    batch_size: int = 1,
    tasks: Sequence[str] | None = None,
    dynamic: bool = False,
) -> dict[str, float]:
    """Export a network and compare the export with the original on random images.

    Args:
        model: A ``MultiTaskModel`` with weights; it is moved to the CPU.
        path: File to write.
        fmt: ``onnx`` or ``torch-export`` (a program for ``torch.export.load``).
        input_size: (H, W) of the images.
        batch_size: Number of images in a batch.
        tasks: Names of the tasks that the export predicts; all by default.
        dynamic: ONNX for batches and images of any size; compared at a second size, too.

    Returns:
        Largest difference of each task's output; of class ids the part that differs.

    Raises:
        ValueError: Unknown format, a missing package, or an export that computes something else.
    """
    if fmt not in FORMATS:
        raise ValueError(f'--format: unknown {fmt!r}, choose from {list(FORMATS)}')
    if fmt == 'onnx':
        _require_onnx()
    elif dynamic:
        raise ValueError('--dynamic: sizes that vary are for --format onnx')
    network = Deployed(model.cpu().eval(), tasks).eval()
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, 3, *input_size)
    images = 255 * torch.rand(shape, generator=generator)
    batches = [images]
    if dynamic:
        other = (batch_size + 1, 3, input_size[0] + 17, input_size[1] + 34)
        batches.append(255 * torch.rand(other, generator=generator))
    path = Path(path)
    with torch.no_grad(), atomic_path(path) as part:
        if fmt == 'onnx':
            run = _export_onnx(network, images, part, dynamic)
        else:
            run = _export_program(network, images, part)
        # a file that computes something else does not replace one that does not
        found = [_compare(network, network(batch), run(batch), path) for batch in batches]
    return {name: max(part[name] for part in found) for name in found[0]}


def _export_program(network: Deployed, images: Tensor, path: Path) -> Callable:
    program, buffer = torch.export.export(network, (images,)), io.BytesIO()
    # torch's own writer ends the process where the disk is full
    torch.export.save(program, buffer)
    path.write_bytes(buffer.getbuffer())
    return torch.export.load(path).module()


def _require_onnx() -> None:
    missing = [name for name in ('onnx', 'onnxscript') if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(
            f"--format onnx needs {' and '.join(missing)}: pip install '.[export]', "
            'or take --format torch-export'
        )


def _export_onnx(network: Deployed, images: Tensor, path: Path, dynamic: bool) -> Callable:
    any_size = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        network,
        (images,),
        dynamo=True,
        opset_version=OPSET,
        input_names=['images'],
        output_names=network.names,
        dynamic_shapes=({0: any_size, 2: any_size, 3: any_size},) if dynamic else None,
        verbose=False,
    )
    program.save(str(path))
    return lambda batch: _run_onnx(path, batch)


def _run_onnx(path: Path, images: Tensor) -> list[Tensor]:
    """Run a file with onnxruntime if there is one, else with ONNX's reference implementation."""
    if importlib.util.find_spec('onnxruntime'):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    else:
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(str(path))
    return [torch.as_tensor(out) for out in session.run(None, {'images': images.numpy()})]


def _compare(
    network: Deployed, expected: Sequence[Tensor], found: Sequence[Tensor], path: Path
) -> dict[str, float]:
    differences = {}
    for task, a, b in zip(network.tasks, expected, found):
        if a.shape != b.shape:
            raise ValueError(f'{path}: {task.name} is {tuple(b.shape)}, not {tuple(a.shape)}')
        if not a.is_floating_point():
            # ties between classes may fall either way
            difference, limit = float((a != b).double().mean()), 1e-3
        else:
            difference, limit = float((a - b).abs().max()), 1e-3 * float(a.abs().max()) + 1e-4
        if not difference <= limit:
            raise ValueError(
                f'{path}: the exported network differs from the original in {task.name} by '
                f'{difference:.3g}, allowed are {limit:.3g}'
            )
        differences[task.name] = difference
    return differences
