# Predictor of the setting cls-10-1000.
_base_ = ['./predictor_cls_50_1000.py']
_data = dict(setting='cls-10-1000')

model = dict(setting='cls-10-1000')
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
