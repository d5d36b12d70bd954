"""lambda that follows a budget: what it is at every step, and where the expected cost ends."""

import json
import math

import pytest
import torch
from tiny import NETWORK, ROOT

from bmtas.branching import expected_cost
from bmtas.cli.base import run_tool
from bmtas.cli.search import main as search
from bmtas.engine.checkpoint import checkpoints_of
from bmtas.resources import Costs, ResourceTable
from bmtas.sealed import load_state
from bmtas.search.gradient import ResourceLoss, ResourceTerm
from bmtas.search.gradient.followed_budget import FollowedBudget

LAYERS = (3, 1, 2, 3, 1, 2, 3, 1, 2)


def term(weight=1.0, heads=2):
    costs = dict.fromkeys('abcd', heads * 10**9)
    layers = tuple(10**9 * cost for cost in LAYERS)
    options = dict(layer_names=tuple('123456789'), unit='MAdds', convention='mac', backbone='')
    params = Costs(0, LAYERS, costs)
    table = ResourceTable(10**9, layers, costs, input_size=(2, 2), params=params, **options)
    return ResourceTerm(table, ResourceLoss(weight=weight, follow=True))


def test_lambda_is_a_proportional_and_an_integral_part_of_the_excess():
    memory = {}
    budget = 30e9
    followed = FollowedBudget(term(0.5), budget, 40, memory)
    generator, total = torch.Generator().manual_seed(0), 0.0
    for _ in range(5):
        alpha = 3 * torch.randn(len(LAYERS), 4, 4, generator=generator)
        whole = 1 + 4 * 2 + float(expected_cost(alpha, [float(c) for c in LAYERS], 'exact'))
        excess = whole * 1e9 / budget - 1
        total += 20 * excess / 40
        weight = followed.step(alpha).loss.weight
        assert weight == pytest.approx(0.5 * math.exp(5 * excess + total), rel=1e-5)
        # another process that takes the memory goes on from here
        followed = FollowedBudget(term(0.5), budget, 40, memory)


def test_lambda_stays_finite_where_the_budget_is_out_of_reach():
    followed = FollowedBudget(term(), 1.0, 1, {})
    for _ in range(3):
        loss = followed.step(torch.randn(len(LAYERS), 4, 4)).loss
        assert loss.weight == pytest.approx(math.exp(20))


def descend(resource, follow, steps=400):
    """Alpha of tasks of which each loses most by sharing with some others, under noise."""
    generator = torch.Generator().manual_seed(0)
    alpha = (1e-3 * torch.randn(len(LAYERS), 4, 4, generator=generator)).requires_grad_()
    price = torch.rand(len(LAYERS), 4, 4, generator=generator)
    optimizer = torch.optim.Adam([alpha], 0.05, (0.5, 0.999))
    for step in range(steps):
        noise = torch.rand(alpha.shape, generator=generator).log().neg().log()
        mixing = ((alpha - noise) / (5 - 4.9 * step / steps)).softmax(-1)
        loss = 0.3 * (torch.einsum('ltk,luk->ltu', mixing, mixing) * price).sum()
        now = follow.step(alpha) if follow else resource
        optimizer.zero_grad()
        (loss + now.factor(4) * now.cost(alpha)).backward()
        optimizer.step()
    return resource.whole(alpha.detach()) * 1e9


@pytest.mark.parametrize('share', [0.3, 0.5, 0.7])
def test_the_expected_cost_ends_near_the_budget_from_any_lambda(share):
    table = term().table
    budget = table.shared + share * (table.separate - table.shared)
    fixed, followed = [], []
    for weight in (0.003, 0.03, 0.3):
        resource = term(weight)
        fixed.append(descend(resource, None))
        followed.append(descend(resource, FollowedBudget(resource, budget, 400, {})))
    assert max(abs(cost / budget - 1) for cost in followed) < 0.2
    assert max(abs(cost / budget - 1) for cost in fixed) > 0.3


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'bmtas.py'
    base = ROOT / 'configs/bmtas/mobilenetv2_shapescenes.py'
    text = 'search = dict(warmup_updates=1, weight_updates=4, alpha_phase=2, weight_phase=2)\n'
    path.write_text(f"_base_ = ['{base}']\n{NETWORK}{text}")
    return str(path)


FOLLOW = 'search.resource_loss.follow=True'


def test_a_search_follows_its_budget(config, tmp_path):
    work = tmp_path / 'w'
    words = [config, '--work-dir', str(work), '--budget', '12M', '--cfg-options', FOLLOW]
    assert run_tool(search, words) == 0
    rows = [json.loads(line) for line in (work / 'history.jsonl').read_text().splitlines()]
    assert rows
    memory = load_state(checkpoints_of(work)[0])['search']
    assert memory['log_lambda'].item() != 0


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--cfg-options', FOLLOW], 'search.resource_loss.follow: there is no budget'),
        (
            ['--budget', '12M', '--cfg-options', FOLLOW, 'search.resource_loss.weight=0'],
            'search.resource_loss.weight: 0 follows no budget',
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(config, tmp_path, capsys, options, words):
    assert run_tool(search, [config, '--work-dir', str(tmp_path / 'w'), *options]) == 2
    assert words in capsys.readouterr().err
