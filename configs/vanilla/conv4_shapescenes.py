_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='VanillaSearch', rule='at_most')
budget = '6.5M'
