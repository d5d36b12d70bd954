# Predictor of the setting video-p.
_base_ = ['./predictor_cls_50_1000.py']
_data = dict(setting='video-p')

model = dict(setting='video-p')
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
