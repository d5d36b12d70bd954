_base_ = ['./_train.py', '../_base_/models/mobilenetv2_routed.py']
model = dict(encoder=dict(backbone=dict(weights='offline'), kept_only=True))
