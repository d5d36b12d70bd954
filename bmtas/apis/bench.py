"""Milliseconds of a tree's network beside those of shared and of single-task networks."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from bmtas.apis.deploy import Deployed, export
from bmtas.apis.eight_bits import require_runtime
from bmtas.branching import BranchingTree
from bmtas.engine import require
from bmtas.progress import progress
from bmtas.registry import MODELS
from bmtas.resources import without_weights


def networks(cfg: Config, tree: BranchingTree | None) -> dict[str, Any]:
    """Models with random weights: the tree's, one shared by all tasks, one for each task.

    Args:
        cfg: Config with a layered backbone.
        tree: None for the two extremes alone.

    Raises:
        ValueError: The config's encoder has no layered backbone.
    """
    model = without_weights(cfg.model.to_dict())
    if 'backbone' not in model.get('encoder', {}):
        raise ValueError(f'{cfg.filename}: model.encoder.backbone: missing, nothing to compare')
    backbone = model['encoder']['backbone']

    def build(**encoder: Any) -> Any:
        return MODELS.build({**model, 'encoder': dict(encoder, backbone=backbone)}).eval()

    found = {}
    if tree is not None:
        found['tree'] = build(type='BranchedEncoder', routes=tree.routes.tolist())
    found['shared'] = build(type='BranchedEncoder', routes='shared')
    found['single'] = build(type='SingleTaskEncoder')
    return found


def time_networks(
    cfg: Config,
    tree: BranchingTree | None = None,
    size: Sequence[int] | None = None,
    rounds: int = 20,
    onnx: bool = False,
) -> list[dict[str, Any]]:
    """Time the networks in turn, so that a busy machine hits all alike.

    Args:
        cfg: See ``networks``.
        tree: See ``networks``.
        size: (H, W); the config's ``input_size`` by default.
        rounds: Images for each network.
        onnx: Also with ONNX Runtime.

    Returns:
        For each network and runtime its ``name``, ``runtime``, median ``ms`` of one image, and
        ``ratio`` to the single-task networks in the same runtime.

    Raises:
        ValueError: ``onnx`` without ONNX Runtime, or see ``networks``.
    """
    if onnx:
        require_runtime('--onnx')
    if not size:
        require(cfg, 'input_size')
    size = list(size or cfg.input_size)
    image = 255 * torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    runs: dict[tuple[str, str], Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        for name, model in networks(cfg, tree).items():
            if onnx:
                runs[name, 'onnxruntime'] = _session(model, Path(scratch) / f'{name}.onnx', image)
            deployed = Deployed(model).eval()
            runs[name, 'torch'] = lambda deployed=deployed: deployed(image)
        times = _timed(runs, rounds)
    return [
        dict(name=name, runtime=runtime, ms=ms, ratio=ms / times['single', runtime])
        for (name, runtime), ms in times.items()
    ]


def _session(model: Any, path: Path, image: torch.Tensor) -> Callable[[], Any]:
    import onnxruntime

    with torch.inference_mode(False), torch.no_grad():
        export(model, path, 'onnx', image.shape[-2:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda: session.run(None, {'images': image.numpy()})


def _timed(runs: Mapping[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
    """Median milliseconds of each; the first call of each warms it up."""
    times: dict[Any, list[float]] = {key: [] for key in runs}
    for number in progress(range(rounds + 1), 'timing', rounds + 1):
        for key, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                times[key].append(1e3 * (time.perf_counter() - start))
    return {key: statistics.median(values) for key, values in times.items()}
