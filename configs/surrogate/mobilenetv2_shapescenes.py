# Regression on 24 trainings of half the length; --jobs 2 trains two side by side.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='SurrogateSearch')
budget = '0.17G'
