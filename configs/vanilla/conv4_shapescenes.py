_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='VanillaSearch', rule='nearest')
budget = '6.5M'
