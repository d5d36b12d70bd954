"""What a search logs about its cost, with few and with many tasks."""

from types import SimpleNamespace

import pytest
import torch

from bmtas.branching import expected_cost
from bmtas.resources import Costs, ResourceTable
from bmtas.search.gradient import ResourceTerm
from bmtas.search.gradient.log import cost_state

LAYERS = (3 * 10**9, 2 * 10**9)


def state(tasks, update=0):
    names = tuple(f't{i:02d}' for i in range(tasks))
    heads = dict.fromkeys(names, 10**8)
    options = dict(unit='MAdds', convention='mac', input_size=(2, 2), backbone='')
    params = Costs(0, LAYERS, heads)
    table = ResourceTable(10**9, LAYERS, heads, layer_names=('p', 'q'), params=params, **options)
    generator = torch.Generator().manual_seed(0)
    alpha = torch.randn(2, tasks, 4, generator=generator)
    encoder = SimpleNamespace(
        alpha=alpha, tasks=names, layer_names=('p', 'q'), routes=lambda: alpha.argmax(-1)
    )
    loop = SimpleNamespace(resource=ResourceTerm(table))
    return cost_state(loop, SimpleNamespace(encoder=encoder), update), alpha


@pytest.mark.parametrize('tasks', [3, 12])
def test_few_tasks_are_exact(tasks):
    found, alpha = state(tasks)
    fixed = 1 + 0.1 * tasks
    exact = fixed + float(expected_cost(alpha, [3.0, 2.0], 'exact'))
    assert found['cost/exact'] == pytest.approx(exact)
    assert ('cost/paper' in found) == (tasks <= 8)


def test_many_tasks_are_sampled_by_the_update():
    found, alpha = state(17)
    assert set(found) == {'cost/sampled', 'cost/tree'}
    draws = [state(17, update)[0]['cost/sampled'] for update in range(40)]
    assert draws[0] == found['cost/sampled'] and len(set(draws)) > 1
    exact = 1 + 1.7 + float(expected_cost(alpha, [3.0, 2.0], 'exact'))
    assert sum(draws) / 40 == pytest.approx(exact, rel=0.03)
