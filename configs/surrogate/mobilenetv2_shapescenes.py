# Regression on 32 trainings of a quarter of the length; --jobs 2 trains two side by side.
_base_ = '../branched/mobilenetv2_shapescenes.py'
search = dict(type='SurrogateSearch', count=32, length=0.25)
budget = '0.17G'
