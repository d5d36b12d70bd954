"""A finished search, and its tree for another budget."""

import json

import pytest

from bmtas.branching import BranchingTree
from bmtas.registry import STRATEGIES
from bmtas.resources import ResourceTable
from bmtas.search import Strategy, as_shown, run_search
from bmtas.search.front import Front
from bmtas.search.gradient.decoding import risk_front, sharing_probability


@STRATEGIES.register_module()
class CountedSearch(Strategy):
    """Finds a front and counts how often it is asked to."""

    runs = 0

    def __init__(self, noise: float = 0.0, taste: str | None = None) -> None:
        self.noise, self.taste = noise, taste

    def run(self, context):
        import torch

        type(self).runs += 1
        alpha = torch.randn(18, 3, 3, generator=torch.Generator().manual_seed(0))
        front = risk_front(sharing_probability(alpha).numpy(), context.table)
        place = dict(cautious=0, greedy=-1).get(self.taste)
        tree = front.trees[front.best(context.budget) if place is None else place]
        return context.result(tree, front)


@pytest.fixture
def search(make_context, tmp_path):
    """Run the strategy in one work dir: ``search(budget, **options)``."""

    def run(budget=None, **options):
        cfg = make_context().cfg
        cfg.search = dict(type='CountedSearch', **options)
        cfg.work_dir, cfg.budget = str(tmp_path / 'work'), budget
        return run_search(cfg)

    CountedSearch.runs = 0
    return run


def test_another_budget_needs_no_other_search(search, tmp_path):
    first, work = search('20M'), tmp_path / 'work'
    table = ResourceTable.from_file(work / 'resources.json')
    assert table.shared <= first.cost <= 20e6
    for name in ('branching.json', 'front.json', 'search.json', 'vis/front.png', 'vis/tree.png'):
        assert (work / name).is_file(), name
    front = Front.from_file(work / 'front.json', table)
    assert front == first.front
    for budget in (front.costs[0], front.costs[len(front.costs) // 2], table.separate):
        again = search(budget)
        assert again.tree == front.trees[front.best(budget)] and again.cost <= budget
        assert BranchingTree.from_file(work / 'branching.json') == again.tree
    assert CountedSearch.runs == 1
    search()  # without a budget it is another search
    assert CountedSearch.runs == 2


def test_a_search_that_took_another_tree_than_the_front_s_keeps_it(search, tmp_path):
    """As after a race: asked again for its own budget it says the same, for others the front's."""
    first = search('20M', taste='cautious')
    assert first.tree == first.front.trees[0] != first.front.trees[first.front.best(20e6)]
    assert search('20M', taste='cautious').tree == first.tree
    other = search('22M', taste='cautious')
    assert other.tree == first.front.trees[first.front.best(22e6)]
    assert search('20M', taste='cautious').tree == first.tree and CountedSearch.runs == 1


def test_a_tree_above_the_budget_is_said_to_be(search, capsys):
    cost = search('20M', taste='greedy').cost
    assert (
        f'it costs {100 * (cost / 20e6 - 1):.1f} % more than the budget' in capsys.readouterr().out
    )


def test_pictures_show_gains_where_the_front_has_their_loss(search, tmp_path, monkeypatch):
    from bmtas.search import run

    drawn = []
    draw = run.draw_front
    monkeypatch.setattr(
        run, 'draw_front', lambda *args: drawn.append(args[1::2][:2]) or draw(*args)
    )
    front = search('20M').front
    monkeypatch.setattr(
        run, 'as_shown', lambda _, scores: as_shown('a loss of gain (points)', scores)
    )
    search('21M')
    assert drawn[0] == (list(front.scores), front.score)
    assert drawn[1] == ([-score for score in front.scores], 'a gain (points)')


def test_a_search_with_other_options_is_not_decoded(search):
    search('20M')
    other = r'other options \(search.noise was .*, now it is 1.0\); give those .*--work-dir'
    with pytest.raises(ValueError, match=f'a finished search with {other}'):
        search('20M', noise=1.0)


def test_a_front_of_another_network_is_refused(search, tmp_path):
    search('20M')
    path = tmp_path / 'work' / 'front.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(content, unit='us')))
    with pytest.raises(ValueError, match='front.json: unit: us'):
        search('21M')
    path.write_text('{}')
    with pytest.raises(ValueError, match="front.json: key 'tasks' is missing"):
        search('21M')
