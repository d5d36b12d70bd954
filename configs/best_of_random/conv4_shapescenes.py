# The bar for every search: the best on held-out images of as many random trees.
_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='BestOfRandom', count=24)
budget = '6.5M'
# a line for each training
default_hooks = dict(logger=dict(interval=300))
