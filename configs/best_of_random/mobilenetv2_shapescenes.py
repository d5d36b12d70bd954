# The bar for every search: the best on held-out images of six random trees that spend the budget.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='BestOfRandom', count=6)
budget = '0.17G'
