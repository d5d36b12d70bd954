"""Updates replayed as CUDA graphs against eager ones, in float64; run by test_gpu.py.

Prints for every network by how much its weights and statistics differ after some updates, relative
to how far the updates moved them, and how many passes were replayed.
"""

import json

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from small_model import ENCODERS, build, raw_batch, sample

from bmtas.engine import step_weights, summed_losses
from bmtas.engine.optim.autocast import AutocastOptimWrapper
from bmtas.search.gradient import alpha_update, split_parameters, warmup_update, weight_update

UPDATES = 6
BATCHES = [raw_batch(sample(seed), sample(seed + 1)) for seed in range(UPDATES)]
ENCODERS |= {
    'cross stitch': dict(type='CrossStitchEncoder', init_from=None),
    'NDDR': dict(type='NDDREncoder', init_from=None),
    'MTAN': dict(type='MTANEncoder'),
}


def network(encoder, double=True, **options):
    model = build(encoder, **options).cuda()
    return model.double() if double else model


def joint(model, wrapper, wait=1):
    """Steps on the sum of the losses, or on that of several batches."""
    for number, batch in enumerate(BATCHES, 1):
        with wrapper.optim_context(model):
            total, _ = summed_losses(model, model.data_preprocessor(batch, True))
        wrapper.backward(total / wait)
        if number % wait == 0:
            wrapper.step(), wrapper.zero_grad()


def in_turn(model, wrapper):
    for batch in BATCHES:
        for task in model.tasks:
            wrapper.zero_grad(set_to_none=True)
            step_weights(model, wrapper, model.data_preprocessor(batch, True), [task.name])


def search(model, hard=False):
    weights, alpha = split_parameters(model)
    wrappers = OptimWrapperDict(
        weights=OptimWrapper(torch.optim.SGD(weights, lr=1e-3)),
        alpha=OptimWrapper(torch.optim.SGD(alpha, lr=1e-1)),
    )
    generator = torch.Generator('cuda').manual_seed(0)
    for batch in BATCHES:
        draw = lambda: model.encoder.sample_weights(1.0, generator, hard)  # noqa: E731
        warmup_update(model, batch, wrappers)
        alpha_update(model, batch, wrappers, draw())
        weight_update(model, batch, wrappers, draw())


def state(model):
    return torch.cat([x.detach().double().flatten() for x in model.state_dict().values()])


def compare(run, encoder, double=True, **arguments):
    """Differences of captured from eager updates, and of two eager runs."""
    states = []
    for cuda_graphs in (False, False, True):
        model = network(encoder, double, cuda_graphs=cuda_graphs)
        start = state(model)
        torch.manual_seed(1)
        run(model, **{key: make(model) for key, make in arguments.items()})
        states.append(state(model))
    moved = (states[0] - start).norm()
    turns = model.captured.turn
    return [float((states[0] - x).norm() / moved) for x in states[1:]] + [turns]


def sgd(model):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3))


def autocast(model):
    return AutocastOptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3))


found = {
    **{name: compare(joint, name, wrapper=sgd) for name in ENCODERS if name != 'supergraph'},
    'in turn': compare(in_turn, 'branched', wrapper=sgd),
    'accumulated': compare(joint, 'branched', wrapper=sgd, wait=lambda model: 2),
    'bfloat16': compare(joint, 'branched', double=False, wrapper=autocast),
    'search': compare(search, 'supergraph'),
    'hard search': compare(search, 'supergraph', hard=lambda model: True),
}
print(json.dumps(found))
