# Predictor of nas-bench-201: one-hot cells. A fifth of the 15625 cells is held out for the test.
_base_ = ['./predictor_seg.py']
_data = dict(setting='nas-bench-201', split_file=None)

model = dict(
    setting='nas-bench-201',
    dimension=30,
    features='code',
    members=4,
    heads=[
        dict(names=['Acc'], dropout=0.1),
        dict(names=['Flops', 'Params'], dropout=0.0),
    ],
    dropout=0.1,
)
train_dataloader = dict(batch_size=256, dataset=_data)
val_dataloader = dict(dataset=_data)
test_dataloader = dict(dataset=_data)
val_evaluator = [dict(type='CodePredictionMetric', names=['Acc', 'Flops', 'Params'])]
test_evaluator = val_evaluator
