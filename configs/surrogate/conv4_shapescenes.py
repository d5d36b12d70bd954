# A search in minutes: 24 trainings of seconds, half of them of trees near the budget.
_base_ = '../branched/conv4_shapescenes.py'
search = dict(type='SurrogateSearch')
budget = '6.5M'
# a line for each training
default_hooks = dict(logger=dict(interval=300))
