"""Every config of task routing builds its network and trains one batch."""

from pathlib import Path

import pytest
import torch

from bmtas.engine.config import load_config
from bmtas.registry import MODELS
from bmtas.resources import without_weights
from bmtas.tasks import MultiTaskSample, TaskMaps

CONFIGS = sorted((Path(__file__).parents[2] / 'configs' / 'task_routing').glob('*.py'))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_trains_one_batch(path):
    cfg = load_config(path)
    model = MODELS.build(without_weights(cfg.model)).train()
    samples = []
    for _ in range(2):
        labels = {t.label: t.kind.blank((64, 64)) for t in model.tasks if t.kind.dense}
        labels |= {t.label: torch.tensor(1) for t in model.tasks if not t.kind.dense}
        sample = MultiTaskSample()
        sample.labels = TaskMaps(labels)
        samples.append(sample)
    first = model.tasks[0].name
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    before = [p.detach().clone() for p in model.heads[first].parameters()]
    data = model.data_preprocessor(
        dict(inputs=torch.randint(0, 256, (2, 3, 64, 64)), data_samples=samples), True
    )
    loss = model(**data, mode='loss', tasks=[first])[f'loss_{first}']
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    if not model.tasks[0].kind.dense:  # without labels a dense loss is zero
        after = list(model.heads[first].parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before, after))
