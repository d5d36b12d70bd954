"""What a config may hold: keys at the top level, of dicts without a type, narrower types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from mmengine import registry as mmengine_registry
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmengine.registry import Registry
from mmengine.runner import LogProcessor

from bmtas import registry as bmtas_registry
from bmtas.resources import CONVENTIONS
from bmtas.typed import ArgumentsOf, Count, Natural, NonNegative, Positive, Range, Size


def _dataloader(
    dataset: Mapping,
    batch_size: Count = 1,
    num_workers: Natural = 0,
    persistent_workers: bool = False,
    prefetch_factor: Count | None = None,
    shuffle: bool | None = None,
    sampler: Mapping | None = None,
    batch_sampler: Mapping | None = None,
    collate_fn: Mapping | Callable | None = None,
    worker_init_fn: Mapping | Callable | None = None,
    drop_last: bool = False,
    pin_memory: bool = False,
    timeout: NonNegative = 0,
    in_order: bool = True,
    multiprocessing_context: str | None = None,
    num_batch_per_epoch: Count | None = None,
) -> None:
    """The keys of a dataloader: arguments of torch's and of mmengine's function that builds it."""


def _environment(
    cudnn_benchmark: bool = False,
    mp_cfg: Mapping | None = None,
    dist_cfg: Mapping | None = None,
    resource_limit: Count = 4096,
    num_threads: Count | None = None,
) -> None:
    """The keys of ``env_cfg``: mmengine's, and the threads of torch's operators on a CPU."""


def _resources(
    convention: Literal[tuple(CONVENTIONS)] = 'mac',
    quantity: str = 'madds',
    device: str | None = None,
) -> None:
    """The keys of ``resources``."""


def _randomness(
    seed: Annotated[int, Range(0, 2**32 - 1)] | None = None,
    diff_rank_seed: bool = False,
    deterministic: bool = False,
) -> None:
    """The keys of ``randomness``."""


def _clip_grad(
    type: Literal['norm', 'value'] = 'norm',
    max_norm: Positive = 1,
    norm_type: Positive = 2,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
    clip_value: Positive = 1,
) -> None:
    """The keys of ``clip_grad``: the arguments of torch's two functions."""


def _imports(imports: str | Sequence[str], allow_failed_imports: bool = False) -> None:
    """The keys of ``custom_imports``."""


SIGNATURES: dict[str, Callable] = {
    'randomness': _randomness,
    'env_cfg': _environment,
    'resources': _resources,
    'custom_imports': _imports,
    **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader'), _dataloader),
}
"""Top-level dicts without a type, and the function whose arguments their keys are."""

_Typed = Mapping[str, Any] | None
TOP_LEVEL: dict[str, Any] = {
    # read by bmtas
    'tasks': Any,  # the task table; it is checked when it is built
    'method': str,  # name in results.json and in comparisons; else the folder of the config
    'input_size': Size,  # (H, W) at which resources are counted
    'data_root': str | None,  # folder handed to every data set that takes one
    'resources': Mapping,  # convention and quantity of the resource table
    'search': _Typed,  # a search strategy
    'budget': str | float | None,  # largest cost of the whole network that a search may find
    'branching': Mapping | None,  # routes of the branched network, written by a training
    # read by mmengine's Runner from the config itself
    'sync_bn': Literal['torch'] | bool | None,  # 'torch': batch statistics over all processes
    'find_unused_parameters': bool,  # for DistributedDataParallel
    'model_wrapper_cfg': _Typed,  # wrapper of the model in distributed runs
    'activation_checkpointing': Sequence[str] | Mapping | None,  # modules that recompute
    'compile': bool | Mapping,  # arguments of torch.compile
    'custom_imports': Mapping | Sequence[str] | str,  # modules to import before building
    # arguments of the Runner, narrower than there
    **dict.fromkeys(('model', 'visualizer', 'log_processor'), Mapping),
    **dict.fromkeys(('train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper'), _Typed),
    **dict.fromkeys(('train_dataloader', 'val_dataloader', 'test_dataloader'), _Typed),
    'default_hooks': Mapping[str, _Typed],
    'custom_hooks': Sequence[Mapping] | None,
    'param_scheduler': Mapping | Sequence[Mapping] | None,
    'val_evaluator': Mapping | Sequence[Mapping] | None,
    'test_evaluator': Mapping | Sequence[Mapping] | None,
    'env_cfg': Mapping,
    'randomness': Mapping,
    'launcher': Literal['none', 'pytorch', 'slurm', 'mpi'],
    'log_level': Literal['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'],
}
"""Types of the keys at the top level, besides the arguments of mmengine's Runner."""


def add_section(key: str, signature: Callable) -> None:
    """Let a config have a dict at the top level; its keys are the arguments of a function.

    For plug-ins, which call it when they are imported.
    """
    TOP_LEVEL[key], SIGNATURES[key] = Mapping, signature


# the registry that a nested dict(type=...) under this key is looked up in
REGISTRY_OF_KEY: Mapping[str, Registry] = {
    'model': bmtas_registry.MODELS,
    'loss': bmtas_registry.MODELS,
    'metric': bmtas_registry.METRICS,
    'dataset': bmtas_registry.DATASETS,
    'datasets': bmtas_registry.DATASETS,
    'pipeline': bmtas_registry.TRANSFORMS,
    'transforms': bmtas_registry.TRANSFORMS,
    'sampler': bmtas_registry.DATA_SAMPLERS,
    'batch_sampler': bmtas_registry.DATA_SAMPLERS,
    'collate_fn': mmengine_registry.FUNCTIONS,
    'worker_init_fn': mmengine_registry.FUNCTIONS,
    'train_cfg': bmtas_registry.LOOPS,
    'val_cfg': bmtas_registry.LOOPS,
    'test_cfg': bmtas_registry.LOOPS,
    'val_evaluator': bmtas_registry.METRICS,
    'test_evaluator': bmtas_registry.METRICS,
    'optim_wrapper': bmtas_registry.OPTIM_WRAPPERS,
    'optimizer': mmengine_registry.OPTIMIZERS,
    'param_scheduler': mmengine_registry.PARAM_SCHEDULERS,
    'default_hooks': bmtas_registry.HOOKS,
    'custom_hooks': bmtas_registry.HOOKS,
    'visualizer': mmengine_registry.VISUALIZERS,
    'vis_backends': mmengine_registry.VISBACKENDS,
    'log_processor': bmtas_registry.LOG_PROCESSORS,
    'model_wrapper_cfg': mmengine_registry.MODEL_WRAPPERS,
    'init_cfg': mmengine_registry.WEIGHT_INITIALIZERS,
    **dict.fromkeys(('kind', 'kinds'), bmtas_registry.KINDS),
    'search': bmtas_registry.STRATEGIES,
}

NEEDS_TYPE = ('model', 'encoder', 'backbone', 'dataset', 'sampler', 'optimizer', 'search')
"""Keys whose dict says by ``type`` what is to be built."""

# arguments that a registry's build function takes before the class sees them
BUILD_KEYS: Mapping[str, Mapping[str, Any]] = {
    'parameter scheduler': {'convert_to_iter_based': bool},
    'optim wrapper': {'constructor': str, 'paramwise_cfg': Mapping | None},
}

_Rule = Literal['greater', 'less'] | None
NARROWER: Sequence[tuple[type, Mapping[str, Any]]] = (
    (
        CheckpointHook,
        {
            'interval': Annotated[int, Range(-1)],
            'rule': _Rule | Sequence[_Rule],
            # --resume looks for iter_<n>.pth in the work dir
            **dict.fromkeys(('filename_tmpl', 'out_dir'), None),
        },
    ),
    (
        OptimWrapper,
        {
            'accumulative_counts': Count,
            'clip_grad': Annotated[Mapping, ArgumentsOf(_clip_grad)] | None,
        },
    ),
    (
        torch.optim.Optimizer,
        dict.fromkeys(('lr', 'momentum', 'weight_decay', 'eps'), NonNegative),
    ),
    (LogProcessor, {'window_size': Count, 'by_epoch': bool, 'num_digits': Natural}),
)
"""What the hints of other libraries' classes, and of those below them, leave open."""

HOOKS = ('timer', 'logger', 'checkpoint', 'param_scheduler', 'sampler_seed', 'runtime_info')
"""Names in ``default_hooks`` that mmengine fills itself."""
