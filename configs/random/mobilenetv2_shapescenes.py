# Uniform over the trees within 2 % of the target; without a target uniform over all trees.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='RandomSearch', target=170e6, tolerance=0.02, seed=0)
