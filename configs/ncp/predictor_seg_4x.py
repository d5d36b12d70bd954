# Predictor of the setting seg-4x.
_base_ = ['./predictor_seg.py']
_data = dict(setting='seg-4x')

model = dict(setting='seg-4x')
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
