"""Print the environment, for a report of a bug."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata

from bmtas import __version__
from bmtas.cli.base import ToolParser

PACKAGES = (
    *('torch', 'torchvision', 'mmengine', 'onedl-mmengine', 'mmcv-lite', 'fvcore', 'numpy'),
    *('scipy', 'scikit-image', 'opencv-python', 'pillow', 'numba', 'torchjd', 'timm'),
    *('onnx', 'onnxruntime', 'setuptools'),
)


def environment() -> dict[str, str]:
    """Versions, cores and GPUs, by name."""
    import torch

    found = dict(bmtas=__version__, python=platform.python_version(), system=platform.platform())
    found['cpu'] = f'{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch'
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    found['gpu'] = ', '.join(gpus) or 'none'
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = 'not installed'
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    ToolParser('env', description='Print versions, processors and GPUs.').parse_args(argv)
    for name, value in environment().items():
        print(f'{name:<16}{value}')
