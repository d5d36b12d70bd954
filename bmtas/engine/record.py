"""Who ran what where: command lines and environments of a work dir."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only

from bmtas import __version__
from bmtas.files import append_line, make_folder, read_text

COMMANDS = 'commands.jsonl'
PACKAGES = (
    *('torch', 'torchvision', 'mmengine', 'onedl-mmengine', 'mmcv-lite', 'fvcore', 'numpy'),
    *('scipy', 'scikit-image', 'opencv-python', 'pillow', 'numba', 'torchjd', 'timm'),
    *('onnx', 'onnxruntime', 'setuptools'),
)


def environment() -> dict[str, str]:
    """Versions, cores and GPUs, by name."""
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


@master_only
def record_command(work_dir: str | Path) -> None:
    """Add this process's command line and environment to ``commands.jsonl`` of a work dir."""
    row = dict(
        time=datetime.datetime.now().isoformat(' ', 'seconds'),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        environment=environment(),
    )
    append_line(make_folder(work_dir) / COMMANDS, json.dumps(row))


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a file of JSON lines; none if there is no file, and what a kill cut off is left."""
    rows = []
    for line in read_text(path).splitlines() if Path(path).is_file() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(row, dict):
            break
        rows.append(row)
    return rows
