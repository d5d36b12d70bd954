import numpy as np
import pytest
from scipy.stats import spearmanr

from bmtas.branching import BranchingTree, enumerate_trees, tree_front
from bmtas.search.surrogate import (
    cautious,
    contenders,
    design_trees,
    fit_surrogate,
    left_out_rank,
    pair_certainty,
    pair_trees,
    probe_trees,
    promising,
)
from bmtas.search.surrogate.features import sharing_features
from bmtas.search.surrogate.model import rank_given

TASKS = ('a', 'b', 'c', 'd')
LOCATIONS = 3
COSTS = [1.0, 2.0, 3.0]


def all_routes():
    return np.array([tree.routes for tree in enumerate_trees(LOCATIONS, TASKS)])


def losses_of(routes, effects, noise=0.0, crowd=0.0, seed=0):
    """Losses (N, T) by the definition: effects (D, T, T), at [d, t, u] what u adds to t."""
    rng = np.random.default_rng(seed)
    losses = np.zeros((len(routes), len(TASKS)))
    for number, tree in enumerate(routes):
        for t in range(len(TASKS)):
            for d in range(LOCATIONS):
                others = [u for u in range(len(TASKS)) if u != t and tree[d, u] == tree[d, t]]
                losses[number, t] += sum(effects[d, t, u] for u in others)
                losses[number, t] += crowd * max(len(others) - 1, 0)
    return losses + noise * rng.standard_normal(losses.shape)


@pytest.fixture
def effects():
    return np.random.default_rng(5).standard_normal((LOCATIONS, 4, 4))


def test_features_by_hand():
    routes = np.array([0, 1, 0, 0, 4])
    assert sharing_features(routes, 0, 'pairs').tolist() == [0, 1, 1, 0]
    assert sharing_features(routes, 2, 'mean').tolist() == [0.5, 0, 0.5, 0]
    assert sharing_features(routes, 3, 'crowd').tolist() == [1, 0, 1, 0, 1]
    assert sharing_features(routes, 4, 'crowd').tolist() == [0, 0, 0, 0, 0]


def test_gain_and_front_of_exact_losses_are_those_of_all_trees(effects):
    routes = all_routes()
    losses = losses_of(routes, effects)
    elasticities = np.array([1.0, 0.5, 2.0, 1.0])
    surrogate = fit_surrogate(routes, losses, elasticities, forms=('pairs',))
    true = -100 / 4 * (losses - losses[0]) @ elasticities
    np.testing.assert_allclose(surrogate.gain(routes), true, atol=0.05 * true.std())
    front = tree_front(COSTS, surrogate, TASKS)
    costs = (routes.max(2) + 1) @ COSTS
    predicted = surrogate.gain(routes)
    for budget in np.unique(costs):
        chosen = front.tree(front.best(budget)).routes
        assert surrogate.gain(chosen[None])[0] == pytest.approx(predicted[costs <= budget].max())


def test_unknown_trees_are_predicted_from_few(effects):
    routes = all_routes()
    known = design_trees(COSTS, 4, 40, seed=0)
    surrogate = fit_surrogate(known, losses_of(known, effects, noise=0.3))
    true = -losses_of(routes, effects).sum(1)
    assert spearmanr(surrogate.gain(routes), true).statistic > 0.9
    assert left_out_rank(surrogate, (known.max(2) + 1) @ COSTS) > 0.6


def test_left_out_predictions_do_not_see_their_row(effects):
    routes = design_trees(COSTS, 4, 20, seed=1)
    losses = losses_of(routes, effects, noise=0.3)
    surrogate = fit_surrogate(routes, losses, forms=('pairs',))
    spoilt = losses.copy()
    spoilt[4] += 1e-4  # so little that the same penalties are chosen
    moved = fit_surrogate(routes, spoilt, forms=('pairs',)).left_out[4] - surrogate.left_out[4]
    np.testing.assert_allclose(moved, 0, atol=1e-9)


def test_crowding_is_learnt_where_it_is_there(effects):
    known, routes = design_trees(COSTS, 4, 60, seed=2), all_routes()
    losses = losses_of(known, effects, crowd=3.0)
    true = -losses_of(routes, effects, crowd=3.0).sum(1)
    with_it = fit_surrogate(known, losses, forms=('pairs', 'crowd')).gain(routes)
    without = fit_surrogate(known, losses, forms=('pairs',)).gain(routes)
    assert np.corrcoef(with_it, true)[0, 1] > max(0.99, np.corrcoef(without, true)[0, 1])


def test_forms_are_averaged(effects):
    known, routes = design_trees(COSTS, 4, 20, seed=2), all_routes()
    losses = losses_of(known, effects, noise=0.5)
    alone = [fit_surrogate(known, losses, forms=(form,)) for form in ('pairs', 'mean')]
    both = fit_surrogate(known, losses, forms=('pairs', 'mean'))
    np.testing.assert_allclose(both.gain(routes), np.mean([s.gain(routes) for s in alone], 0))
    np.testing.assert_allclose(both.left_out, np.mean([s.left_out for s in alone], 0))


def test_probes_of_one_split_recover_the_effects_of_pairs(effects):
    routes = np.concatenate([probe_trees(LOCATIONS, 4), np.zeros((1, LOCATIONS, 4), int)])
    assert len(routes) == 7 * LOCATIONS + 1
    assert len({tree.tobytes() for tree in routes}) == len(routes)
    surrogate = fit_surrogate(routes, losses_of(routes, effects), forms=('pairs',))
    true = -losses_of(all_routes(), effects).sum(1)
    assert spearmanr(surrogate.gain(all_routes()), true).statistic > 0.95


def test_two_task_networks_lack_the_other_tasks(effects):
    routes, members = pair_trees(LOCATIONS, 4)
    assert routes.shape == (6 * (LOCATIONS + 1), LOCATIONS, 4)
    losses = np.where(members, losses_of(routes, effects), np.nan)
    surrogate = fit_surrogate(routes, losses, forms=('pairs',))
    true = -losses_of(all_routes(), effects).sum(1)
    assert spearmanr(surrogate.gain(all_routes()), true).statistic > 0.95


def test_sources_have_constants_of_their_own(effects):
    routes = design_trees(COSTS, 4, 40, seed=3)
    losses = losses_of(routes, effects, noise=0.1)
    sources = np.arange(40) % 2
    shifted = losses + 10 * sources[:, None]
    alone = fit_surrogate(routes, losses, sources=sources).gain(routes)
    np.testing.assert_allclose(fit_surrogate(routes, shifted, sources=sources).gain(routes), alone)


def test_a_prior_that_is_right_helps_where_rows_are_few(effects):
    known, routes = design_trees(COSTS, 4, 12, seed=4), all_routes()
    losses = losses_of(known, effects + 1, noise=0.2)
    true = -losses_of(routes, effects + 1).sum(1)
    plain = fit_surrogate(known, losses, forms=('pairs',)).gain(routes)
    informed = fit_surrogate(known, losses, prior=-3 * effects, forms=('pairs',)).gain(routes)
    assert np.corrcoef(informed, true)[0, 1] > max(0.99, np.corrcoef(plain, true)[0, 1])


def test_deviation_is_that_of_draws(effects):
    known = design_trees(COSTS, 4, 24, seed=6)
    surrogate = fit_surrogate(known, losses_of(known, effects, noise=0.5))
    rng, routes = np.random.default_rng(0), all_routes()[[3, 50, 120]]
    gains = np.array([surrogate.draw(rng).gain(routes) for _ in range(3000)])
    expected = (gains - gains[:, :1]).std(0)
    np.testing.assert_allclose(
        surrogate.deviation(routes, routes[0]), expected, rtol=0.06, atol=1e-9
    )


def test_decoding_says_how_sure_it_is(effects):
    known = design_trees(COSTS, 4, 30, seed=7)
    effects = effects + 1  # sharing harms: there is a front
    sure = fit_surrogate(known, losses_of(known, effects, noise=0.01), forms=('pairs',))
    unsure = fit_surrogate(known, losses_of(known, effects, noise=3.0))
    share = pair_certainty(sure, COSTS, 12.0, count=30)
    assert share.shape == (LOCATIONS, 4, 4) and (np.diagonal(share, 0, 1, 2) == 1).all()
    assert np.abs(share - 0.5).mean() > np.abs(pair_certainty(unsure, COSTS, 12.0, 30) - 0.5).mean()
    front = tree_front(COSTS, unsure, TASKS)
    routes = np.array([front.tree(index).routes for index in range(len(front))])
    chosen = []
    for best, budget in enumerate(front.costs):
        lost = front.scores[: best + 1] - front.scores[best]
        within = lost <= unsure.deviation(routes[: best + 1], routes[best])
        chosen.append(cautious(unsure, front, budget))
        assert chosen[-1] == within.argmax()
    assert (np.array(chosen) < np.arange(len(front))).any()
    known_well = tree_front(COSTS, sure, TASKS)
    assert cautious(sure, known_well, 20.0) == known_well.best(20.0)
    trees = contenders(unsure, COSTS, 20.0, 4)
    assert len(set(trees)) == 4 and (trees[0].routes == routes[front.best(20.0)]).all()


def test_promising_trees_are_the_best_of_draws_by_looking_at_all():
    routes = all_routes()
    rows = routes[::9]
    effects = np.random.default_rng(3).normal(0, 0.02, (LOCATIONS, 4, 4))
    model = fit_surrogate(rows, losses_of(rows, effects, noise=0.1, seed=4))
    costs = (routes.max(2) + 1) @ np.array(COSTS)
    rng, wanted, known = np.random.default_rng((5, 1)), [], BranchingTree.from_routes(rows[0])
    for _ in range(20):
        gains = model.draw(rng).gain(routes)
        best = routes[np.where(costs <= 16.0, gains, -np.inf).argmax()]
        tree = BranchingTree.from_routes(best)
        if tree not in wanted and tree != known:
            wanted.append(tree)
    assert promising(model, COSTS, 16.0, 4, (5, 1), {known}) == wanted[:4] and len(wanted) > 4


def test_designs_are_spread_over_costs_and_begin_with_the_ends():
    routes = design_trees(COSTS, 4, 50, seed=8)
    costs = (routes.max(2) + 1) @ COSTS
    assert costs[:2].tolist() == [6.0, 24.0]
    assert len({tree.tobytes() for tree in routes}) == 50
    assert abs(np.median(costs) - 15) < 3  # drawn uniformly over trees it would be 19
    assert (design_trees(COSTS, 4, 20, seed=8) == routes[:20]).all()
    assert len(design_trees([1.0], 2, 5, seed=0)) == 5  # there are only two trees


def test_rank_given_removes_what_a_third_series_explains():
    rng = np.random.default_rng(9)
    cost = np.arange(200.0)
    first, second = cost + rng.standard_normal(200), cost + rng.standard_normal(200)
    assert spearmanr(first, second).statistic > 0.9
    assert abs(rank_given(first, second, cost)) < 0.2
    assert rank_given(first, first, cost) == pytest.approx(1)
    values = rng.integers(0, 5, 60)
    other = values + rng.integers(0, 3, 60)
    assert rank_given(values, other, np.ones(60)) == pytest.approx(
        spearmanr(values, other).statistic
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(losses=np.zeros((3, 4))), '20 rows of 4'),
        (dict(losses=np.full((20, 4), np.inf)), '20 rows of 4 finite'),
        (dict(losses=np.ones((20, 4))), 'task number 0 is the same in all 20'),
        (dict(sources=[0]), '20 sources and 4 elasticities'),
        (dict(elasticities=[1.0]), '20 sources and 4 elasticities'),
        (dict(prior=np.zeros((1, 4, 4))), 'prior: an array of'),
    ],
)
def test_what_does_not_fit_is_refused(effects, change, message):
    routes = design_trees(COSTS, 4, 20, seed=0)
    arguments = dict(routes=routes, losses=losses_of(routes, effects)) | change
    with pytest.raises(ValueError, match=message):
        fit_surrogate(**arguments)


def test_too_few_rows_are_refused(effects):
    routes = design_trees(COSTS, 4, 4, seed=0)
    with pytest.raises(ValueError, match='at least 5 trained trees'):
        fit_surrogate(routes, losses_of(routes, effects))
