"""The registries of bmtas, children of mmengine's, scope ``bmtas``.

Modules register themselves when the room named in ``locations`` is first needed.
"""

import mmengine.registry as root
from mmengine.registry import Registry


def _child(name: str, parent: Registry | None, *rooms: str) -> Registry:
    places = [f'bmtas.{room}' for room in rooms]
    return Registry(name, parent=parent, scope='bmtas', locations=places)


# what a label is: one class for each kind
KINDS = _child('kind', None, 'kinds')
# datasets: each yields dict(inputs, data_samples)
DATASETS = _child('dataset', root.DATASETS, 'datasets')
# callables (results, rng) -> results of a dataset's pipeline
TRANSFORMS = _child('transform', root.TRANSFORMS, 'datasets.transforms')
# samplers: which position comes next
DATA_SAMPLERS = _child('data sampler', root.DATA_SAMPLERS, 'datasets')
# backbones, encoders, heads, losses, the multi-task model, the data preprocessor
MODELS = _child('model', root.MODELS, 'models')
# one metric instance per task
METRICS = _child('metric', root.METRICS, 'evaluation')
# side effects of a run: log, save, anneal, reset
HOOKS = _child('hook', root.HOOKS, 'engine.checkpoint', 'search')
# control flow of a run: which data, which optimizer, in which order
LOOPS = _child('loop', root.LOOPS, 'engine.loops', 'search')
# the lines that a run prints
LOG_PROCESSORS = _child('log processor', root.LOG_PROCESSORS, 'engine.log_processor')
# automatic mixed precision on CPU and GPU
OPTIM_WRAPPERS = _child('optim wrapper', root.OPTIM_WRAPPERS, 'engine.optim')
# learning rate by the number of tasks that share a block; weights and logits apart
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'optim wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine.optim', 'search'
)
# ways to search: each run(context) -> SearchResult
STRATEGIES = _child('search strategy', None, 'search')
