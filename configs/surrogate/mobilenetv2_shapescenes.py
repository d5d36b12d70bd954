# Regression on 24 trainings, half of them near the budget; --jobs 2 trains two side by side,
# search.length=0.5 halves the time.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='SurrogateSearch')
budget = '0.17G'
