# 16 trainings of 3/8 of the updates: 8 random trees, then four rounds of two near the budget
_base_ = ['./_train.py', '../_base_/models/mobilenetv2_branched.py']
model = dict(encoder=dict(backbone=dict(weights='offline')))
search = dict(type='SurrogateSearch', count=8, rounds=4, batch=2, length=0.375)
