# The bar at the same search cost: as many trees and updates as surrogate.py
_base_ = ['./_train.py', '../_base_/models/mobilenetv2_branched.py']
model = dict(encoder=dict(backbone=dict(weights='offline')))
search = dict(type='BestOfRandom', count=16, length=0.375)
