"""Additive regression on the losses of trained trees, and what follows from it. Numpy alone.

A task's log loss is taken to be a constant plus, for every location, what each task that shares it
adds. Such a loss adds up over (location, partition), so ``tree_front`` finds the tree of lowest
predicted loss for every budget. Trees have one row of routes for each location, a run of
neighbouring layers (``bmn.spans``, ``location_costs``, ``expand``); D locations, T tasks, N trees.

    routes = design_trees(costs, num_tasks, count, seed)            # (N, D, T) int
    routes = probe_trees(num_locations, num_tasks)                  # all trees of one split
    routes, members = pair_trees(num_locations, num_tasks)          # two-task networks; (N, T) bool

    surrogate = fit_surrogate(routes, losses, elasticities=None, sources=None, prior=None)
        losses        (N, T) log losses on held-out data; NaN for tasks that a row has not
        elasticities  (T,) relative change of the metric for one of the loss; ones by default
        sources       (N,) number of the kind of training of each row (own constant for each);
                      rows that start from one Shared checkpoint are one source, the continued
                      Shared among them
        prior         (D, T, T) affinity: how much task u is expected to help task t, at [d, t, u]

    front = tree_front(location_costs, surrogate, tasks)            # lower score = higher gain
    surrogate.gain(routes)                  # (N,) predicted, points against Shared
    surrogate.deviation(routes, reference)  # (N,) posterior deviation of the difference of gains
    surrogate.draw(rng)                     # another Surrogate, from the posterior
    surrogate.left_out                      # (N, T) exact leave-one-out predictions of the losses

    rank = left_out_rank(surrogate, costs)  # Spearman given cost; below 0.2: it knows nothing
    index = cautious(surrogate, front, budget)         # cheapest of the front within one deviation
    share = pair_certainty(surrogate, location_costs, budget, count=200, seed=0)  # (D, T, T)
    trees = contenders(surrogate, location_costs, budget, count, seed)  # best, then likely others
    trees = promising(surrogate, location_costs, budget, count, seed, known)   # new ones to train
"""

from bmtas.search.surrogate.decoding import cautious, contenders, pair_certainty, promising
from bmtas.search.surrogate.design import design_trees, pair_trees, probe_trees
from bmtas.search.surrogate.model import (
    MIN_ROWS,
    Surrogate,
    fit_surrogate,
    left_out_rank,
    rank_given,
)

__all__ = [
    'MIN_ROWS',
    'Surrogate',
    'cautious',
    'contenders',
    'design_trees',
    'fit_surrogate',
    'left_out_rank',
    'pair_certainty',
    'pair_trees',
    'probe_trees',
    'promising',
    'rank_given',
]
