# Reads the networks that bmtas train single/conv4_shapescenes has trained.
_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='BMNSearch', checkpoint='work_dirs/single/conv4_shapescenes/iter_300.pth')
budget = '6.5M'
