# Uniform over the trees that spend at least 96 % of the budget; without one over all trees.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='RandomSearch', seed=0)
budget = '0.17G'
