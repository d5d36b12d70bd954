# make demo with what won in the benchmark of trees: 24 trainings like that of retrain.py.
_base_ = './retrain.py'

search = dict(type='SurrogateSearch')
budget = '0.16G'
