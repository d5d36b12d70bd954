# NYUD-v2 with the augmentation of ATRC (Bruggemann et al., ICCV 2021).
# Use with model.data_preprocessor.normalize = 'imagenet': padding is the mean, zero afterwards.
_base_ = ['./nyud.py']

_test_pipeline = [
    dict(type='PadTo', size=(425, 560), img_fill=[123.675, 116.28, 103.53]),
    dict(type='PackSample'),
]

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='RandomScale', scale_range=[0.5, 2.0]),
            dict(type='RandomCrop', size=(425, 560), cat_max_ratio=0.75, pad=False),
            dict(type='RandomHorizontalFlip'),
            dict(type='PhotoMetricDistortion'),
            *_test_pipeline,
        ]
    )
)
val_dataloader = dict(dataset=dict(pipeline=_test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_test_pipeline))
