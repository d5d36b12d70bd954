"""The supergraph of uniform trees: what is trained, and trees with inherited weights."""

import numpy as np
import torch

from bmtas.branching import BranchingTree
from bmtas.registry import MODELS
from bmtas.search.uniform import InheritedTree, tree_weights

ROUTES = [[0, 0, 0], [0, 1, 1], [0, 1, 1], [0, 1, 2]]


def test_a_group_uses_the_candidate_of_its_first_task():
    tree = BranchingTree.from_routes([[0, 0, 0], [0, 1, 0], [0, 1, 2]], 'abc')
    weights = tree_weights(tree, [0, 1, 2])
    assert weights.argmax(-1).tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 2]]
    assert weights.sum(-1).eq(1).all()
    other = tree_weights(tree, [2, 0, 1])
    assert other.argmax(-1).tolist() == [[2, 2, 2], [2, 1, 2], [0, 1, 2]]


def test_the_supergraph_computes_what_the_branched_network_does(trees_config):
    """Copies of the candidates that a tree uses make the same network."""
    cfg = trees_config()
    backbone = cfg.model.encoder.backbone
    build = dict(cfg.model, tasks=cfg.tasks)
    torch.manual_seed(0)
    supernet = MODELS.build(dict(build, encoder=dict(type='SupergraphEncoder', backbone=backbone)))
    tree = BranchingTree.from_routes(ROUTES, list(cfg.tasks))
    encoder = dict(type='BranchedEncoder', backbone=backbone, routes=ROUTES)
    branched = MODELS.build(dict(build, encoder=encoder))
    branched.heads.load_state_dict(supernet.heads.state_dict())
    branched.encoder.stem.load_state_dict(supernet.encoder.stem.state_dict())
    for row, copies, candidates in zip(ROUTES, branched.encoder.layers, supernet.encoder.layers):
        for group, layer in enumerate(copies):
            found = layer.load_state_dict(candidates[row.index(group)].state_dict(), strict=False)
            # the last norm of a candidate has no scale and shift: 1 and 0
            assert not found.unexpected_keys
            assert all('weight' in key or 'bias' in key for key in found.missing_keys)
    inherited = InheritedTree(supernet, tree, [0, 1, 2])
    images = [torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8) for _ in range(4)]
    with torch.no_grad():
        inputs = supernet.data_preprocessor(dict(inputs=images), False)['inputs']
        found = inherited.eval()(inputs=inputs, mode='tensor')
        expected = branched.eval()(inputs)
    for name in cfg.tasks:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_statistics_are_plain_means_over_the_batches():
    class Model(torch.nn.Module):
        tasks = ()

        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(2)
            self.encoder = torch.nn.Module()
            self.encoder.alpha = torch.zeros(1, 2, 2)

        def data_preprocessor(self, batch, training):
            return dict(inputs=batch)

        def forward(self, inputs, mode, weights):
            return self.norm(inputs)

    model = Model()
    batches = list(torch.randn(5, 8, 2, generator=torch.Generator().manual_seed(0)) * 3 + 1)
    inherited = InheritedTree(model, BranchingTree.from_routes([[0, 1]], 'ab'), [0, 1])
    model(torch.randn(8, 2) * 100, 'loss', None)  # statistics of before must not matter
    inherited.recalibrate(batches)
    means = np.mean([batch.mean(0).numpy() for batch in batches], 0)
    np.testing.assert_allclose(model.norm.running_mean.numpy(), means, rtol=1e-5)
    assert not model.norm.training
