# Predictor of the setting video.
_base_ = ['./predictor_cls_50_1000.py']
_data = dict(setting='video')

model = dict(setting='video')
train_dataloader = dict(dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
