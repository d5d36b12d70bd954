"""A small trained-looking network: config file and checkpoint."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'branched' / 'mobilenetv2_shapescenes.py'


@pytest.fixture(scope='session')
def network(tmp_path_factory):
    """Config, checkpoint and model of a branched network with three of the tasks."""
    from bmtas.branching import BranchingTree
    from bmtas.engine.config import load_config
    from bmtas.engine.train import set_routes
    from bmtas.registry import MODELS

    folder = tmp_path_factory.mktemp('network')
    config = folder / 'config.py'
    config.write_text(f'_base_ = {str(CONFIG)!r}\ntasks = dict(human_parts=None, edge=None)\n')
    cfg = load_config(config)
    names = list(cfg.tasks)
    tree = BranchingTree.from_routes([[0] * 4] * 9 + [[0, 1, 1, 1]] * 9, names)
    set_routes(cfg, tree, 'test')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    with torch.no_grad():
        # weights and statistics as after a training: no layer is an identity
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    checkpoint = folder / 'iter_1.pth'
    state = dict(state_dict=model.state_dict(), encoder=model.encoder.checkpoint_state())
    torch.save(dict(meta={}, **state), checkpoint)
    return SimpleNamespace(config=config, checkpoint=checkpoint, model=model.eval(), names=names)
