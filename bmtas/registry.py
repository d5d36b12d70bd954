"""The registries of bmtas, children of mmengine's, scope ``bmtas``.

Modules register themselves when the room named in ``locations`` is first needed.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

# what a label is: one class for each kind
KINDS = Registry('kind', scope='bmtas', locations=['bmtas.kinds'])
# datasets: each yields dict(inputs, data_samples)
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='bmtas',
    locations=['bmtas.datasets'],
)
# callables (results, rng) -> results of a dataset's pipeline
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope='bmtas', locations=['bmtas.datasets.transforms']
)
# samplers: which position comes next
DATA_SAMPLERS = Registry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='bmtas', locations=['bmtas.datasets']
)
# backbones, encoders, heads, losses, the multi-task model, the data preprocessor
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='bmtas', locations=['bmtas.models'])
# one metric instance per task
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='bmtas', locations=['bmtas.evaluation'])
# side effects of a run: log, save, anneal, reset
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='bmtas',
    locations=['bmtas.engine.checkpoint', 'bmtas.search'],
)
# control flow of a run: which data, which optimizer, in which order
LOOPS = Registry(
    'loop',
    parent=MMENGINE_LOOPS,
    scope='bmtas',
    locations=['bmtas.engine.loops', 'bmtas.search'],
)
# the lines that a run prints
LOG_PROCESSORS = Registry(
    'log processor',
    parent=MMENGINE_LOG_PROCESSORS,
    scope='bmtas',
    locations=['bmtas.engine.log_processor'],
)
# automatic mixed precision on CPU and GPU
OPTIM_WRAPPERS = Registry(
    'optim wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope='bmtas', locations=['bmtas.engine.optim']
)
# learning rate by the number of tasks that share a block; weights and logits apart
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='bmtas',
    locations=['bmtas.engine.optim', 'bmtas.search'],
)
# ways to search: each run(context) -> SearchResult
STRATEGIES = Registry('search strategy', scope='bmtas', locations=['bmtas.search'])
