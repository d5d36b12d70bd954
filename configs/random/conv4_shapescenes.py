_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='RandomSearch', seed=0)
budget = '6.5M'
